using System.Collections.Immutable;
using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime;

/// <summary>What the planner asks of the devices, which know best what their kernels need. All in bytes.</summary>
public sealed record DeviceCosts
{
    /// <summary>The CPUs' kernels, for the largest step.</summary>
    public required Func<StepSizes, long> HostWorkspace { get; init; }

    /// <summary>A GPU's kernels, for its share of every layer and the largest step; null without GPUs.</summary>
    public Func<Shard, StepSizes, long>? GpuWorkspace { get; init; }

    /// <summary>Page-locked RAM, for the largest step.</summary>
    public Func<StepSizes, long>? Pinned { get; init; }

    /// <summary>Recorded steps on one GPU.</summary>
    public long Graphs { get; init; }
}

/// <summary>A model, where it shall run, and what the operator wants of it.</summary>
public sealed record PlanRequest
{
    public required ModelSpec Spec { get; init; }

    public required DType Weights { get; init; }

    public required DType Cache { get; init; }

    public required EngineOptions Options { get; init; }

    public required Machine Machine { get; init; }

    public required DeviceCosts Costs { get; init; }

    public ExpertPlacement Experts { get; init; } = ExpertPlacement.AllOnDevice;

    /// <summary>--mem-fraction-static; null for the default of the place.</summary>
    public double? StaticFraction { get; init; }

    /// <summary>VLLM_CPU_KVCACHE_SPACE in bytes; null to derive it.</summary>
    public long? CacheBytes { get; init; }

    /// <summary>Pages of RAM of all nodes in turn.</summary>
    public bool Interleaved { get; init; }
}

/// <summary>The engine's limits and where everything goes.</summary>
public sealed record ServingPlan(EngineLimits Limits, MemoryPlan Memory)
{
    public StepSizes Sizes => Planner.Sizes(Limits);
}

/// <summary>Decides, before a byte is loaded, what fits where, or says what would have to change.</summary>
public static class Planner
{
    public static ServingPlan Plan(PlanRequest request)
    {
        var ranks = Math.Max(1, request.Machine.Gpus.Length);
        Shard.Require(request.Spec, ranks);
        var wanted = Limits(request, request.Options, long.MaxValue);
        var first = Memory(request, wanted);

        // A size in bytes that was asked for is taken as it is, even where it is more than the engine would take by itself.
        var options = request.CacheBytes is null || !request.Machine.Gpus.IsEmpty
            ? request.Options : request.Options with { KvTokens = first.CachedTokens };
        var limits = Limits(request, options, first.CacheBytes, first.CacheBytesPerToken);

        // With the cache's size known, sequences may be shorter and their tables smaller.
        var memory = Memory(request with { Options = options with { KvTokens = limits.KvTokens } }, limits);
        return new ServingPlan(limits, memory with { FittingLayers = first.FittingLayers });
    }

    internal static StepSizes Sizes(EngineLimits limits)
    {
        var steps = limits.Steps;
        return new StepSizes(steps.StepTokensMax, steps.RunningMax, steps.PagesPerSequenceMax, steps.StepLogitRowsMax);
    }

    private static EngineLimits Limits(PlanRequest request, EngineOptions options, long cacheBytes, long perToken = 1) =>
        EngineLimits.Derive(options, request.Spec.Head.Vocabulary, request.Spec.ContextLength, perToken, cacheBytes);

    private static MemoryPlan Memory(PlanRequest request, EngineLimits limits)
    {
        var sizes = Sizes(limits);
        ImmutableArray<int> threads = [.. request.Machine.Nodes.Select(node => node.Threads).DefaultIfEmpty(1)];
        var ranks = Math.Max(1, request.Machine.Gpus.Length);
        return MemoryPlan.Make(new MemoryRequest
        {
            Spec = request.Spec,
            Machine = request.Machine,
            Footprints =
            [
                .. Enumerable.Range(0, ranks).Select(rank => FootprintCount.Of(
                    request.Spec, request.Weights, request.Cache, sizes, new Shard(rank, ranks), request.Experts, threads)),
            ],
            Experts = request.Experts,
            HostWorkspaceBytes = request.Costs.HostWorkspace(sizes),
            GpuWorkspaceBytes =
            [
                .. request.Machine.Gpus.Select((_, rank) =>
                    request.Costs.GpuWorkspace?.Invoke(new Shard(rank, ranks), sizes) ?? 0),
            ],
            PinnedBytes = request.Costs.Pinned?.Invoke(sizes) ?? 0,
            GraphBytes = request.Costs.Graphs,
            PageSize = request.Options.PageSize,
            ContextLength = limits.ContextLength,
            UsefulTokens = limits.KvTokens,
            StaticFraction = request.StaticFraction,
            TotalTokens = request.Options.KvTokens,
            CacheBytes = request.CacheBytes,
            Interleaved = request.Interleaved,
        });
    }
}
