using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Reference;

/// <summary>Managed arrays. A buffer holds at most 2 GiB, which is far beyond the models that run here.</summary>
internal sealed class ReferenceMemory : IDeviceMemory
{
    public long BytesFree
    {
        get
        {
            var memory = GC.GetGCMemoryInfo();
            return Math.Max(0, memory.TotalAvailableMemoryBytes - memory.MemoryLoadBytes);
        }
    }

    public Tensor Allocate(DType type, int rows, int columns) =>
        new(new ReferenceBuffer((long)rows * columns * type.Bytes()), 0, type, rows, columns, columns);

    public WeightMatrix AllocateMatrix(DType type, int rows, int columns) => new ReferenceMatrix(type, rows, columns);

    public void Upload<T>(ReadOnlySpan<T> source, Tensor target)
        where T : unmanaged
    {
        var bytes = MemoryMarshal.AsBytes(source);
        var place = Contiguous(target);
        Check.That(bytes.Length == place.Length);
        bytes.CopyTo(place);
    }

    public ReadOnlySpan<T> Read<T>(Tensor source)
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(Contiguous(source));

    private static Span<byte> Contiguous(Tensor tensor)
    {
        Check.That(tensor.IsContiguous);
        var size = tensor.Type.Bytes();
        return ((ReferenceBuffer)tensor.Buffer).Span.Slice(
            checked((int)(tensor.Offset * size)), checked(tensor.Rows * tensor.Columns * size));
    }
}

/// <summary>A managed array.</summary>
internal sealed class ReferenceBuffer(long bytes) : DeviceBuffer
{
    private byte[] _bytes = new byte[checked((int)bytes)];

    public override long Bytes => _bytes.Length;

    public Span<byte> Span => _bytes;

    protected override void Dispose(bool disposing) => _bytes = [];
}

/// <summary>Rows of a tensor as spans.</summary>
internal static class ReferenceRows
{
    public static Span<float> Floats(this Tensor tensor, int row)
    {
        Check.That(tensor.Type == DType.F32);
        return MemoryMarshal.Cast<byte, float>(tensor.Bytes(row));
    }

    public static Span<int> Integers(this Tensor tensor, int row)
    {
        Check.That(tensor.Type == DType.I32);
        return MemoryMarshal.Cast<byte, int>(tensor.Bytes(row));
    }

    public static Span<byte> Bytes(this Tensor tensor, int row)
    {
        Check.That((uint)row < (uint)tensor.Rows);
        var size = tensor.Type.Bytes();
        var offset = (tensor.Offset + ((long)row * tensor.RowStride)) * size;
        return ((ReferenceBuffer)tensor.Buffer).Span.Slice(checked((int)offset), tensor.Columns * size);
    }
}

/// <summary>A weight in one array, as it was stored.</summary>
internal sealed class ReferenceMatrix(DType type, int rows, int columns) : WeightMatrix(type, rows, columns)
{
    private readonly byte[] _bytes = new byte[checked((int)((long)rows * columns * type.Bytes()))];

    private int RowBytes => Columns * Type.Bytes();

    public override void Fill(int rowStart, int rowCount, RowReader read)
    {
        Check.That(rowStart >= 0 && rowCount >= 0 && rowStart + rowCount <= Rows);
        read(rowStart, rowCount, _bytes.AsSpan(rowStart * RowBytes, rowCount * RowBytes));
    }

    /// <summary>A row as float32; the target is as long as the row.</summary>
    public void Row(int row, Span<float> target) =>
        Numerics.Widen(Type, _bytes.AsSpan(row * RowBytes, RowBytes), target);
}
