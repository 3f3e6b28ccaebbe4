using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Ports;

/// <summary>A piece of a device's memory. Its kind is known to the device that made it.</summary>
public abstract class DeviceBuffer : IDisposable
{
    public abstract long Bytes { get; }

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected abstract void Dispose(bool disposing);
}

/// <summary>
/// A matrix in device memory, rows apart by <paramref name="RowStride"/> elements. A view: it owns nothing.
/// <paramref name="Offset"/> counts elements from the buffer's start.
/// </summary>
public readonly record struct Tensor(
    DeviceBuffer Buffer, long Offset, DType Type, int Rows, int Columns, int RowStride)
{
    /// <summary>Rows [start, start + count).</summary>
    public Tensor SliceRows(int start, int count)
    {
        Check.That(start >= 0 && count >= 0 && start + count <= Rows);
        return this with { Offset = Offset + ((long)start * RowStride), Rows = count };
    }

    /// <summary>Columns [start, start + count) of every row.</summary>
    public Tensor SliceColumns(int start, int count)
    {
        Check.That(start >= 0 && count >= 0 && start + count <= Columns);
        return this with { Offset = Offset + start, Columns = count };
    }

    public bool IsContiguous => RowStride == Columns || Rows <= 1;
}
