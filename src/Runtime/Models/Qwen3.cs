using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Models;

/// <summary>Dense; norms on the heads of q and k.</summary>
internal static class Qwen3
{
    /// <summary>What the reference takes where the file names no head_dim.</summary>
    private const int HeadDim = 128;

    public static ModelSpec Describe(HfConfig c) => c.Decoder((at, index) => c.Layer(
        at,
        c.Gqa($"{at}.self_attn", HeadDim) with { QkNormEpsilon = c.Epsilon(), Window = c.WindowWhereUsed(index) },
        c.Mlp($"{at}.mlp")));
}
