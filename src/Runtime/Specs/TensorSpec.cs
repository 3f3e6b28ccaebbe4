using System.Collections.Immutable;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Specs;

/// <summary>Where a tensor lives while the model serves.</summary>
public enum Residency
{
    /// <summary>On the device that runs attention and dense layers.</summary>
    Device,

    /// <summary>With the routed experts.</summary>
    Experts,
}

/// <summary>
/// One tensor of a checkpoint: its name there, its shape [rows, columns] or [length], and where it belongs here.
/// </summary>
public sealed record TensorSpec(string Name, ImmutableArray<long> Shape, Residency Residency = Residency.Device)
{
    /// <summary>Other spellings of the same data, in the order of preference after <see cref="Name"/>.</summary>
    public ImmutableArray<TensorSource> Alternatives { get; init; } = [];

    /// <summary>The tensor that this is a part of, and where in it; null for a whole tensor.</summary>
    public TensorPart? Part { get; init; }

    /// <summary>Added to each element of a vector when it is loaded.</summary>
    public float Added { get; init; }

    /// <summary>1 for a vector.</summary>
    public long Rows => ElementCount / Columns;

    /// <summary>The length of the last, contiguous axis.</summary>
    public long Columns => Shape[^1];

    public long ElementCount => Shape.Aggregate(1L, (count, extent) => count * extent);

    /// <summary>Rows [start, start + count) of a matrix, elements of a vector.</summary>
    public TensorSpec SliceRows(long start, long count) => Shape.Length == 1
        ? Slice([count], 0, start)
        : Slice([count, Columns], start, 0);

    /// <summary>Columns [start, start + count) of every row.</summary>
    public TensorSpec SliceColumns(long start, long count) => Slice([Rows, count], 0, start);

    private TensorSpec Slice(ImmutableArray<long> shape, long rowStart, long columnStart)
    {
        Check.That(Part is null);
        return shape.SequenceEqual(Shape)
            ? this
            : this with { Shape = shape, Part = new TensorPart(this, rowStart, columnStart) };
    }
}

/// <summary>Where a slice begins in the whole tensor.</summary>
public sealed record TensorPart(TensorSpec Whole, long RowStart, long ColumnStart);

/// <summary>
/// A tensor that some checkpoints keep inside a larger one: <paramref name="Name"/> has shape <paramref name="Shape"/>,
/// and seen as a matrix of Shape[^1] columns, the part wanted starts at row <paramref name="RowStart"/>.
/// </summary>
public sealed record TensorSource(string Name, ImmutableArray<long> Shape, long RowStart);
