using System.Collections.Immutable;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Placement;

/// <summary>What a memory plan is made from: the model, what the operator asked for, and what is there. Sizes are bytes.</summary>
public sealed record MemoryRequest
{
    /// <summary>The share of free RAM that weights and cache may take if nobody says: the operating system needs some, too.</summary>
    public const double HostFractionByDefault = 0.9;

    public required ModelSpec Spec { get; init; }

    public required Machine Machine { get; init; }

    /// <summary>What the model takes: on the CPUs one entry, else one for each GPU.</summary>
    public required ImmutableArray<Footprint> Footprints { get; init; }

    public ExpertPlacement Experts { get; init; } = ExpertPlacement.AllOnDevice;

    /// <summary>What the environment called the resident layers, to name it in complaints.</summary>
    public string ResidentName { get; init; } = "LVLLM_GPU_RESIDENT_MOE_LAYERS";

    /// <summary>What the CPUs' kernels need beside the activations.</summary>
    public long HostWorkspaceBytes { get; init; }

    /// <summary>What each GPU's kernels need beside the activations; one entry for each GPU.</summary>
    public ImmutableArray<long> GpuWorkspaceBytes { get; init; } = [];

    /// <summary>Page-locked RAM: staging of weights, and mailboxes between GPUs and CPUs.</summary>
    public long PinnedBytes { get; init; }

    /// <summary>What the driver takes for recorded steps, on each GPU.</summary>
    public long GraphBytes { get; init; }

    /// <summary>Slots of a page of the cache.</summary>
    public required int PageSize { get; init; }

    /// <summary>The longest sequence that will be served.</summary>
    public required int ContextLength { get; init; }

    /// <summary>More cache than for this many tokens is not taken; null takes what there is.</summary>
    public int? UsefulTokens { get; init; }

    /// <summary>--mem-fraction-static: the share of the free bytes for weights and cache; null: as much as fits.</summary>
    public double? StaticFraction { get; init; }

    /// <summary>--max-total-tokens; null to derive it.</summary>
    public int? TotalTokens { get; init; }

    /// <summary>VLLM_CPU_KVCACHE_SPACE in bytes; null to derive it.</summary>
    public long? CacheBytes { get; init; }

    /// <summary>Pages of all nodes in turn, so that no node must hold its own share.</summary>
    public bool Interleaved { get; init; }
}
