using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Support;

/// <summary>Every operation of a layer once, at sizes that are large enough to use all workers.</summary>
public sealed class SmallStep
{
    private const int Tokens = 3;
    private const int Hidden = 256;
    private const int Heads = 4;
    private const int KvHeads = 2;
    private const int HeadDim = 64;
    private const int ExpertCount = 8;

    private readonly IDevice _device;
    private readonly WeightMatrix _table;
    private readonly WeightMatrix _gate;
    private readonly WeightMatrix _square;
    private readonly ExpertBank _bank;
    private readonly Tensor _ids;
    private readonly Tensor _x;
    private readonly Tensor _y;
    private readonly Tensor _keys;
    private readonly Tensor _weight;
    private readonly Tensor _frequencies;
    private readonly Tensor _angles;
    private readonly Routes _routes;
    private readonly KvLayer _cache;
    private readonly AttentionBatch _batch;
    private readonly Router _router = new(ExpertCount, 2, RouterScoring.Softmax) { Renormalize = true };

    public SmallStep(IDevice device)
    {
        _device = device;
        var memory = device.Memory;
        _table = memory.AllocateMatrix(DType.BF16, 100, Hidden);
        _square = memory.AllocateMatrix(DType.BF16, Hidden, Hidden);
        _gate = memory.AllocateMatrix(DType.F32, ExpertCount, Hidden);
        _bank = device.Experts.Allocate(DType.BF16, ExpertCount, 2, Hidden, 128);
        _ids = memory.Allocate(DType.I32, 1, Tokens);
        _x = memory.Allocate(DType.F32, Tokens, Hidden);
        _y = memory.Allocate(DType.F32, Tokens, Hidden);
        _keys = memory.Allocate(DType.F32, Tokens, KvHeads * HeadDim);
        _weight = memory.Allocate(DType.F32, 1, Hidden);
        _frequencies = memory.Allocate(DType.F32, 1, HeadDim / 2);
        _angles = memory.Allocate(DType.F32, Tokens, HeadDim);
        _routes = new Routes(memory.Allocate(DType.I32, Tokens, 2), memory.Allocate(DType.F32, Tokens, 2));
        var keys = memory.Allocate(DType.BF16, 2 * KvHeads * 16, HeadDim);
        var values = memory.Allocate(DType.BF16, 2 * KvHeads * 16, HeadDim);
        _cache = new KvLayer(keys, values, 16, KvHeads, HeadDim);
        var starts = memory.Allocate(DType.I32, 1, 2);
        var lengths = memory.Allocate(DType.I32, 1, 1);
        _batch = new AttentionBatch(starts, lengths, memory.Allocate(DType.I32, 1, 2))
        {
            Sequences = 1,
            QueryRowsMax = Tokens,
            ContextLengthMax = Tokens,
        };
        memory.Upload<int>([0, Tokens], _batch.QueryStarts);
        memory.Upload<int>([Tokens], _batch.ContextLengths);
        memory.Upload<int>([0, 1, 2], _ids);
    }

    public void Run()
    {
        var ops = _device.Ops;
        ops.Embed(_table, _ids, _x);
        ops.RmsNorm(_x, _weight, 1e-6f, _y);
        ops.Linear(_y, _square, _weight, _x);
        ops.RotaryAngles(_ids, _frequencies, 1, _angles);
        ops.Rotate(_x, HeadDim, _angles, false);
        ops.WriteKv(_keys, _keys, _cache, _ids);
        ops.Attention(_x, _cache, _batch, new(0.125f), _y);
        ops.GatedMlp(_x, _square, _square, _square, _y);
        ops.Route(_x, _gate, null, _router, _routes);
        var run = _device.Experts.Start(_bank, _x, _routes);
        _device.Experts.Join(run, _y);
        ops.GatherRows(_x, _ids, _y);
    }
}
