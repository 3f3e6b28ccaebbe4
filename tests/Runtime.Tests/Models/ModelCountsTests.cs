using System.Text.Json;
using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Models;

public sealed class ModelCountsTests
{
    private static readonly string[] _models =
    [
        "Llama-3.1-8B", "Mixtral-8x7B-v0.1", "Qwen3-0.6B", "Qwen3-235B-A22B", "Qwen3-235B-A22B-FP8", "Qwen3-30B-A3B",
        "Qwen3-30B-A3B-FP8", "Qwen3-8B", "Qwen3-Coder-30B-A3B-Instruct", "Qwen3-Coder-480B-A35B-Instruct",
    ];

    public static TheoryData<string> Published => [.. _models];

    [SkippableTheory]
    [MemberData(nameof(Published))]
    public void Counts_what_the_table_of_published_models_states(string model)
    {
        Skip.If(Repository.Shared is null, "reference data is not here");
        using var table = JsonDocument.Parse(File.ReadAllBytes(Repository.SharedPath("configs", "counts.json")!));
        var expected = table.RootElement.GetProperty(model);

        var counts = ModelCounts.Of(ModelFolder.Open(Repository.SharedPath("configs", model)!).Spec);

        Assert.Equal(expected.GetProperty("total").GetInt64(), counts.Total);
        Assert.Equal(expected.GetProperty("active").GetInt64(), counts.Active);
        Assert.Equal(expected.GetProperty("embedding").GetInt64(), counts.Embedding);
        Assert.Equal(expected.GetProperty("lm_head").GetInt64(), counts.Head);
        Assert.Equal(expected.GetProperty("routed").GetInt64(), counts.Routed);
        Assert.Equal(expected.GetProperty("kv_bytes_per_token").GetInt64(), counts.KvBytesPerToken(DType.BF16));
    }

    [SkippableTheory]
    [MemberData(nameof(Published))]
    public void Folding_parts_counts_as_many_elements_as_listing_every_tensor(string model)
    {
        Skip.If(Repository.Shared is null, "reference data is not here");
        var spec = ModelFolder.Open(Repository.SharedPath("configs", model)!).Spec;

        Assert.Equal(spec.Tensors.Sum(tensor => tensor.ElementCount), ModelCounts.Of(spec).Total);
    }

    [SkippableFact]
    public void Every_published_configuration_of_a_supported_architecture_is_in_the_list_above()
    {
        Skip.If(Repository.Shared is null, "reference data is not here");
        var supported =
            from config in Directory.EnumerateFiles(Repository.SharedPath("configs")!, "config.json", SearchOption.AllDirectories)
            where HfConfig.Read(config).Architectures.Any(Architectures.Supported.Contains)
            select Path.GetFileName(Path.GetDirectoryName(config)!);

        Assert.Equal(_models.Order(StringComparer.Ordinal), supported.Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData(DType.BF16, 2)]
    [InlineData(DType.F32, 4)]
    public void Bytes_follow_the_element_type(DType type, int bytes)
    {
        var counts = new ModelCounts(1000, 700, 300, 0, 0, 64);

        Assert.Equal(700 * bytes, counts.BytesPerToken(type));
        Assert.Equal(64 * bytes, counts.KvBytesPerToken(type));
    }
}
