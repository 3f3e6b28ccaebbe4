using LsglangSharp.Support;

namespace LsglangSharp.Api.Tests.Placement;

/// <summary>What the plan says is what is then allocated.</summary>
public sealed class PlannedMemoryTests
{
    /// <summary>About 300 MB of weights: enough that nothing small hides in 2 %.</summary>
    private const string Large = """
        {"num_hidden_layers": 6, "hidden_size": 1024, "moe_intermediate_size": 512, "num_experts": 16, "vocab_size": 8192,
        "num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 64, "max_position_embeddings": 2048}
        """;

    public static TheoryData<string, string> Cases
    {
        get
        {
            var cases = new TheoryData<string, string>();
            foreach (var placement in Placements.Names)
            {
                foreach (var model in new[] { "qwen3_moe", "qwen3_moe_mixed", "qwen3", "llama3", "demo", "large" })
                {
                    cases.Add(placement, model);
                }
            }

            return cases;
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void The_planned_bytes_are_those_that_are_allocated(string placement, string model)
    {
        string[] arguments = model switch
        {
            "demo" => ["--max-total-tokens", "8192"],
            "large" => ["--load-format", "dummy", "--json-model-override-args", Large, "--max-total-tokens", "4096"],
            _ => [Path.Combine(Repository.Root, "tests", "Golden", model), "--max-total-tokens", "2048"],
        };

        using var serving = Placements.Load(placement, resident: "1", [.. arguments, "--skip-tokenizer-init"]);

        var plan = serving.Plan;
        var allocated = serving.Allocated;
        Assert.Equal(plan.Gpus.Length, allocated.Gpus.Count);
        Assert.All(plan.Gpus.Zip(allocated.Gpus), gpu => Within(gpu.First.AllocatedBytes, gpu.Second));
        Within(plan.Host.Bytes - plan.Host.WorkspaceBytes - plan.Host.PinnedBytes, allocated.Host);
        Within(plan.Host.PinnedBytes, allocated.Pinned);
    }

    private static void Within(long planned, long allocated) =>
        Assert.True(
            Math.Abs(planned - allocated) <= 0.02 * Math.Max(planned, allocated), $"planned {planned:N0}, allocated {allocated:N0}");
}
