using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill;

/// <summary>Memory of one GPU. <see cref="CudaMemory"/> makes it and counts its bytes.</summary>
internal sealed class CudaBuffer(CudaContext context, nint address, long bytes, Action<CudaBuffer> onFree) : DeviceBuffer
{
    private bool _isFree;

    public override long Bytes => bytes;

    public CudaContext Context => context;

    /// <summary>Where it begins; 0 when it is empty.</summary>
    public nint Start
    {
        get
        {
            ObjectDisposedException.ThrowIf(_isFree, this);
            return address;
        }
    }

    /// <summary>
    /// Where a tensor of this type begins. Another type, a view beyond its buffer and a buffer of another device are refused.
    /// </summary>
    public static nint Address(in Tensor tensor, DType type)
    {
        Check.That(tensor.Type == type);
        return Address(tensor);
    }

    /// <summary>Where a tensor begins, of whatever type.</summary>
    public static nint Address(in Tensor tensor)
    {
        Check.That(tensor.Buffer is CudaBuffer);
        var buffer = (CudaBuffer)tensor.Buffer;
        var size = tensor.Type.Bytes();
        var elements = tensor.Rows == 0 ? 0 : ((long)(tensor.Rows - 1) * tensor.RowStride) + tensor.Columns;
        Check.That(tensor.Offset >= 0 && tensor.RowStride >= 0);
        Check.That((tensor.Offset + elements) * size <= buffer.Bytes);
        return buffer.Start + (nint)(tensor.Offset * size);
    }

    /// <summary>The address of a row of at least <paramref name="count"/> numbers.</summary>
    public static nint Numbers(in Tensor tensor, DType type, int count)
    {
        Check.That(tensor.Columns >= count);
        return Address(tensor, type);
    }

    protected override void Dispose(bool disposing)
    {
        if (!_isFree && disposing)
        {
            _isFree = true;
            onFree(this);
            // Nothing promises that freeing waits for those who still use the memory.
            context.Drain();
            context.Release(ref address, CudaDriver.MemoryFree);
        }
    }
}
