using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Models;

/// <summary>Dense; biases on q, k and v, which no key announces.</summary>
internal static class Qwen2
{
    public static ModelSpec Describe(HfConfig c) => c.Decoder((at, index) => c.Layer(
        at,
        c.Gqa($"{at}.self_attn") with { QkvBias = true, OutputBias = false, Window = c.WindowWhereUsed(index) },
        c.Mlp($"{at}.mlp")));
}
