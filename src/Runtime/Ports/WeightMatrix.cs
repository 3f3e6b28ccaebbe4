using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Ports;

/// <summary>
/// Fills rows [rowStart, rowStart + rowCount) of a weight, row-major, rows contiguous, in the weight's own element
/// type.
/// </summary>
public delegate void RowReader(int rowStart, int rowCount, Span<byte> target);

/// <summary>
/// A weight [rows, columns] as a device keeps it: row-major, perhaps sliced by rows over several NUMA nodes or GPUs.
/// Only the device knows where the rows lie; whoever loads it hands over a reader and is called back with each final
/// (or staging) place.
/// </summary>
public abstract class WeightMatrix(DType type, int rows, int columns)
{
    public DType Type { get; } = type;

    public int Rows { get; } = rows;

    public int Columns { get; } = columns;

    public long Bytes => (long)Rows * Columns * Type.Bytes();

    /// <summary>
    /// Fills rows [rowStart, rowStart + rowCount) through one or more calls of the reader, which cover them in order.
    /// Safe from several threads for disjoint rows.
    /// </summary>
    public abstract void Fill(int rowStart, int rowCount, RowReader read);
}

/// <summary>The routed experts of one layer, as the place that computes them keeps them.</summary>
public abstract class ExpertBank(DType type, int experts, int hidden, int intermediate)
{
    public DType Type { get; } = type;

    public int Experts { get; } = experts;

    public int Hidden { get; } = hidden;

    public int Intermediate { get; } = intermediate;

    public long Bytes => 3L * Experts * Hidden * Intermediate * Type.Bytes();

    /// <summary>[intermediate, hidden].</summary>
    public abstract WeightMatrix Gate(int expert);

    /// <summary>[intermediate, hidden].</summary>
    public abstract WeightMatrix Up(int expert);

    /// <summary>[hidden, intermediate].</summary>
    public abstract WeightMatrix Down(int expert);
}
