using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Support;

/// <summary>Specs small enough to be written out in a test.</summary>
public static class SmallModel
{
    public const int Hidden = 16;

    public static Gqa Attention(string name, Rotary? rotary = null) =>
        new(name, Hidden, 4, 2, 8, rotary ?? new Rotary(8, 10_000)) { QkNormEpsilon = 1e-6f };

    public static Mlp Dense(string name) => new(name, Hidden, 24);

    public static Moe Sparse(string name, bool shared) =>
        new(name, Hidden, 12, new Router(4, 2, RouterScoring.Softmax) { Renormalize = true })
        {
            Shared = shared ? new Mlp($"{name}.shared_experts", Hidden, 20) : null,
        };

    public static ModelSpec Of(bool tied, params (Mixer Mix, Ffn Ffn)[] layers) => new(
        new Embedding("embed", 32, Hidden),
        [.. layers.Select((layer, i) => new LayerSpec(Norm($"{i}.a"), layer.Mix, Norm($"{i}.b"), layer.Ffn))],
        Norm("norm"),
        new Head("head", 32, Hidden, tied))
    {
        Architecture = "Small",
        ModelType = "small",
        ContextLength = 128,
        CheckpointType = DType.BF16,
    };

    private static RmsNorm Norm(string name) => new(name, Hidden, 1e-6f);
}
