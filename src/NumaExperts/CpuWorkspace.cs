using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.NumaExperts;

/// <summary>
/// What lk_moe's kernels take beside weights and activations, at most: buffers that grow with the first large steps and are
/// used again from then on.
/// </summary>
public static class CpuWorkspace
{
    /// <summary>Tokens of a tile, whose packed rows and products each worker keeps for itself.</summary>
    private const long TileTokens = 64;

    /// <param name="spec">The model.</param>
    /// <param name="tokens">Rows of the largest step.</param>
    /// <param name="threads">Workers.</param>
    /// <param name="wholeModel">Attention and dense layers run on the CPUs, too; otherwise only routed experts do.</param>
    public static long Bytes(ModelSpec spec, int tokens, int threads, bool wholeModel)
    {
        long hidden = spec.Embedding.Hidden;
        long inner = 0, sums = 0, depth = hidden, scores = 0;
        foreach (var layer in spec.Layers)
        {
            if (layer.Ffn is Moe moe)
            {
                inner = Math.Max(inner, (long)moe.Router.TopK * moe.Intermediate);
                scores = Math.Max(scores, moe.Router.Experts);
                sums = hidden;
            }

            if (wholeModel)
            {
                inner = Math.Max(inner, DenseInner(layer.Ffn));
                depth = Math.Max(depth, layer.Mix is Gqa gqa ? (long)gqa.Heads * gqa.HeadDim : 0);
            }
        }

        // Shared by all workers: the products of gate and up, and the same packed for the next product, or a packed input.
        var row = inner + Math.Max(inner, depth) + scores + sums;
        var own = TileTokens * (hidden + (2 * Math.Max(inner, depth) / Math.Max(1, threads)));
        return ((tokens * row) + (threads * own)) * DType.F32.Bytes();
    }

    private static long DenseInner(Ffn ffn) => ffn switch
    {
        Mlp mlp => mlp.Intermediate,
        Moe moe => moe.Shared?.Intermediate ?? 0,
        _ => 0,
    };
}
