using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Layers;

/// <summary>
/// The weights of a grouped-query attention block. Projection holds the rows of q, k and v below each other.
/// </summary>
public sealed record GqaWeights(
    WeightMatrix Projection, Tensor? ProjectionBias, WeightMatrix Output, Tensor? OutputBias, Tensor? QueryNorm,
    Tensor? KeyNorm, Tensor? Sinks);

/// <summary>Grouped-query attention over the paged cache.</summary>
public sealed class GqaAttention(Gqa spec, GqaWeights weights, KvLayer cache, int rotationIndex, IDeviceOps ops) : Block
{
    private readonly int _queryWidth = spec.Heads * spec.HeadDim;
    private readonly int _kvWidth = spec.KvHeads * spec.HeadDim;
    private readonly AttentionRule _rule = new(1 / MathF.Sqrt(spec.HeadDim), spec.Window, weights.Sinks);

    public static WorkspaceWidths Widths(Gqa spec) =>
        new((spec.Heads + (2 * spec.KvHeads)) * spec.HeadDim, spec.Heads * spec.HeadDim, 0, 0);

    public override void Reserve(int sequences) => ops.ReserveAttention(cache, spec.Heads, sequences);

    public override void Forward(Tensor x, Tensor residual, in StepInputs step)
    {
        var projected = step.Workspace.Projected(x.Rows, _queryWidth + (2 * _kvWidth));
        ops.Linear(x, weights.Projection, weights.ProjectionBias, projected);
        var q = projected.SliceColumns(0, _queryWidth);
        var k = projected.SliceColumns(_queryWidth, _kvWidth);
        var v = projected.SliceColumns(_queryWidth + _kvWidth, _kvWidth);

        if (weights is { QueryNorm: { } queryNorm, KeyNorm: { } keyNorm })
        {
            ops.RmsNorm(q, queryNorm, spec.QkNormEpsilon!.Value, q);
            ops.RmsNorm(k, keyNorm, spec.QkNormEpsilon!.Value, k);
        }

        // The heads of q and k lie side by side, so they turn together.
        var turned = projected.SliceColumns(0, _queryWidth + _kvWidth);
        ops.Rotate(turned, spec.HeadDim, step.Rotations[rotationIndex], spec.Rotary.Interleaved);
        ops.WriteKv(k, v, cache, step.Slots);

        var attended = step.Workspace.Attended(x.Rows, _queryWidth);
        ops.Attention(q, cache, step.Attention, _rule, attended);
        ops.Linear(attended, weights.Output, weights.OutputBias, residual, accumulate: true);
    }
}
