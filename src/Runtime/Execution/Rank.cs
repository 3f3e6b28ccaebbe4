using LsglangSharp.Runtime.Layers;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Execution;

/// <summary>One device's part of a forward pass: its share of the model and its buffers, with the views of the current step.</summary>
internal sealed class Rank
{
    private readonly BoundModel _model;
    private readonly Activations _a;
    private StepInputs _step;
    private Tensor _normed;

    public Rank(BoundModel model, IDevice device, StepSizes sizes)
    {
        _model = model;
        Device = device;
        _a = new Activations(model, device, sizes);
        device.Reserve(sizes.TokensMax, model.Widths.Inner);
        device.Experts.Reserve(sizes.TokensMax);
        foreach (var layer in model.Layers)
        {
            layer.Mix.Reserve(sizes.SequencesMax);
        }
    }

    public IDevice Device { get; }

    /// <summary>The residual stream of the current step, [T, hidden].</summary>
    public Tensor Residual { get; private set; }

    /// <summary>Hands the batch's arrays to the device, for a step of the given shape.</summary>
    public void Send(StepBatch batch, in StepShape shape)
    {
        Check.That(shape.Rows > 0 && shape.Rows <= _a.Residual.Rows);
        Check.That(shape.Sequences <= _a.SequencesMax && shape.LogitRows <= _a.Last.Rows);
        _a.Arrays.Send(batch, shape);
    }

    /// <summary>Computes what all layers share, up to the embedding.</summary>
    public void Begin(in StepShape shape, Action<Routes>? onRoutes)
    {
        var arrays = _a.Arrays;
        arrays.Lay(shape);
        for (var i = 0; i < _a.Frequencies.Length; i++)
        {
            _a.Rotations[i] = _a.CosSin[i].SliceRows(0, shape.Rows);
            Device.Ops.RotaryAngles(arrays.Positions, _a.Frequencies[i], _a.Scales[i], _a.Rotations[i]);
        }

        _step = new StepInputs(arrays.Slots, arrays.Attention, _a.Rotations, _a.Workspace, onRoutes)
        {
            LiveRows = shape.IsPadded ? arrays.LiveRows : null,
        };
        Residual = _a.Residual.SliceRows(0, shape.Rows);
        _normed = _a.Normed.SliceRows(0, shape.Rows);
        Device.Ops.Embed(_model.Embedding, arrays.Tokens, Residual);
    }

    public void NormBeforeMix(int layer) => Norm(_model.Layers[layer].PreMix);

    public void Mix(int layer) => _model.Layers[layer].Mix.Forward(_normed, Residual, _step);

    public void NormBeforeFfn(int layer) => Norm(_model.Layers[layer].PreFfn);

    public void Ffn(int layer) => _model.Layers[layer].Ffn.Forward(_normed, Residual, _step);

    /// <summary>Computes the logits of the rows that the step asks for. Only on the rank that has the head.</summary>
    public void Head(in StepShape shape)
    {
        if (shape.LogitRows == 0)
        {
            return;
        }

        Check.That(_model.Head is not null);
        var last = _a.Last.SliceRows(0, shape.LogitRows);
        Device.Ops.GatherRows(Residual, _a.Arrays.LogitRows, last);
        Device.Ops.RmsNorm(last, _model.FinalNorm.Weight, _model.FinalNorm.Epsilon, last);
        Device.Ops.Linear(last, _model.Head!, null, _a.Logits.SliceRows(0, shape.LogitRows));
    }

    /// <summary>All rows of logits that there is room for.</summary>
    public Tensor LogitRows => _a.Logits;

    /// <summary>Where a step of the shape looks for the tokens of its first rows.</summary>
    public Tensor Tokens(in StepShape shape, int rows)
    {
        _a.Arrays.Lay(shape);
        return _a.Arrays.Tokens.SliceColumns(0, rows);
    }

    /// <summary>Waits for the step and returns rows of its logits.</summary>
    public ReadOnlySpan<float> Logits(int rows, int start = 0)
    {
        if (rows > 0)
        {
            return Device.Memory.Read<float>(_a.Logits.SliceRows(start, rows));
        }

        Device.Finish();
        return [];
    }

    private void Norm(BoundNorm norm) => Device.Ops.RmsNorm(Residual, norm.Weight, norm.Epsilon, _normed);
}
