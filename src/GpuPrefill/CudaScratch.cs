using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill;

/// <summary>
/// Memory that holds something only within one operation, for all operations of one stream. It grows when an operation
/// needs more than any before; what it was stays, for the sake of recorded steps. So take the largest first: what is
/// reserved once for the largest step is all that there will be.
/// </summary>
internal sealed class CudaScratch(CudaMemory memory) : IDisposable
{
    private readonly List<CudaBuffer> _earlier = [];
    private CudaBuffer? _buffer;

    /// <summary>Where it begins; valid until the next call of <see cref="Reserve"/>.</summary>
    public nint Address => _buffer?.Start ?? 0;

    public long Bytes => _buffer?.Bytes ?? 0;

    /// <summary>Makes sure of so many bytes. What was there is lost when it grows.</summary>
    public void Reserve(CudaStream stream, long bytes)
    {
        if (bytes <= Bytes)
        {
            return;
        }

        Check.That(!stream.IsCapturing);
        if (_buffer is not null)
        {
            // Kernels that were enqueued or recorded before still use it.
            _earlier.Add(_buffer);
        }

        _buffer = memory.AllocateBytes(bytes, "an operation's intermediate values");
    }

    public void Dispose()
    {
        _buffer?.Dispose();
        foreach (var buffer in _earlier)
        {
            buffer.Dispose();
        }
    }
}
