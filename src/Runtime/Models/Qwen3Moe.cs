using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Models;

/// <summary>
/// Norms on the heads of q and k; routed experts on every decoder_sparse_step-th layer, but for mlp_only_layers.
/// </summary>
internal static class Qwen3Moe
{
    public static ModelSpec Describe(HfConfig c)
    {
        var step = c.WholeOrNull("decoder_sparse_step") ?? 1;
        var denseLayers = c.Wholes("mlp_only_layers");
        return c.Decoder((at, index) => c.Layer(
            at,
            c.Gqa($"{at}.self_attn") with { QkNormEpsilon = c.Epsilon(), Window = Window(c) },
            IsSparse(index) ? c.Moe($"{at}.mlp") : c.Mlp($"{at}.mlp")));

        bool IsSparse(int index) =>
            !denseLayers.Contains(index) && (index + 1) % step == 0 && c.WholeOrNull("num_experts", 0) is not 0;
    }

    private static int? Window(HfConfig c) =>
        c.Flag("use_sliding_window", false) ? c.WholeOrNull("sliding_window") : null;
}
