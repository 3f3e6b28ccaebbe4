using LsglangSharp.Runtime.Layers;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Execution;

/// <summary>The sizes of the largest step.</summary>
public sealed record StepSizes(int TokensMax, int SequencesMax, int PagesPerSequenceMax, int LogitRowsMax)
{
    public StepBatch NewBatch() => new(TokensMax, SequencesMax, PagesPerSequenceMax, LogitRowsMax);
}

/// <summary>Every buffer of a forward pass, allocated once for the largest step.</summary>
internal sealed class Activations
{
    public Activations(BoundModel model, IDevice device, StepSizes sizes)
    {
        var memory = device.Memory;
        var type = device.ActivationType;
        var tokens = sizes.TokensMax;
        var hidden = model.Spec.Embedding.Hidden;

        SequencesMax = sizes.SequencesMax;
        Arrays = new StepArrays(memory, sizes);
        Frequencies = new Tensor[model.Rotations.Count];
        Scales = new float[model.Rotations.Count];
        CosSin = new Tensor[model.Rotations.Count];
        Rotations = new Tensor[model.Rotations.Count];
        for (var i = 0; i < model.Rotations.Count; i++)
        {
            var frequencies = RotaryFrequencies.Of(model.Rotations[i]);
            Frequencies[i] = memory.Allocate(DType.F32, 1, frequencies.Inverse.Length);
            memory.Upload<float>(frequencies.Inverse, Frequencies[i]);
            Scales[i] = frequencies.Scale;
            CosSin[i] = memory.Allocate(DType.F32, tokens, 2 * frequencies.Inverse.Length);
        }

        Residual = memory.Allocate(type, tokens, hidden);
        Normed = memory.Allocate(type, tokens, hidden);
        Last = memory.Allocate(type, sizes.LogitRowsMax, hidden);
        Logits = memory.Allocate(DType.F32, sizes.LogitRowsMax, model.Spec.Head.Vocabulary);
        var topK = Math.Max(1, model.Widths.TopK);
        Workspace = new Workspace(
            memory.Allocate(type, tokens, model.Widths.Projected),
            memory.Allocate(type, tokens, model.Widths.Attended),
            new Routes(memory.Allocate(DType.I32, tokens, topK), memory.Allocate(DType.F32, tokens, topK)));
    }

    public int SequencesMax { get; }

    public StepArrays Arrays { get; }

    /// <summary>One for each distinct rotary embedding of the model, like the three below.</summary>
    public Tensor[] Frequencies { get; }

    public float[] Scales { get; }

    public Tensor[] CosSin { get; }

    /// <summary>The rows of <see cref="CosSin"/> that the current step has.</summary>
    public Tensor[] Rotations { get; }

    public Tensor Residual { get; }

    public Tensor Normed { get; }

    public Tensor Last { get; }

    public Tensor Logits { get; }

    public Workspace Workspace { get; }
}
