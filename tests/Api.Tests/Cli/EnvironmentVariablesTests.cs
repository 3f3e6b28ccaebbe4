using LsglangSharp.Api.Cli;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Tests.Cli;

/// <summary>The one table of environment variables.</summary>
public sealed class EnvironmentVariablesTests
{
    [Fact]
    public void An_empty_environment_gives_the_defaults()
    {
        var read = Read();

        Assert.False(read.MoeNumaEnabled);
        Assert.Null(read.Threads);
        Assert.Null(read.LoaderThreads);
        Assert.False(read.BindToNode);
        Assert.Null(read.Cores);
        Assert.Null(read.KvCacheBytes);
        Assert.Empty(read.Warnings);
    }

    [Theory]
    [InlineData("1", true)]
    [InlineData("TRUE", true)]
    [InlineData("Yes", true)]
    [InlineData("on", true)]
    [InlineData("0", false)]
    [InlineData("false", false)]
    [InlineData("NO", false)]
    [InlineData("off", false)]
    [InlineData("", false)]
    public void Booleans_take_eight_words_in_any_case(string text, bool expected) =>
        Assert.Equal(expected, Read(("LVLLM_MOE_NUMA_ENABLED", text)).MoeNumaEnabled);

    [Theory]
    [InlineData("LVLLM_MOE_NUMA_ENABLED", "2")]
    [InlineData("LK_POWER_SAVING", "maybe")]
    [InlineData("LK_THREADS", "0")]
    [InlineData("LK_THREADS", "-4")]
    [InlineData("LK_THREADS", "many")]
    [InlineData("LK_THREAD_BINDING", "CORE")]
    [InlineData("LVLLM_GPU_RESIDENT_MOE_LAYERS", "5-0")]
    [InlineData("LVLLM_GPU_RESIDENT_MOE_LAYERS", "1-2-3")]
    [InlineData("LK_GPU_RESIDENT_MOE_LAYERS", "0,,2")]
    [InlineData("LK_GPU_RESIDENT_MOE_LAYERS", "0,all")]
    [InlineData("LK_GPU_RESIDENT_MOE_LAYERS", "-1")]
    [InlineData("LVLLM_GPU_PREFILL_MIN_BATCH_SIZE", "-1")]
    [InlineData("LVLLM_MOE_USE_WEIGHT", "FP4")]
    [InlineData("VLLM_CPU_KVCACHE_SPACE", "lots")]
    [InlineData("SGLANG_CPU_OMP_THREADS_BIND", "0-3|7-4")]
    public void A_bad_value_is_an_error_that_names_the_variable_and_the_value(string name, string value)
    {
        var complaint = Assert.Throws<ConfigurationException>(() => Read((name, value))).Message;

        Assert.StartsWith($"{name}={value}", complaint, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("LVLLM_MOE_USE_WEIGHT", "INT4")]
    [InlineData("MOE_QUANT_ONLY", "1")]
    public void What_cannot_apply_yet_says_so(string name, string value) =>
        Assert.Contains("cannot apply",
            Assert.Throws<ConfigurationException>(() => Read((name, value))).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("LVLLM_GPU_PREFILL_MIN_BATCH_SIZE", "2048")]
    [InlineData("LK_GPU_PREFETCH_WINDOW", "2")]
    public void What_changes_nothing_yet_is_taken_with_one_line(string name, string value) =>
        Assert.StartsWith($"{name}={value} has no effect yet", Assert.Single(Read((name, value)).Warnings), StringComparison.Ordinal);

    [Theory]
    [InlineData(null, null)]
    [InlineData("", "")]
    [InlineData("0", "0")]
    [InlineData("0-5", "0-5")]
    [InlineData("0,1,8-9", "0-1,8-9")]
    [InlineData(" 8 - 9 , 0 ,1", "0-1,8-9")]
    [InlineData("3,3,2-4", "2-4")]
    public void Resident_layers_are_numbers_and_ranges_in_any_order(string? text, string? expected)
    {
        var list = text is null ? Read().ResidentLayers : Read(("LVLLM_GPU_RESIDENT_MOE_LAYERS", text)).ResidentLayers;

        var layers = list?.Ranges.SelectMany(range => Enumerable.Range(range.First, range.Last - range.First + 1)).Distinct().Order();
        Assert.Equal(expected, layers is null ? null : LayerList.Format(layers));
    }

    [Theory]
    [InlineData("LVLLM_GPU_RESIDENT_MOE_LAYERS", "")]
    [InlineData("LVLLM_GPU_PREFILL_MIN_BATCH_SIZE", "0")]
    [InlineData("LVLLM_GPU_PREFETCH_WINDOW", "1")]
    [InlineData("LVLLM_MOE_USE_WEIGHT", "to_dtype")]
    [InlineData("MOE_QUANT_ONLY", "off")]
    public void Defaults_may_be_written_out(string name, string value) =>
        Assert.Empty(Read((name, value)).Warnings);

    [Fact]
    public void The_LK_name_wins_and_a_difference_is_told()
    {
        var read = Read(("LVLLM_MOE_NUMA_ENABLED", "0"), ("LK_MOE_HYBRID_ENABLED", "1"));

        Assert.True(read.MoeNumaEnabled);
        Assert.Single(read.Warnings);
    }

    [Fact]
    public void Threads_for_loading_fall_back_to_OpenMP()
    {
        Assert.Equal(3, Read(("OMP_NUM_THREADS", "3")).LoaderThreads);
        Assert.Null(Read(("OMP_NUM_THREADS", "3")).Threads);
        Assert.Equal(2, Read(("OMP_NUM_THREADS", "3"), ("LK_THREADS", "2")).LoaderThreads);
    }

    [Fact]
    public void Cores_are_ranges_and_numbers_for_each_rank() =>
        Assert.Equal("0-2,8|3-7", Read(("VLLM_CPU_OMP_THREADS_BIND", "0-2,8 | 3-7")).Cores);

    [Fact]
    public void A_misspelled_name_of_ours_is_told() =>
        Assert.Contains("LK_THREADS", Assert.Single(Read(("LK_THREAD", "4")).Warnings), StringComparison.Ordinal);

    private static EnvironmentVariables Read(params (string Name, string Value)[] set) =>
        EnvironmentVariables.Read(set.ToDictionary(pair => pair.Name, pair => pair.Value));
}
