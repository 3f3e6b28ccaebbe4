using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Models;

/// <summary>Llama with a sliding window on every layer where the file names one.</summary>
internal static class Mistral
{
    public static ModelSpec Describe(HfConfig c) => c.Decoder((at, _) => c.Layer(
        at,
        c.Gqa($"{at}.self_attn") with { Window = c.WholeOrNull("sliding_window") },
        c.Mlp($"{at}.mlp")));
}
