using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Weights;

/// <summary>Where weights come from: the files of a checkpoint, or a generator.</summary>
public interface IWeightSource
{
    /// <summary>
    /// One reader for each tensor, in the same order. Throws one <see cref="ConfigurationException"/> that lists every
    /// tensor that is missing, left over, or of another shape.
    /// </summary>
    IReadOnlyList<TensorReader> Open(IReadOnlyList<TensorSpec> tensors);
}

/// <summary>Reads one tensor. Safe from several threads at once.</summary>
public abstract class TensorReader(TensorSpec tensor)
{
    public TensorSpec Tensor { get; } = tensor;

    /// <summary>Reading by ascending position is what the source serves best.</summary>
    public abstract (int File, long Offset) Position { get; }

    /// <summary>
    /// Writes rows [rowStart, rowStart + rowCount) as elements of the type. A vector is a matrix of one row.
    /// </summary>
    public virtual void Read(long rowStart, int rowCount, DType type, Span<byte> target)
    {
        Check.That(rowStart >= 0 && rowStart + rowCount <= Tensor.Rows);
        Check.That(target.Length == rowCount * Tensor.Columns * type.Bytes());
        ReadElements(rowStart * Tensor.Columns, type, target);
    }

    /// <summary>Fills the target with elements of the type, from element <paramref name="first"/> of the tensor on.</summary>
    public abstract void ReadElements(long first, DType type, Span<byte> target);
}
