using LsglangSharp.Runtime.Layers;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Execution;

/// <summary>Runs one batch through the model. The only code that knows the order of a forward pass.</summary>
public sealed class Coordinator : IForward
{
    private readonly BoundModel _model;
    private readonly IDevice _device;
    private readonly Activations _a;

    public Coordinator(BoundModel model, IDevice device, StepSizes sizes)
    {
        _model = model;
        _device = device;
        _a = new Activations(model, device, sizes);
    }

    public int Vocabulary => _model.Spec.Head.Vocabulary;

    /// <summary>
    /// Told the residual stream [T, hidden] after the embedding (layer -1) and after each layer: to find the first
    /// layer that deviates from a reference.
    /// </summary>
    public Action<int, Tensor>? OnResidual { get; set; }

    /// <summary>Told what the router of each sparse layer chose, in the order of the layers.</summary>
    public Action<Routes>? OnRoutes { get; set; }

    public ReadOnlySpan<float> Run(StepBatch batch)
    {
        Check.That(batch.TokenCount > 0 && batch.TokenCount <= _a.Residual.Rows);
        Check.That(batch.SequenceCount <= _a.Attention.PageTables.Rows && batch.LogitRowCount <= _a.Last.Rows);
        var rows = batch.TokenCount;
        var step = Prepare(batch);
        var residual = _a.Residual.SliceRows(0, rows);
        var normed = _a.Normed.SliceRows(0, rows);

        _device.Ops.Embed(_model.Embedding, _a.Tokens.SliceColumns(0, rows), residual);
        OnResidual?.Invoke(-1, residual);
        for (var i = 0; i < _model.Layers.Count; i++)
        {
            var layer = _model.Layers[i];
            Apply(layer.PreMix, layer.Mix, residual, normed, step);
            Apply(layer.PreFfn, layer.Ffn, residual, normed, step);
            OnResidual?.Invoke(i, residual);
        }

        return Logits(batch.LogitRowCount, residual);
    }

    private void Apply(BoundNorm norm, Block block, Tensor residual, Tensor normed, in StepInputs step)
    {
        _device.Ops.RmsNorm(residual, norm.Weight, norm.Epsilon, normed);
        block.Forward(normed, residual, step);
    }

    private ReadOnlySpan<float> Logits(int rows, Tensor residual)
    {
        if (rows == 0)
        {
            return [];
        }

        var last = _a.Last.SliceRows(0, rows);
        var logits = _a.Logits.SliceRows(0, rows);
        _device.Ops.GatherRows(residual, _a.LogitRows.SliceColumns(0, rows), last);
        _device.Ops.RmsNorm(last, _model.FinalNorm.Weight, _model.FinalNorm.Epsilon, last);
        _device.Ops.Linear(last, _model.Head, null, logits);
        return _device.Memory.Read<float>(logits);
    }

    /// <summary>Hands the batch's arrays to the device and computes what all layers share.</summary>
    private StepInputs Prepare(StepBatch batch)
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

        return new StepInputs(slots, attention, _a.Rotations, _a.Workspace, OnRoutes);
    }
}
