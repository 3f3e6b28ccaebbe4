using System.Collections.Immutable;

namespace LsglangSharp.Runtime.Placement;

/// <summary>
/// What a model (or one GPU's slice of it) takes where it runs, in bytes. <paramref name="DenseBytes"/>: all weights but
/// routed experts, and <paramref name="DenseBytesByNode"/> what of them is cut over NUMA nodes if it runs on CPUs;
/// <paramref name="Experts"/>: the MoE layers, ascending; <paramref name="CacheBytesPerToken"/>: keys and values of all
/// layers; <paramref name="ActivationBytes"/>: the buffers of the largest step.
/// </summary>
public sealed record Footprint(
    long DenseBytes, ImmutableArray<long> DenseBytesByNode, ImmutableArray<ExpertLayer> Experts, long CacheBytesPerToken,
    long ActivationBytes)
{
    public long ExpertBytes(Func<int, bool> takes) => Experts.Where(layer => takes(layer.Index)).Sum(layer => layer.Bytes);
}

/// <summary>The routed experts of layer <paramref name="Index"/>, all of them and as cut over NUMA nodes.</summary>
public sealed record ExpertLayer(int Index, long Bytes, ImmutableArray<long> BytesByNode);
