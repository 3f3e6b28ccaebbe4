using System.Text.Json.Nodes;
using LsglangSharp.Api.Tests.Placement;
using LsglangSharp.Support;

namespace LsglangSharp.Api.Tests.EndToEnd;

/// <summary>lsglang plan: what would go where, before anything is there.</summary>
public sealed class PlanTests
{
    private static readonly string[] _box = ["--assume-ram", "256GB", "--assume-nodes", "2", "--assume-cores", "64"];

    [Fact(Timeout = 60_000)]
    public async Task The_demo_model_fits_here()
    {
        var (code, output) = await LsglangProcess.RunAsync(["plan", "--device", "cpu"]);

        Assert.Equal(0, code);
        Assert.Contains("12.35 M parameters", output, StringComparison.Ordinal);
        Assert.Contains("65,536 tokens as f32", output, StringComparison.Ordinal);
    }

    [SkippableFact(Timeout = 60_000)]
    public async Task A_machine_that_is_not_here_can_be_planned_for()
    {
        Skip.If(Repository.Shared is null, "reference data is not here");
        var (code, output) = await LsglangProcess.RunAsync(
            ["plan", Repository.SharedPath("configs", "Qwen3-30B-A3B")!, "--assume-gpu", "24GB", .. _box, "--json"],
            ("LVLLM_MOE_NUMA_ENABLED", "1"), ("LVLLM_GPU_RESIDENT_MOE_LAYERS", "0-9"));

        Assert.Equal(0, code);
        var plan = JsonNode.Parse(output)!;
        Assert.Equal("hybrid", (string?)plan["placement"]);
        Assert.Equal("0-9", (string?)plan["resident_moe_layers"]);
        Assert.Equal("10-47", (string?)plan["host_moe_layers"]);
        Assert.Equal(2, plan["nodes"]!.AsArray().Count);

        // 128 experts of three matrices of 768 * 2048 bf16 values.
        const long Layer = 128L * 3 * 768 * 2048 * 2;
        Assert.Equal(10 * Layer, (long)plan["gpus"]![0]!["expert_weights"]!);
        Assert.Equal(38 * Layer, (long)plan["host"]!["expert_weights"]!);
    }

    [SkippableTheory(Timeout = 60_000)]
    [InlineData("0-47", "LVLLM_GPU_RESIDENT_MOE_LAYERS=0-47 needs 54.00 GiB on GPU 0")]
    [InlineData("40-50", "there is no layer 50; the model has layers 0-47")]
    [InlineData("5-0", "write 0-5")]
    public async Task What_cannot_be_is_told_with_another_exit_code(string resident, string expected)
    {
        Skip.If(Repository.Shared is null, "reference data is not here");
        var (code, output) = await LsglangProcess.RunAsync(
            ["plan", Repository.SharedPath("configs", "Qwen3-30B-A3B")!, "--assume-gpu", "24GB", .. _box],
            ("LVLLM_MOE_NUMA_ENABLED", "1"), ("LVLLM_GPU_RESIDENT_MOE_LAYERS", resident));

        Assert.InRange(code, 1, 2);
        Assert.Contains(expected, output, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task Without_a_driver_auto_says_why_and_cuda_is_refused_in_one_line()
    {
        (string, string) none = (Placements.Variable, "/no/such/library.so");

        var (code, output) = await LsglangProcess.RunAsync(["plan"], none);
        Assert.Equal(0, code);
        Assert.Contains("device      cpu. LSGLANG_CUDA_LIBRARY=/no/such/library.so", output, StringComparison.Ordinal);

        (code, output) = await LsglangProcess.RunAsync(["serve", "--port", "0", "--device", "cuda"], none);
        Assert.Equal(2, code);
        Assert.StartsWith("lsglang: LSGLANG_CUDA_LIBRARY=/no/such/library.so", output, StringComparison.Ordinal);
        Assert.Single(output.Trim().Split('\n'));
    }

    [SkippableTheory(Timeout = 60_000)]
    [InlineData("CUDA_ON_CPU_DRIVER", "11080", "12.0 or later is required", "cuda")]
    [InlineData("CUDA_ON_CPU_CC", "7.5", "8.0 (Ampere) or later is required", "cuda")]
    [InlineData("CUDA_VISIBLE_DEVICES", "", "leaves no GPU visible", "cuda")]
    [InlineData("CUDA_ON_CPU_DEVICES", "2", "There is no GPU 2: 2 are visible", "cuda:2")]
    public async Task A_GPU_that_cannot_be_used_is_refused_in_one_line(string name, string value, string expected, string device)
    {
        Placements.Variables("cuda");

        var (code, output) = await LsglangProcess.RunAsync(
            ["serve", "--port", "0", "--device", device], (Placements.Variable, Placements.Library), (name, value));

        Assert.Equal(2, code);
        Assert.Contains(expected, output, StringComparison.Ordinal);
        Assert.Single(output.Trim().Split('\n'));
    }
}
