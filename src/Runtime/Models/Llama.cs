using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Models;

/// <summary>Dense, nothing but grouped-query attention and a gated MLP.</summary>
internal static class Llama
{
    public static ModelSpec Describe(HfConfig c) => c.Flag("mlp_bias", false)
        ? throw c.Wrong("mlp_bias", "false: biases of the MLP are not supported")
        : c.Decoder((at, _) => c.Layer(at, c.Gqa($"{at}.self_attn"), c.Mlp($"{at}.mlp")));
}
