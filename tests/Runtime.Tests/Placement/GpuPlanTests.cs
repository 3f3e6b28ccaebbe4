using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Placement;

/// <summary>Plans for machines that are not here.</summary>
public sealed class GpuPlanTests
{
    private const long Gib = 1L << 30;

    private static PlanRequest Request(ModelSpec spec, Machine machine, ExpertPlacement? experts = null) => new()
    {
        Spec = spec,
        Weights = DType.BF16,
        Cache = DType.BF16,
        Options = new EngineOptions(),
        Machine = machine,
        Costs = new DeviceCosts
        {
            HostWorkspace = _ => Gib / 4, GpuWorkspace = (_, _) => Gib / 8, Pinned = _ => Gib / 2, Graphs = Gib / 16,
        },
        Experts = experts ?? new ExpertPlacement([]),
    };

    private static Machine Box(int gpus, long gpuGib, long ramGib, params int[] threads) => new(
        ramGib * Gib,
        [.. threads.Select((count, node) => new NumaNode(node, count, ramGib * Gib / threads.Length))],
        [.. Enumerable.Range(0, gpus).Select(index => new Gpu(index, "test", gpuGib * Gib, (gpuGib * Gib) - (Gib / 2)))]);

    private static ModelSpec Published(string name)
    {
        Skip.If(Repository.Shared is null, "reference data is not here");
        return ModelFolder.Open(Repository.SharedPath("configs", name)!).Spec;
    }

    [SkippableTheory]
    [InlineData("Qwen3-30B-A3B", 24, 256)]
    [InlineData("Qwen3-235B-A22B", 24, 512)]
    [InlineData("Qwen3-30B-A3B", 8, 64)]
    public void A_published_model_fits_with_its_experts_in_RAM(string name, long gpuGib, long ramGib)
    {
        var spec = Published(name);
        var counts = ModelCounts.Of(spec);

        var plan = Planner.Plan(Request(spec, Box(1, gpuGib, ramGib, 30, 30))).Memory;

        var gpu = Assert.Single(plan.Gpus);
        Assert.Equal(2 * counts.Routed, plan.Host.ExpertBytes);
        Assert.InRange(gpu.DenseBytes, 2 * (counts.Total - counts.Routed), 2.01 * (counts.Total - counts.Routed));
        Assert.InRange(gpu.Bytes, 0, gpu.Gpu.BytesFree);
        Assert.InRange(plan.Host.Bytes, 0, ramGib * Gib);
        Assert.Equal(plan.Host.ExpertBytes, plan.Nodes.Sum(node => node.Bytes));
        Assert.Equal(plan.Nodes[0].Bytes, plan.Nodes[1].Bytes);
        Assert.Equal(counts.KvBytesPerToken(DType.BF16), plan.CacheBytesPerToken);
        Assert.True(plan.CachedTokens >= 1024);
    }

    [SkippableFact]
    public void The_layers_that_are_said_to_fit_do_and_one_more_does_not()
    {
        var spec = Published("Qwen3-30B-A3B");
        var machine = Box(1, 24, 256, 30, 30);
        var fitting = Planner.Plan(Request(spec, machine)).Memory.FittingLayers!.Value;
        Assert.InRange(fitting, 10, 20);

        var full = Planner.Plan(Request(spec, machine, new ExpertPlacement([.. Enumerable.Range(0, fitting)]))).Memory;
        var more = Planner.Plan(Request(spec, machine, new ExpertPlacement([.. Enumerable.Range(0, fitting + 1)]))).Memory;

        Assert.Equal(0, full.FittingLayers);
        Assert.True(full.CachedTokens >= spec.ContextLength);
        Assert.True(more.CachedTokens < spec.ContextLength);
        Assert.Equal(2 * ModelCounts.Of(spec).Routed, full.Host.ExpertBytes + full.Gpus[0].ExpertBytes);
    }

    [SkippableFact]
    public void Too_many_resident_layers_are_refused_with_how_many_fit()
    {
        var spec = Published("Qwen3-30B-A3B");
        var machine = Box(1, 24, 256, 30);

        var error = Refusal(Request(spec, machine, new ExpertPlacement([.. Enumerable.Range(0, 40)])));

        Assert.StartsWith("LVLLM_GPU_RESIDENT_MOE_LAYERS=0-39 needs 45.00 GiB on GPU 0 (test), ", error, StringComparison.Ordinal);
        var most = int.Parse(error[(error.LastIndexOf("0-", StringComparison.Ordinal) + 2)..].Split(' ')[0], null);
        Planner.Plan(Request(spec, machine, new ExpertPlacement([.. Enumerable.Range(0, most + 1)])));
        Refusal(Request(spec, machine, new ExpertPlacement([.. Enumerable.Range(0, most + 2)])));
    }

    [SkippableTheory]
    [InlineData("Qwen3-30B-A3B", 24, 256, false, "LVLLM_MOE_NUMA_ENABLED=1 keeps experts in RAM (layers 0-")]
    [InlineData("Qwen3-235B-A22B", 24, 256, true, "experts of 38 more layers, 171.00 GiB, would have to be on GPUs, which have room for 0")]
    [InlineData("Qwen3-30B-A3B", 24, 50, true, "LVLLM_GPU_RESIDENT_MOE_LAYERS=0-4, which fits on the GPU")]
    [InlineData("Qwen3-30B-A3B", 3, 256, true, "--context-length, --kv-cache-dtype fp8_e4m3")]
    public void What_cannot_fit_is_refused_with_what_would_help(string name, long gpuGib, long ramGib, bool hybrid, string option) =>
        Assert.Contains(
            option,
            Refusal(Request(Published(name), Box(1, gpuGib, ramGib, 30), hybrid ? null : ExpertPlacement.AllOnDevice)),
            StringComparison.Ordinal);

    [SkippableFact]
    public void A_node_that_cannot_hold_its_share_is_named()
    {
        var spec = Published("Qwen3-30B-A3B");
        var machine = Box(1, 24, 80, 30, 10);

        Assert.Contains("NUMA node 0: its share of the weights is 40.", Refusal(Request(spec, machine)), StringComparison.Ordinal);
        Planner.Plan(Request(spec, machine) with { Interleaved = true });
    }

    [SkippableTheory]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    public void Several_GPUs_share_the_layers(int ranks)
    {
        var spec = Published("Qwen3-30B-A3B");
        var one = Planner.Plan(Request(spec, Box(1, 80, 256, 30), ExpertPlacement.AllOnDevice)).Memory;

        var plan = Planner.Plan(Request(spec, Box(ranks, 80, 256, 30), ExpertPlacement.AllOnDevice)).Memory;

        Assert.Equal(ranks, plan.Gpus.Length);
        Assert.All(plan.Gpus, gpu => Assert.InRange(gpu.ExpertBytes * ranks, one.Gpus[0].ExpertBytes, one.Gpus[0].ExpertBytes));
        Assert.True(plan.Gpus.Sum(gpu => gpu.DenseBytes) >= one.Gpus[0].DenseBytes);
        Assert.Equal(one.CacheBytesPerToken / Math.Min(4, ranks), plan.CacheBytesPerToken);
        Assert.True(plan.CachedTokens >= one.CachedTokens);
    }

    [SkippableTheory]
    [InlineData(0.5)]
    [InlineData(0.8)]
    public void The_static_fraction_bounds_weights_and_cache_of_a_GPU(double fraction)
    {
        var plan = Planner.Plan(Request(Published("Qwen3-30B-A3B"), Box(1, 24, 256, 30)) with { StaticFraction = fraction }).Memory;

        var share = (plan.Gpus[0].WeightBytes + plan.Gpus[0].CacheBytes) / (double)plan.Gpus[0].Gpu.BytesFree;
        Assert.InRange(share, fraction - 0.001, fraction);
    }

    /// <summary>The same borders as split_rows: multiples of 16, in proportion to the threads, the last takes the rest.</summary>
    [Theory]
    [InlineData(768, "1", "768")]
    [InlineData(768, "1 1", "384 384")]
    [InlineData(768, "3 1", "576 192")]
    [InlineData(100, "1 1 1", "32 32 36")]
    [InlineData(20, "1 1 1 1", "0 0 0 20")]
    public void Rows_are_cut_as_the_native_library_cuts_them(int rows, string threads, string expected) =>
        Assert.Equal(expected, string.Join(' ', RowSplit.Rows(rows, [.. threads.Split(' ').Select(int.Parse)])));

    private static string Refusal(PlanRequest request) =>
        Assert.Throws<ConfigurationException>(() => Planner.Plan(request)).Message;
}
