using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Models;

/// <summary>
/// Mistral with routed experts on every layer, under the names of the first release; weights always sum to one.
/// </summary>
internal static class Mixtral
{
    public static ModelSpec Describe(HfConfig c) => c.Decoder((at, _) => c.Layer(
        at,
        c.Gqa($"{at}.self_attn") with { Window = c.WholeOrNull("sliding_window") },
        Sparse(c, $"{at}.block_sparse_moe")));

    private static Moe Sparse(HfConfig c, string name)
    {
        var moe = c.Moe(name, "num_local_experts", "intermediate_size");
        return moe with { Router = moe.Router with { Renormalize = true }, Names = new ExpertNames("w1", "w3", "w2") };
    }
}
