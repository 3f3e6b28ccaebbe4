using LsglangSharp.Runtime.Placement;
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
/// The model's parts with their places on a device. The places are empty until the plan is carried out. Of several ranks only
/// the first has a head.
/// </summary>
public sealed record BoundModel(
    ModelSpec Spec, WeightMatrix Embedding, IReadOnlyList<BoundLayer> Layers, BoundNorm FinalNorm, WeightMatrix? Head,
    IReadOnlyList<Rotary> Rotations, WorkspaceWidths Widths)
{
    /// <summary>Tokens of a page of the cache; 0 for a model without attention.</summary>
    public int PageSize { get; init; }
}

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
    private readonly Shard _shard;
    private readonly Func<int, IExperts> _expertsOf;
    private readonly List<Rotary> _rotations = [];
    private WorkspaceWidths _widths;
    private int _pageSize;

    private Binding(
        IDevice device, DType weightType, WeightPlan plan, Func<Gqa, KvLayer> cacheOf, Shard shard, Func<int, IExperts> expertsOf)
    {
        _device = device;
        _weightType = weightType;
        _plan = plan;
        _cacheOf = cacheOf;
        _shard = shard;
        _expertsOf = expertsOf;
    }

    /// <param name="spec">The model.</param>
    /// <param name="device">Where it runs.</param>
    /// <param name="weightType">What matrices are kept in; norms and biases are always F32.</param>
    /// <param name="plan">Takes the tensors to load.</param>
    /// <param name="cacheOf">Pages for one attention layer, as the rank computes it.</param>
    /// <param name="shard">Which part of every layer the device has; null for all.</param>
    /// <param name="expertsOf">Who computes the routed experts of a layer; null for the device itself.</param>
    public static BoundModel Bind(
        ModelSpec spec, IDevice device, DType weightType, WeightPlan plan, Func<Gqa, KvLayer> cacheOf, Shard? shard = null,
        Func<int, IExperts>? expertsOf = null)
    {
        shard ??= Shard.Whole;
        var binding = new Binding(device, weightType, plan, cacheOf, shard, expertsOf ?? (_ => device.Experts));
        var embedding = binding.Matrix(spec.Embedding.Weight);
        var layers = spec.Layers.Select(binding.Layer).ToArray();
        var norm = binding.Norm(spec.FinalNorm);
        var head = !shard.IsFirst ? null : spec.Head.Tied ? embedding : binding.Matrix(spec.Head.Weight);
        return new BoundModel(spec, embedding, layers, norm, head, binding._rotations, binding._widths)
        {
            PageSize = binding._pageSize,
        };
    }

    private BoundLayer Layer(LayerSpec spec, int index) =>
        new(Norm(spec.PreMix), Block(spec.Mix, index), Norm(spec.PreFfn), Block(spec.Ffn, index));

    private Block Block(Part part, int layer) => part switch
    {
        Gqa gqa => Attention(gqa),
        Mlp mlp => Mlp(mlp),
        Moe moe => Experts(moe, _expertsOf(layer)),
        _ => throw new InvariantException($"no block for {part.GetType().Name}"),
    };

    private Block Attention(Gqa spec)
    {
        var local = _shard.Local(spec);
        if (local.Heads == 0)
        {
            return new EmptyBlock();
        }

        _widths = _widths.Max(GqaAttention.Widths(local));
        var weights = new GqaWeights(
            Matrix(_shard.Query(spec, spec.Query), _shard.KeyValue(spec, spec.Key), _shard.KeyValue(spec, spec.Value)),
            spec.QueryBias is { } query
                ? _plan.Vector(
                    _shard.Query(spec, query), _shard.KeyValue(spec, spec.KeyBias!), _shard.KeyValue(spec, spec.ValueBias!))
                : null,
            Matrix(_shard.Output(spec)),
            spec.OutBias is { } output && _shard.IsFirst ? _plan.Vector(output) : null,
            spec.QueryNorm is { } queryNorm ? _plan.Vector(queryNorm.Weight) : null,
            spec.KeyNorm is { } keyNorm ? _plan.Vector(keyNorm.Weight) : null,
            spec.Sinks is { } sinks ? _plan.Vector(_shard.Sinks(spec, sinks)) : null);
        var cache = _cacheOf(local);
        _pageSize = cache.PageSize;
        return new GqaAttention(local, weights, cache, RotationIndex(spec.Rotary), _device.Ops);
    }

    /// <summary>
    /// Experts on the device are shared by all ranks. Those elsewhere are whole, and only the first rank asks them.
    /// </summary>
    private Block Experts(Moe spec, IExperts experts)
    {
        var router = spec.Router;
        var shard = ReferenceEquals(experts, _device.Experts) ? _shard : Shard.Whole;
        if (shard != _shard && !_shard.IsFirst)
        {
            return spec.Shared is { } alone ? Mlp(alone) : new EmptyBlock();
        }

        _widths = _widths.Max(new WorkspaceWidths(0, 0, router.TopK, 0));
        var inner = shard.Inner(spec.Intermediate).Count;
        var bank = experts.Allocate(_weightType, router.Experts, router.TopK, spec.Hidden, inner);
        _plan.Experts(bank, index => shard.Expert(spec, index));
        var shared = spec.Shared is { } mlp ? Mlp(mlp) : null;
        var weights = new RouterWeights(
            router, Matrix(spec.Gate), spec.Correction is { } correction ? _plan.Vector(correction) : null);
        return new MoeBlock(weights, bank, shared, _device.Ops, experts);
    }

    private GatedMlp Mlp(Mlp spec)
    {
        _widths = _widths.Max(new WorkspaceWidths(0, 0, 0, _shard.Inner(spec.Intermediate).Count));
        return new GatedMlp(
            Matrix(_shard.InnerRows(spec.Gate)), Matrix(_shard.InnerRows(spec.Up)), Matrix(_shard.InnerColumns(spec.Down)),
            _device.Ops);
    }

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
