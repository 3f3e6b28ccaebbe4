using LsglangSharp.NumaExperts.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.NumaExperts;

/// <summary>The operations of a forward pass, one native call each, finished when their methods return.</summary>
internal sealed class CpuOps(DeviceHandle device) : IDeviceOps
{
    public void Embed(WeightMatrix table, Tensor ids, Tensor y)
    {
        var target = CpuBuffer.View(y);
        LkException.ThrowIfFailed(LkMoe.Embed(device, HandleOf(table), Numbers(ids, DType.I32, y.Rows), target));
    }

    public void RmsNorm(Tensor x, Tensor weight, float epsilon, Tensor y)
    {
        var source = CpuBuffer.View(x);
        var target = CpuBuffer.View(y);
        var scales = Numbers(weight, DType.F32, weight.Columns);
        LkException.ThrowIfFailed(LkMoe.RmsNorm(device, source, scales, weight.Columns, epsilon, target));
    }

    public void Linear(Tensor x, WeightMatrix w, Tensor? bias, Tensor y, bool accumulate = false)
    {
        var source = CpuBuffer.View(x);
        var target = CpuBuffer.View(y);
        var added = bias is { } tensor ? Numbers(tensor, DType.F32, w.Rows) : 0;
        LkException.ThrowIfFailed(LkMoe.Linear(device, source, HandleOf(w), added, target, accumulate ? 1 : 0));
    }

    public void RotaryAngles(Tensor positions, Tensor frequencies, float scale, Tensor cosSin)
    {
        var target = CpuBuffer.View(cosSin);
        var at = Numbers(positions, DType.I32, cosSin.Rows);
        var steps = Numbers(frequencies, DType.F32, cosSin.Columns / 2);
        LkException.ThrowIfFailed(LkMoe.RotaryAngles(device, at, steps, scale, target));
    }

    public void Rotate(Tensor x, int headDim, Tensor cosSin, bool interleaved)
    {
        var source = CpuBuffer.View(x);
        var angles = CpuBuffer.View(cosSin);
        LkException.ThrowIfFailed(LkMoe.Rotate(device, source, headDim, angles, interleaved ? 1 : 0));
    }

    public void WriteKv(Tensor k, Tensor v, KvLayer cache, Tensor slots)
    {
        var keys = CpuBuffer.View(k);
        var values = CpuBuffer.View(v);
        Check.That(cache is { KeyScale: 1, ValueScale: 1 });
        var target = View(cache);
        LkException.ThrowIfFailed(LkMoe.WriteKv(device, keys, values, target, Numbers(slots, DType.I32, k.Rows)));
    }

    public void Attention(Tensor q, KvLayer cache, AttentionBatch batch, AttentionRule rule, Tensor y)
    {
        Check.That(rule.Window is null or > 0);
        Check.That(cache is { KeyScale: 1, ValueScale: 1 });
        var sinks = rule.Sinks is { } scores ? Numbers(scores, DType.F32, q.Columns / cache.HeadDim) : 0;
        var source = CpuBuffer.View(q);
        var target = CpuBuffer.View(y);
        var past = View(cache);
        var sequences = batch.Sequences;
        Check.That(sequences <= batch.PageTables.Rows && batch.PageTables.Type == DType.I32);
        var rows = new LkAttentionBatch
        {
            QueryStarts = Numbers(batch.QueryStarts, DType.I32, sequences + 1),
            ContextLengths = Numbers(batch.ContextLengths, DType.I32, sequences),
            PageTables = CpuBuffer.Address(batch.PageTables),
            PageTableStride = batch.PageTables.RowStride,
            Sequences = sequences,
            PagesPerSequence = batch.PageTables.Columns,
        };
        LkException.ThrowIfFailed(LkMoe.Attention(device, source, past, rows, rule.Scale, rule.Window ?? 0, sinks, target));
    }

    public void GatedMlp(Tensor x, WeightMatrix gate, WeightMatrix up, WeightMatrix down, Tensor y)
    {
        var source = CpuBuffer.View(x);
        var target = CpuBuffer.View(y);
        LkException.ThrowIfFailed(
            LkMoe.GatedMlp(device, source, HandleOf(gate), HandleOf(up), HandleOf(down), target));
    }

    public void Route(
        Tensor x, WeightMatrix gate, Tensor? correction, Router router, Routes routes, Tensor? liveRows = null)
    {
        var source = CpuBuffer.View(x);
        var experts = CpuBuffer.View(routes.Experts);
        var weights = CpuBuffer.View(routes.Weights);
        var rules = new LkRouter
        {
            Correction = correction is { } tensor ? Numbers(tensor, DType.F32, router.Experts) : 0,
            LiveRows = liveRows is { } count ? Numbers(count, DType.I32, 1) : 0,
            Scoring = router.Scoring == RouterScoring.Sigmoid ? LkScoring.Sigmoid : LkScoring.Softmax,
            Renormalize = router.Renormalize ? 1 : 0,
            Groups = router.Groups,
            GroupsKept = router.GroupsKept,
            GroupBest = router.GroupScoring == GroupScoring.BestTwo ? 2 : 1,
            Scale = router.Scale,
        };
        LkException.ThrowIfFailed(LkMoe.Route(device, source, HandleOf(gate), rules, experts, weights));
    }

    public void GatherRows(Tensor x, Tensor rows, Tensor y)
    {
        var source = CpuBuffer.View(x);
        var target = CpuBuffer.View(y);
        LkException.ThrowIfFailed(LkMoe.GatherRows(device, source, Numbers(rows, DType.I32, y.Rows), target));
    }

    private static MatrixHandle HandleOf(WeightMatrix matrix)
    {
        Check.That(matrix is CpuMatrix);
        return ((CpuMatrix)matrix).Handle;
    }

    /// <summary>The address of a row of at least <paramref name="count"/> numbers.</summary>
    private static nint Numbers(in Tensor tensor, DType type, int count)
    {
        Check.That(tensor.Type == type && tensor.Columns >= count);
        return CpuBuffer.Address(tensor);
    }

    private static LkKvLayer View(KvLayer cache) => new()
    {
        Keys = CpuBuffer.View(cache.Keys),
        Values = CpuBuffer.View(cache.Values),
        PageSize = cache.PageSize,
        KvHeads = cache.KvHeads,
        HeadDim = cache.HeadDim,
    };
}
