using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Interop;

/// <summary>Host memory that stays where it is: copies from and to it run beside the host, and all GPUs can reach it.</summary>
internal sealed unsafe class PinnedMemory : IDisposable
{
    private readonly CudaContext _context;
    private readonly nint _deviceAddress;
    private nint _address;

    /// <summary>Not zeroed.</summary>
    public PinnedMemory(CudaContext context, long bytes)
    {
        Check.That(bytes > 0);
        _context = context;
        Bytes = bytes;
        context.Bind();
        var status = CudaDriver.MemoryHostAllocate(
            out _address, (nuint)bytes, HostMemoryFlags.Portable | HostMemoryFlags.DeviceMap);
        if (status == CudaStatus.OutOfMemory)
        {
            throw new ConfigurationException(
                $"{Units.Bytes(bytes)} of page-locked memory cannot be had: free some memory, or raise the limit (ulimit -l).");
        }

        CudaException.ThrowIfFailed(status, "allocating page-locked memory");
        CudaException.ThrowIfFailed(
            CudaDriver.MemoryHostGetDevicePointer(out _deviceAddress, _address, 0), "mapping page-locked memory");
    }

    public long Bytes { get; }

    /// <summary>Where the host sees it.</summary>
    public nint Address
    {
        get
        {
            ObjectDisposedException.ThrowIf(_address == 0, this);
            return _address;
        }
    }

    /// <summary>Where kernels see it.</summary>
    public nint DeviceAddress
    {
        get
        {
            ObjectDisposedException.ThrowIf(_address == 0, this);
            return _deviceAddress;
        }
    }

    public Span<byte> Span(long offset, int bytes)
    {
        Check.That(offset >= 0 && bytes >= 0 && offset + bytes <= Bytes);
        return new Span<byte>((void*)(Address + (nint)offset), bytes);
    }

    public void Dispose() => _context.Release(ref _address, CudaDriver.MemoryFreeHost);
}
