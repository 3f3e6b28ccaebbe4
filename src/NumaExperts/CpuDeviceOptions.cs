namespace LsglangSharp.NumaExperts;

/// <summary>Where a worker thread may run.</summary>
public enum ThreadBinding
{
    /// <summary>On one core.</summary>
    CpuCore,

    /// <summary>On any core of its NUMA node.</summary>
    NumaNode,
}

/// <summary>How the CPU device uses the machine.</summary>
public sealed record CpuDeviceOptions
{
    /// <summary>
    /// Worker threads, the step thread among them. Null: physical cores - 4, on small machines - 1, never below 1.
    /// </summary>
    public int? Threads { get; init; }

    public ThreadBinding Binding { get; init; } = ThreadBinding.CpuCore;

    /// <summary>Idle workers yield and park earlier.</summary>
    public bool PowerSaving { get; init; }

    /// <summary>
    /// Memory is spread over all nodes page by page: slower, and no node must hold a slice of everything.
    /// </summary>
    public bool NumaInterleave { get; init; }

    /// <summary>
    /// The cores of each rank, such as <c>0-42|43-85</c>; each rank holds and computes a slice of every weight.
    /// </summary>
    public string? CoresPerRank { get; init; }

    /// <summary>
    /// Activations stay f32 for any number of tokens; otherwise steps of more than eight tokens may round those that meet
    /// 16-bit weights to bf16.
    /// </summary>
    public bool ExactActivations { get; init; }

    /// <summary>How long idle workers spin before they park. Null: 5 ms, or 0.1 ms when saving power.</summary>
    public TimeSpan? ParkAfter { get; init; }
}
