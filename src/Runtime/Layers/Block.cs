using LsglangSharp.Runtime.Ports;

namespace LsglangSharp.Runtime.Layers;

/// <summary>A part of a layer, bound to a device and its weights. Adds its result to the residual.</summary>
public abstract class Block
{
    /// <summary>residual += block(x). Both are [T, hidden].</summary>
    public abstract void Forward(Tensor x, Tensor residual, in StepInputs step);

    /// <summary>Lets the device take what steps of up to so many sequences need.</summary>
    public virtual void Reserve(int sequences)
    {
    }
}

/// <summary>A part of which this rank has no share.</summary>
public sealed class EmptyBlock : Block
{
    public override void Forward(Tensor x, Tensor residual, in StepInputs step)
    {
    }
}

/// <summary>
/// What the blocks of a step share, sized to the step's rows. <paramref name="OnRoutes"/> is told what each router
/// chose, to compare it with a reference.
/// </summary>
public readonly record struct StepInputs(
    Tensor Slots, AttentionBatch Attention, Tensor[] Rotations, Workspace Workspace, Action<Routes>? OnRoutes)
{
    /// <summary>How many rows are alive, I32 [1, 1], where a step is padded to a larger one; null where all do.</summary>
    public Tensor? LiveRows { get; init; }
}

/// <summary>
/// Room for what blocks compute on the way, allocated once for the largest step and used by one block at a time. Widths
/// are the largest that any block of the model needs.
/// </summary>
public sealed class Workspace(Tensor projected, Tensor attended, Routes routes)
{
    /// <summary>F32 [rows, width]: the first columns of the first rows.</summary>
    public Tensor Projected(int rows, int width) => View(projected, rows, width);

    public Tensor Attended(int rows, int width) => View(attended, rows, width);

    public Routes Routes(int rows, int topK) =>
        new(View(routes.Experts, rows, topK), View(routes.Weights, rows, topK));

    // The width becomes the stride, so that rows lie close together whatever the largest width is.
    private static Tensor View(Tensor whole, int rows, int width) =>
        whole with { Rows = rows, Columns = width, RowStride = width };
}

/// <summary>
/// The widths that a model's blocks need of a <see cref="Workspace"/>, and the widest inner row of its gated MLPs.
/// </summary>
public readonly record struct WorkspaceWidths(int Projected, int Attended, int TopK, int Inner)
{
    public WorkspaceWidths Max(WorkspaceWidths other) => new(
        Math.Max(Projected, other.Projected), Math.Max(Attended, other.Attended), Math.Max(TopK, other.TopK),
        Math.Max(Inner, other.Inner));
}
