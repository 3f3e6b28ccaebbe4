using LsglangSharp.Api.Cli;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Scheduling;

namespace LsglangSharp.Api.Tests.Cli;

/// <summary>The command line of lsglang serve: argparse's rules over sglang's flags.</summary>
public sealed class FlagTests
{
    [Fact]
    public void Defaults_are_those_of_sglang()
    {
        var settings = ServeSettings.Parse([]);

        Assert.Equal("127.0.0.1", settings.Host);
        Assert.Equal(30000, settings.Port);
        Assert.Equal("auto", settings.Dtype);
        Assert.Equal(SchedulePolicy.Fcfs, settings.Scheduling.Policy);
        Assert.Null(settings.ModelPath);
        Assert.Empty(settings.Warnings);
    }

    [Fact]
    public void Scheduling_flags_reach_the_scheduler()
    {
        var settings = ServeSettings.Parse(
            ("--schedule-policy lof --enable-priority-scheduling --retraction-policy priority --schedule-conservativeness 0.3 "
            + "--disable-priority-preemption --priority-scheduling-preemption-threshold 4 --disable-radix-cache "
            + "--schedule-low-priority-values-first --watchdog-timeout 12.5").Split(' '));

        var options = MemoryBudget.EngineOptions(settings);

        Assert.Empty(settings.Warnings);
        Assert.Equal(
            new SchedulerOptions
            {
                Policy = SchedulePolicy.Lof,
                Priorities = true,
                Retraction = RetractionPolicy.Priority,
                Conservativeness = 0.3,
                PriorityPreemption = false,
                PriorityPreemptionThreshold = 4,
                PrefixCache = false,
            },
            options.Scheduling);
        Assert.True(options.LowPriorityValuesFirst);
        Assert.Equal(12.5, options.StepSecondsMax);
    }

    [Theory]
    [InlineData("--schedule-policy dfs-weight", "fcfs, lpm, lof, random, priority")]
    [InlineData("--schedule-conservativeness -1", "at least 0")]
    public void Scheduling_flags_that_cannot_apply_say_what_can(string line, string part) =>
        Assert.Contains(part, Assert.Throws<ConfigurationException>(() => ServeSettings.Parse(line.Split(' '))).Message);

    [Theory]
    [InlineData("MODEL --port 8070")]
    [InlineData("--model-path MODEL --port=8070")]
    [InlineData("--model MODEL --po 8070")]
    [InlineData("--model_path MODEL --port 8070")]
    [InlineData("MODEL --tp 1 --port 8070")]
    public void Flags_can_be_spelled_in_every_way_that_argparse_takes(string line)
    {
        var settings = ServeSettings.Parse(line.Split(' '));

        Assert.Equal("MODEL", settings.ModelPath);
        Assert.Equal(8070, settings.Port);
    }

    [Theory]
    [InlineData("32768", 32768)]
    [InlineData("32k", 32000)]
    [InlineData("32Ki", 32768)]
    [InlineData("25.6k", 25600)]
    [InlineData("1M", 1000000)]
    [InlineData("1Mi", 1048576)]
    public void Lengths_take_decimal_and_binary_units(string text, int expected) =>
        Assert.Equal(expected, ServeSettings.Parse(["--context-length", text]).ContextLength);

    [Theory]
    [InlineData("1K")]
    [InlineData("1.5Ki")]
    [InlineData("many")]
    [InlineData("1e3")]
    public void Lengths_refuse_other_spellings(string text) =>
        Assert.Contains(text, Complaint("--context-length", text), StringComparison.Ordinal);

    [Fact]
    public void Lists_take_values_up_to_the_next_flag()
    {
        var settings = ServeSettings.Parse(["--served-model-name", "a", "b", "--port", "1"]);

        Assert.Equal(["a", "b"], settings.ServedModelNames);
    }

    [Theory]
    [InlineData("--prot", "--port")]
    [InlineData("--max-runing-requests", "--max-running-requests")]
    [InlineData("--tool-calls-parser", "--tool-call-parser")]
    [InlineData("-port", "--port")]
    public void An_unknown_flag_fails_with_the_nearest_name(string wrong, string right) =>
        Assert.Contains($"did you mean {right}", Complaint(wrong, "1"), StringComparison.Ordinal);

    [Fact]
    public void An_ambiguous_prefix_names_what_it_could_be()
    {
        var complaint = Complaint("--pp", "1");

        Assert.Contains("ambiguous", complaint, StringComparison.Ordinal);
        Assert.Contains("--pp-size", complaint, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--port", "70000", "from 0 to 65535")]
    [InlineData("--port", "x", "a whole number")]
    [InlineData("--dtype", "int4", "one of auto, half, float16, bfloat16, float, float32")]
    [InlineData("--mem-fraction-static", "1.5", "above 0 and at most 1")]
    [InlineData("--served-model-name", "a:b", "colon")]
    [InlineData("--json-model-override-args", "{", "not valid JSON")]
    [InlineData("--json-model-override-args", "[1]", "JSON object")]
    [InlineData("--chunked-prefill-size", "0", "at least 1")]
    [InlineData("--device", "tpu", "auto, cpu, cuda or cuda:N")]
    [InlineData("--device", "cuda:x", "auto, cpu, cuda or cuda:N")]
    [InlineData("--gpu-id-step", "0", "at least 1")]
    [InlineData("--base-gpu-id", "-1", "at least 0")]
    [InlineData("--tp-size", "0", "from 1 to 64")]
    [InlineData("--cuda-graph-bs", "0", "at least 1")]
    [InlineData("--kv-cache-dtype", "nvfp4", "not supported")]
    [InlineData("--speculative-algorithm", "EAGLE", "not there yet")]
    [InlineData("--ssl-keyfile", "k", "go together")]
    public void A_bad_value_says_what_it_may_be(string flag, string value, string expected) =>
        Assert.Contains(expected, Complaint(flag, value), StringComparison.Ordinal);

    [Theory]
    [InlineData("", DeviceKind.Auto, "0")]
    [InlineData("--device auto", DeviceKind.Auto, "0")]
    [InlineData("--device cpu", DeviceKind.Cpu, "0")]
    [InlineData("--device cuda", DeviceKind.Cuda, "0")]
    [InlineData("--device cuda:2", DeviceKind.Cuda, "2")]
    [InlineData("--device cuda:2 --base-gpu-id 2", DeviceKind.Cuda, "2")]
    [InlineData("--device cuda --tp 3", DeviceKind.Cuda, "0 1 2")]
    [InlineData("--tensor-parallel-size 2 --base-gpu-id 1 --gpu-id-step 4", DeviceKind.Auto, "1 5")]
    public void Devices_are_named_as_in_sglang(string line, object kind, string gpus)
    {
        var device = ServeSettings.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Device;

        Assert.Equal(kind, device.Kind);
        Assert.Equal(gpus, string.Join(' ', device.GpuIds));
    }

    [Fact]
    public void Two_names_of_a_GPU_must_not_differ() =>
        Assert.Contains("different GPUs", Complaint("--device", "cuda:1", "--base-gpu-id", "2"), StringComparison.Ordinal);

    [Theory]
    [InlineData("", 24, 256, "1 2 4 8 16 24")]
    [InlineData("", 16, 256, "1 2 4 8")]
    [InlineData("", 24, 3, "1 2 3")]
    [InlineData("", 24, 10, "1 2 4 8 10")]
    [InlineData("--cuda-graph-max-bs 1", 24, 256, "1")]
    [InlineData("--cuda-graph-max-bs-decode 20", 24, 256, "1 2 4 8 16 20")]
    [InlineData("--cuda-graph-bs 8 1 3", 24, 256, "1 3 8")]
    [InlineData("--cuda-graph-bs 8 1 300", 24, 256, "1 8")]
    [InlineData("--cuda-graph-bs-decode 8 1 --cuda-graph-max-bs 4", 24, 256, "1")]
    [InlineData("--disable-cuda-graph", 24, 256, "")]
    [InlineData("--disable-decode-cuda-graph --cuda-graph-bs 2", 24, 256, "")]
    public void Graphs_are_recorded_for_these_numbers_of_rows(string line, long gibibytes, int rowsMax, string expected)
    {
        var device = ServeSettings.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Device;

        Assert.Equal(expected, string.Join(' ', device.GraphBuckets(gibibytes << 30, rowsMax)));
    }

    [Fact]
    public void A_flag_without_its_value_says_what_it_means() =>
        Assert.Contains("needs a value", Complaint("--port"), StringComparison.Ordinal);

    [Fact]
    public void A_switch_with_a_value_is_an_error() =>
        Assert.Contains("takes no value", Complaint("--disable-radix-cache=yes"), StringComparison.Ordinal);

    [Fact]
    public void Known_flags_that_change_nothing_give_one_warning_each_that_says_what_they_would_do()
    {
        var settings = ServeSettings.Parse(["--cpu-offload-gb", "16", "--enable-nccl-nvls", "--trust-remote-code"]);

        Assert.Equal(2, settings.Warnings.Count);
        Assert.Contains("--cpu-offload-gb 16", settings.Warnings[0], StringComparison.Ordinal);
        Assert.Contains("no effect", settings.Warnings[1], StringComparison.Ordinal);
    }

    [Fact]
    public void Secrets_are_not_among_the_flags_that_are_shown()
    {
        var settings = ServeSettings.Parse(["--api-key", "secret", "--admin-api-key=hidden", "--port", "1"]);

        Assert.Equal(["port"], settings.Given.Keys);
    }

    [Fact]
    public void Every_effective_flag_is_in_the_table() =>
        Assert.Empty(AppliedFlags.Effective.Except(FlagTable.Known.Rows.Select(flag => flag.Name)));

    [Fact]
    public void The_help_says_what_flags_do_here_and_not_elsewhere()
    {
        var meanings = AppliedFlags.Effective.Select(name => FlagTable.Known[name].Meaning).ToList();

        Assert.All(meanings, meaning =>
            Assert.DoesNotMatch("sglang|hub|see \\d|see part|device memory|cuda,", meaning));
    }

    private static string Complaint(params string[] arguments) =>
        Assert.Throws<ConfigurationException>(() => ServeSettings.Parse(arguments)).Message;
}
