using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Models;

/// <summary>
/// A model in numbers. <paramref name="Total"/>: all parameters, a tied embedding once. <paramref name="Active"/>:
/// those that a token's forward pass reads: everything but the embedding table, with the top k of the routed experts; a
/// tied table is read as the head and counts. <paramref name="Embedding"/>, <paramref name="Head"/> (0 when tied),
/// <paramref name="Routed"/>: the embedding table, the head, all routed experts. <paramref name="CachedPerToken"/>:
/// elements that the cache keeps for a token of context.
/// </summary>
public sealed record ModelCounts(long Total, long Active, long Embedding, long Head, long Routed, long CachedPerToken)
{
    public static ModelCounts Of(ModelSpec spec)
    {
        long total = 0;
        long active = 0;
        long routed = 0;
        foreach (var part in spec.Parts)
        {
            // Experts of a layer are alike, so one is counted and multiplied: there may be 100 000 tensors of them.
            var all = part is Moe moe ? Elements(moe) : part.Tensors.Sum(tensor => tensor.ElementCount);
            total += all;
            active += all;
            if (part is Moe sparse)
            {
                var expert = Elements(sparse.Expert(0));
                routed += expert * sparse.Router.Experts;
                active -= expert * (sparse.Router.Experts - sparse.Router.TopK);
            }
        }

        var embedding = spec.Embedding.Weight.ElementCount;
        return new ModelCounts(
            total,
            spec.Head.Tied ? active : active - embedding,
            embedding,
            spec.Head.Tied ? 0 : spec.Head.Weight.ElementCount,
            routed,
            spec.Layers.Sum(layer => layer.Mix.CachedElementsPerToken));
    }

    /// <summary>What decoding one token reads from memory, its cache apart.</summary>
    public long BytesPerToken(DType weights) => Active * weights.Bytes();

    /// <summary>What the cache keeps for one token of context.</summary>
    public long KvBytesPerToken(DType cache) => CachedPerToken * cache.Bytes();

    private static long Elements(Moe moe) =>
        moe.Common.Sum(tensor => tensor.ElementCount)
        + (moe.Router.Experts * Elements(moe.Expert(0)));

    private static long Elements(ExpertTensors expert) => expert.All.Sum(tensor => tensor.ElementCount);
}
