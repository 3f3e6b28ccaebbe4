using LsglangSharp.NumaExperts.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.NumaExperts;

/// <summary>Zeroed native memory.</summary>
internal sealed class CpuBuffer(BufferHandle handle, long bytes) : DeviceBuffer
{
    public override long Bytes => bytes;

    /// <summary>Where a tensor begins. A view beyond its buffer, or a buffer of another device, is refused.</summary>
    public static nint Address(in Tensor tensor)
    {
        Check.That(tensor.Buffer is CpuBuffer);
        var buffer = (CpuBuffer)tensor.Buffer;
        var elements = tensor.Rows == 0 ? 0 : ((long)(tensor.Rows - 1) * tensor.RowStride) + tensor.Columns;
        Check.That(tensor.Offset >= 0 && tensor.RowStride >= 0);
        Check.That((tensor.Offset + elements) * tensor.Type.Bytes() <= buffer.Bytes);
        return buffer.Start + (nint)(tensor.Offset * tensor.Type.Bytes());
    }

    /// <summary>A tensor as the C ABI takes it.</summary>
    public static LkTensor View(in Tensor tensor) => new()
    {
        Data = Address(tensor),
        RowStride = tensor.RowStride,
        Rows = tensor.Rows,
        Columns = tensor.Columns,
        Type = tensor.Type.ToLk(),
    };

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            handle.Dispose();
        }
    }

    private nint Start
    {
        get
        {
            ObjectDisposedException.ThrowIf(handle.IsClosed, this);
            return handle.Address;
        }
    }
}
