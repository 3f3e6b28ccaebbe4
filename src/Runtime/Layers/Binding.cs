using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Runtime.Weights;

namespace LsglangSharp.Runtime.Layers;

/// <summary>A layer of a bound model: norms and blocks in their order.</summary>
public sealed record BoundLayer(BoundNorm PreMix, Block Mix, BoundNorm PreFfn, Block Ffn);

/// <summary>A norm's weight, F32 [1, width].</summary>
public sealed record BoundNorm(Tensor Weight, float Epsilon);

/// <summary>
/// The model's parts with their places on a device. The places are empty until the plan is carried out.
/// </summary>
public sealed record BoundModel(
    ModelSpec Spec, WeightMatrix Embedding, IReadOnlyList<BoundLayer> Layers, BoundNorm FinalNorm, WeightMatrix Head,
    IReadOnlyList<Rotary> Rotations, WorkspaceWidths Widths);

/// <summary>
/// Turns a spec into blocks on a device, and notes in the plan which tensor goes where. The only code that asks what
/// kind a part is.
/// </summary>
public sealed class Binding
{
    private readonly IDevice _device;
    private readonly DType _weightType;
    private readonly WeightPlan _plan;
    private readonly Func<Gqa, KvLayer> _cacheOf;
    private readonly List<Rotary> _rotations = [];
    private WorkspaceWidths _widths;

    private Binding(IDevice device, DType weightType, WeightPlan plan, Func<Gqa, KvLayer> cacheOf)
    {
        _device = device;
        _weightType = weightType;
        _plan = plan;
        _cacheOf = cacheOf;
    }

    /// <param name="spec">The model.</param>
    /// <param name="device">Where it runs.</param>
    /// <param name="weightType">What matrices are kept in; norms and biases are always F32.</param>
    /// <param name="plan">Takes the tensors to load.</param>
    /// <param name="cacheOf">Pages for one attention layer.</param>
    public static BoundModel Bind(
        ModelSpec spec, IDevice device, DType weightType, WeightPlan plan, Func<Gqa, KvLayer> cacheOf)
    {
        var binding = new Binding(device, weightType, plan, cacheOf);
        var embedding = binding.Matrix(spec.Embedding.Weight);
        var layers = spec.Layers.Select(binding.Layer).ToArray();
        var norm = binding.Norm(spec.FinalNorm);
        var head = spec.Head.Tied ? embedding : binding.Matrix(spec.Head.Weight);
        return new BoundModel(spec, embedding, layers, norm, head, binding._rotations, binding._widths);
    }

    private BoundLayer Layer(LayerSpec spec) =>
        new(Norm(spec.PreMix), Block(spec.Mix), Norm(spec.PreFfn), Block(spec.Ffn));

    private Block Block(Part part) => part switch
    {
        Gqa gqa => Attention(gqa),
        Mlp mlp => Mlp(mlp),
        Moe moe => Experts(moe),
        _ => throw new InvariantException($"no block for {part.GetType().Name}"),
    };

    private GqaAttention Attention(Gqa spec)
    {
        _widths = _widths.Max(GqaAttention.Widths(spec));
        var weights = new GqaWeights(
            Matrix(spec.Query, spec.Key, spec.Value),
            spec.QueryBias is { } query ? _plan.Vector(query, spec.KeyBias!, spec.ValueBias!) : null,
            Matrix(spec.Output),
            spec.OutBias is { } output ? _plan.Vector(output) : null,
            spec.QueryNorm is { } queryNorm ? _plan.Vector(queryNorm.Weight) : null,
            spec.KeyNorm is { } keyNorm ? _plan.Vector(keyNorm.Weight) : null);
        return new GqaAttention(spec, weights, _cacheOf(spec), RotationIndex(spec.Rotary), _device.Ops);
    }

    private MoeBlock Experts(Moe spec)
    {
        var router = spec.Router;
        _widths = _widths.Max(new WorkspaceWidths(0, 0, router.TopK));
        var bank = _device.Experts.Allocate(_weightType, router.Experts, router.TopK, spec.Hidden, spec.Intermediate);
        _plan.Experts(spec, bank);
        var shared = spec.Shared is { } mlp ? Mlp(mlp) : null;
        return new MoeBlock(router, Matrix(spec.Gate), bank, shared, _device.Ops, _device.Experts);
    }

    private GatedMlp Mlp(Mlp spec) => new(Matrix(spec.Gate), Matrix(spec.Up), Matrix(spec.Down), _device.Ops);

    private BoundNorm Norm(RmsNorm spec) => new(_plan.Vector(spec.Weight), spec.Epsilon);

    private WeightMatrix Matrix(params ReadOnlySpan<TensorSpec> stacked)
    {
        long rows = 0;
        foreach (var tensor in stacked)
        {
            rows += tensor.Rows;
        }

        var matrix = _device.Memory.AllocateMatrix(_weightType, checked((int)rows), checked((int)stacked[0].Columns));
        _plan.Matrix(matrix, stacked);
        return matrix;
    }

    private int RotationIndex(Rotary rotary)
    {
        var index = _rotations.IndexOf(rotary);
        if (index < 0)
        {
            index = _rotations.Count;
            _rotations.Add(rotary);
        }

        return index;
    }
}
