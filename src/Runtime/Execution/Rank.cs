using LsglangSharp.Runtime.Layers;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Execution;

/// <summary>One device's part of a forward pass: its share of the model and its buffers, with the views of the current step.</summary>
internal sealed class Rank
{
    private readonly BoundModel _model;
    private readonly IDevice _device;
    private readonly Activations _a;
    private StepInputs _step;
    private Tensor _normed;

    public Rank(BoundModel model, IDevice device, StepSizes sizes)
    {
        _model = model;
        _device = device;
        _a = new Activations(model, device, sizes);
    }

    /// <summary>The residual stream of the current step, [T, hidden].</summary>
    public Tensor Residual { get; private set; }

    /// <summary>Hands the batch's arrays to the device and computes what all layers share, up to the embedding.</summary>
    public void Begin(StepBatch batch, Action<Routes>? onRoutes)
    {
        Check.That(batch.TokenCount > 0 && batch.TokenCount <= _a.Residual.Rows);
        Check.That(batch.SequenceCount <= _a.Attention.PageTables.Rows && batch.LogitRowCount <= _a.Last.Rows);
        var rows = batch.TokenCount;
        _step = Prepare(batch, onRoutes);
        Residual = _a.Residual.SliceRows(0, rows);
        _normed = _a.Normed.SliceRows(0, rows);
        _device.Ops.Embed(_model.Embedding, _a.Tokens.SliceColumns(0, rows), Residual);
    }

    public void NormBeforeMix(int layer) => Norm(_model.Layers[layer].PreMix);

    public void Mix(int layer) => _model.Layers[layer].Mix.Forward(_normed, Residual, _step);

    public void NormBeforeFfn(int layer) => Norm(_model.Layers[layer].PreFfn);

    public void Ffn(int layer) => _model.Layers[layer].Ffn.Forward(_normed, Residual, _step);

    /// <summary>Only on the rank that has the head.</summary>
    public ReadOnlySpan<float> Logits(int rows)
    {
        if (rows == 0)
        {
            return [];
        }

        Check.That(_model.Head is not null);
        var last = _a.Last.SliceRows(0, rows);
        var logits = _a.Logits.SliceRows(0, rows);
        _device.Ops.GatherRows(Residual, _a.LogitRows.SliceColumns(0, rows), last);
        _device.Ops.RmsNorm(last, _model.FinalNorm.Weight, _model.FinalNorm.Epsilon, last);
        _device.Ops.Linear(last, _model.Head!, null, logits);
        return _device.Memory.Read<float>(logits);
    }

    private void Norm(BoundNorm norm) => _device.Ops.RmsNorm(Residual, norm.Weight, norm.Epsilon, _normed);

    private StepInputs Prepare(StepBatch batch, Action<Routes>? onRoutes)
    {
        var memory = _device.Memory;
        var (rows, sequences) = (batch.TokenCount, batch.SequenceCount);
        var positions = _a.Positions.SliceColumns(0, rows);
        var slots = _a.Slots.SliceColumns(0, rows);
        memory.Upload<int>(batch.Tokens.AsSpan(0, rows), _a.Tokens.SliceColumns(0, rows));
        memory.Upload<int>(batch.Positions.AsSpan(0, rows), positions);
        memory.Upload<int>(batch.Slots.AsSpan(0, rows), slots);
        if (batch.LogitRowCount > 0)
        {
            memory.Upload<int>(
                batch.LogitRows.AsSpan(0, batch.LogitRowCount), _a.LogitRows.SliceColumns(0, batch.LogitRowCount));
        }

        var attention = _a.Attention;
        Check.That(batch.PagesPerSequenceMax == attention.PageTables.Columns);
        memory.Upload<int>(
            batch.QueryStarts.AsSpan(0, sequences + 1), attention.QueryStarts.SliceColumns(0, sequences + 1));
        memory.Upload<int>(
            batch.ContextLengths.AsSpan(0, sequences), attention.ContextLengths.SliceColumns(0, sequences));
        memory.Upload<int>(
            batch.PageTables.AsSpan(0, sequences * batch.PagesPerSequenceMax),
            attention.PageTables.SliceRows(0, sequences));
        attention.Sequences = sequences;
        attention.QueryRowsMax = 0;
        attention.ContextLengthMax = 0;
        for (var i = 0; i < sequences; i++)
        {
            attention.QueryRowsMax = Math.Max(attention.QueryRowsMax, batch.QueryStarts[i + 1] - batch.QueryStarts[i]);
            attention.ContextLengthMax = Math.Max(attention.ContextLengthMax, batch.ContextLengths[i]);
        }

        for (var i = 0; i < _a.Frequencies.Length; i++)
        {
            _a.Rotations[i] = _a.CosSin[i].SliceRows(0, rows);
            _device.Ops.RotaryAngles(positions, _a.Frequencies[i], _a.Scales[i], _a.Rotations[i]);
        }

        return new StepInputs(slots, attention, _a.Rotations, _a.Workspace, onRoutes);
    }
}
