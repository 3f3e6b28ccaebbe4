using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Placement;

public sealed class MemoryPlanTests
{
    private const long Gib = 1L << 30;

    /// <summary>
    /// Weights: embedding 100·64, head 100·64, two layers of attention 64·(64 + 32 + 32 + 64) and MLP or experts,
    /// router 8·64.
    /// </summary>
    private static readonly ModelSpec _spec = Architectures.Describe(HfConfig.Parse("""
        {
          "architectures": ["Qwen3MoeForCausalLM"], "hidden_size": 64, "intermediate_size": 96, "moe_intermediate_size": 32,
          "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 100,
          "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "num_experts": 8, "num_experts_per_tok": 2,
          "mlp_only_layers": [0]
        }
        """));

    private static MemoryRequest Request { get; } = Of(_spec, Gib);

    private static MemoryRequest Of(ModelSpec spec, long bytesFree) => new()
    {
        Spec = spec,
        Machine = new Machine(bytesFree, [], []),
        Footprints =
        [
            FootprintCount.Of(
                spec, DType.BF16, DType.BF16, new StepSizes(10, 2, 256, 3), Shard.Whole, ExpertPlacement.AllOnDevice, [1]),
        ],
        HostWorkspaceBytes = 4096,
        PageSize = 16,
        ContextLength = 4096,
    };

    private static MemoryRequest Free(long bytes) => Request with { Machine = new Machine(bytes, [], []) };

    [Fact]
    public void Weights_scratch_and_cache_follow_the_shapes()
    {
        var plan = MemoryPlan.Make(Request);

        var matrices = (2 * 100 * 64) + (2 * 64 * (64 + 32 + 32 + 64)) + (3 * 64 * 96) + (8 * 64);
        var norms = (5 * 64) + (2 * 2 * 16);
        Assert.Equal((matrices * 2) + (norms * 4), plan.Host.DenseBytes);
        Assert.Equal(8 * 3 * 32 * 64 * 2, plan.Host.ExpertBytes);
        Assert.Equal(2 * 2 * 2 * 16 * 2, plan.CacheBytesPerToken);

        // Per row: ids, positions, slots; residual and normed; q, k and v, and what attention gives; angles; routes. Then tables and
        // the rows with logits. Arrays of numbers begin at multiples of four, behind a count.
        var row = (2 * 64) + (8 * 16) + (4 * 16) + 16 + (2 * 2);
        var once = 8 + 4 + (3 * 12) + 4 + 4 + 4 + (2 * 256) + (3 * 64) + (3 * 100);
        Assert.Equal(4 * ((10 * row) + once), plan.Host.ActivationBytes);
        Assert.Equal(4096, plan.Host.WorkspaceBytes);
    }

    [Fact]
    public void The_cache_is_no_larger_than_is_useful() =>
        Assert.Equal(5008, MemoryPlan.Make(Request with { UsefulTokens = 5000 }).CachedTokens);

    [Fact]
    public void The_static_fraction_bounds_weights_and_cache_together()
    {
        var plan = MemoryPlan.Make(Request with { StaticFraction = 0.5 });

        Assert.Equal(0, plan.CachedTokens % 16);
        Assert.InRange(plan.WeightBytes + plan.CacheBytes, (Gib / 2) - (16 * plan.CacheBytesPerToken), Gib / 2);
    }

    [Fact]
    public void Everything_together_stays_within_what_is_available()
    {
        for (var available = 600_000L; available < 3_000_000; available += 77_777)
        {
            var plan = MemoryPlan.Make(Free(available) with { StaticFraction = 1 });

            Assert.InRange(plan.Host.Bytes, 0, available);
            Assert.InRange(plan.CachedTokens, 1024, available / plan.CacheBytesPerToken);
        }
    }

    [Theory]
    [InlineData(2000, null, 2000)]
    [InlineData(2001, null, 2016)]
    [InlineData(1, null, 16)]
    [InlineData(null, 2000 * 256, 2000)]
    [InlineData(3000, 2000 * 256, 2000)]
    [InlineData(1600, 2000 * 256, 1600)]
    public void What_the_operator_asks_for_wins_in_whole_pages(int? tokens, int? bytes, int expected) =>
        Assert.Equal(expected, MemoryPlan.Make(Request with { TotalTokens = tokens, CacheBytes = bytes }).CachedTokens);

    [Fact]
    public void Too_little_memory_is_refused_with_what_is_needed_and_there()
    {
        var error = Assert.Throws<ConfigurationException>(() => MemoryPlan.Make(Free(400_000)));

        Assert.StartsWith("not enough memory: the model needs 0.47 MiB (weights ", error.Message, StringComparison.Ordinal);
        Assert.Contains("0.38 MiB are available; options: free memory", error.Message, StringComparison.Ordinal);
    }

    [SkippableFact]
    public void A_published_model_on_a_small_machine_is_refused_with_its_size()
    {
        Skip.If(Repository.Shared is null, "reference data is not here");
        var spec = ModelFolder.Open(Repository.SharedPath("configs", "Qwen3-30B-A3B")!).Spec;

        var error = Assert.Throws<ConfigurationException>(
            () => MemoryPlan.Make(Of(spec, 24 * Gib)));

        Assert.Contains("weights 56.87 GiB", error.Message, StringComparison.Ordinal);
        Assert.Contains("cache for 1024 tokens 96.00 MiB", error.Message, StringComparison.Ordinal);
        Assert.Contains("24.00 GiB are available", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(100_000_000, null, "--max-total-tokens 100000000 asks for 23.84 GiB of cache")]
    [InlineData(null, 2 * Gib, "VLLM_CPU_KVCACHE_SPACE (2.00 GiB) asks for 2.00 GiB of cache")]
    [InlineData(null, 4000L, "VLLM_CPU_KVCACHE_SPACE (0.00 MiB) leaves no room in the cache; a page of 16 tokens takes")]
    public void A_cache_that_was_asked_for_and_cannot_be_is_refused(int? tokens, long? bytes, string reason)
    {
        var error = Assert.Throws<ConfigurationException>(
            () => MemoryPlan.Make(Request with { TotalTokens = tokens, CacheBytes = bytes }));

        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_fraction_that_leaves_no_room_is_refused_by_its_name()
    {
        var error = Assert.Throws<ConfigurationException>(
            () => MemoryPlan.Make(Free(1_000_000) with { StaticFraction = 0.2 }));

        Assert.StartsWith("--mem-fraction-static 0.2 of", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_short_context_needs_a_small_cache()
    {
        var plan = MemoryPlan.Make(Request with { ContextLength = 100, TotalTokens = 112 });

        Assert.Equal(112, plan.CachedTokens);
    }
}
