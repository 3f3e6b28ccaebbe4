using System.Collections.Immutable;

namespace LsglangSharp.Runtime.Placement;

/// <summary>
/// What a plan needs to know of the hardware, in bytes, so that one can be made for any machine. No GPUs: the model runs
/// on the CPUs. <paramref name="BytesFree"/>: RAM that may still be taken, over all nodes.
/// </summary>
public sealed record Machine(long BytesFree, ImmutableArray<NumaNode> Nodes, ImmutableArray<Gpu> Gpus);

/// <summary>
/// A NUMA node that holds a slice of every expert in proportion to its threads; null bytes: nothing is known of it.
/// </summary>
public sealed record NumaNode(int Id, int Threads, long? BytesFree);

/// <summary>One GPU as the driver numbers it; <paramref name="BytesFree"/> with its context already there.</summary>
public sealed record Gpu(int Index, string Name, long BytesTotal, long BytesFree)
{
    /// <summary>
    /// Left alone whatever is planned: what the driver takes for modules, local memory and fragments. A fiftieth, at
    /// most 256 MiB.
    /// </summary>
    public long ReserveBytes => Math.Min(BytesTotal / 50, 256L << 20);
}
