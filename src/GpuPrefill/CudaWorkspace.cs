using LsglangSharp.GpuPrefill.Launch;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.GpuPrefill;

/// <summary>Device memory that operations take for themselves, by size, before a device is opened.</summary>
public static class CudaWorkspace
{
    /// <summary>
    /// Bytes that attention takes on each of <paramref name="ranks"/> devices, at most, for steps of so many sequences: one
    /// piece that all layers share.
    /// </summary>
    public static long AttentionBytes(ModelSpec spec, int ranks, int sequencesMax) =>
        spec.Layers.Select(layer => layer.Mix).OfType<Gqa>()
            .SelectMany(gqa => Enumerable.Range(0, ranks).Select(rank => new Shard(rank, ranks).Local(gqa)))
            .Where(gqa => gqa.Heads > 0)
            .Select(gqa => new AttentionShape(gqa.KvHeads, gqa.Heads / gqa.KvHeads, gqa.HeadDim, DType.F32, sequencesMax).WorkspaceBytes)
            .DefaultIfEmpty(0)
            .Max();
}
