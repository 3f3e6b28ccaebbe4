using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill;

/// <summary>
/// Memory of one GPU; all of it is freed with the device. Copies to the device and back go through the stream of the
/// operations, so that they stand in order with them.
/// </summary>
internal sealed class CudaMemory : IDeviceMemory, IDisposable
{
    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly long _bytesMax;
    private readonly TimeSpan _patience;
    private readonly HashSet<CudaBuffer> _owned = [];
    private readonly Lock _uploading = new();
    private readonly UploadRing _ring;
    private PinnedMemory? _readBack;

    public CudaMemory(CudaContext context, CudaStream stream, CudaDeviceOptions options)
    {
        _context = context;
        _stream = stream;
        _bytesMax = options.MemoryLimit ?? long.MaxValue;
        _patience = options.PatienceMax;
        Staging = new WeightStaging(context, options.StagingBytes);
        _ring = new UploadRing(context, stream);
    }

    public WeightStaging Staging { get; }

    /// <summary>Bytes of device memory in use by tensors and weights, as they were asked for.</summary>
    public long BytesAllocated { get; private set; }

    public long PinnedBytes => Staging.Bytes + UploadRing.Bytes + (_readBack?.Bytes ?? 0);

    public long BytesFree => Math.Max(0, Math.Min(_context.Memory.Free, _bytesMax - BytesAllocated));

    public Tensor Allocate(DType type, int rows, int columns)
    {
        Check.That(rows >= 0 && columns >= 0);
        var buffer = AllocateBytes((long)rows * columns * type.Bytes(), "activations or the cache");
        if (buffer.Bytes > 0)
        {
            _stream.Zero(buffer.Start, buffer.Bytes);
        }

        return new Tensor(buffer, 0, type, rows, columns, columns);
    }

    /// <summary>Not zeroed: whoever allocates a weight fills all of it.</summary>
    public WeightMatrix AllocateMatrix(DType type, int rows, int columns)
    {
        Check.That(rows >= 0 && columns >= 0);
        var buffer = AllocateBytes((long)rows * columns * type.Bytes(), "weights");
        return new CudaMatrix(buffer, Staging, 0, type, rows, columns);
    }

    /// <summary>Not zeroed. Throws <see cref="ConfigurationException"/> when the device has no such piece left.</summary>
    public CudaBuffer AllocateBytes(long bytes, string purpose)
    {
        Check.That(bytes >= 0);
        _context.Bind();
        nint address = 0;
        if (bytes > 0)
        {
            var status = BytesAllocated + bytes > _bytesMax
                ? CudaStatus.OutOfMemory
                : CudaDriver.MemoryAllocate(out address, (nuint)bytes);
            if (status == CudaStatus.OutOfMemory)
            {
                throw new ConfigurationException(
                    $"not enough memory on GPU {_context.Index}: {Units.Bytes(bytes)} more for {purpose} are needed, "
                    + $"{Units.Bytes(BytesFree)} are free.");
            }

            CudaException.ThrowIfFailed(status, "allocating memory for", purpose);
        }

        var buffer = new CudaBuffer(_context, address, bytes, Forget);
        lock (_owned)
        {
            _owned.Add(buffer);
            BytesAllocated += bytes;
        }

        return buffer;
    }

    public void Upload<T>(ReadOnlySpan<T> source, Tensor target)
        where T : unmanaged
    {
        var bytes = MemoryMarshal.AsBytes(source);
        Check.That(target.IsContiguous);
        Check.That((long)target.Rows * target.Columns * target.Type.Bytes() == bytes.Length);
        var address = CudaBuffer.Address(target);
        lock (_uploading)
        {
            _ring.Upload(bytes, address);
        }
    }

    public unsafe ReadOnlySpan<T> Read<T>(Tensor source)
        where T : unmanaged
    {
        var bytes = (long)source.Rows * source.Columns * source.Type.Bytes();
        Check.That(source.IsContiguous);
        Check.That(bytes % sizeof(T) == 0 && bytes / sizeof(T) <= int.MaxValue);
        if (bytes == 0)
        {
            return [];
        }

        ReserveReads(bytes);
        _stream.CopyToHost(_readBack!.Address, CudaBuffer.Address(source), bytes);
        _stream.Synchronize(_patience);
        return new ReadOnlySpan<T>((void*)_readBack.Address, (int)(bytes / sizeof(T)));
    }

    /// <summary>Page-locks as much host memory as the largest read will need, so that no read has to.</summary>
    public void ReserveReads(long bytes)
    {
        if (_readBack is null || _readBack.Bytes < bytes)
        {
            _readBack?.Dispose();
            _readBack = null;
            _readBack = new PinnedMemory(_context, bytes);
        }
    }

    public void Dispose()
    {
        lock (_owned)
        {
            foreach (var buffer in _owned.ToArray())
            {
                buffer.Dispose();
            }
        }

        Staging.Dispose();
        _ring.Dispose();
        _readBack?.Dispose();
    }

    private void Forget(CudaBuffer buffer)
    {
        lock (_owned)
        {
            _owned.Remove(buffer);
            BytesAllocated -= buffer.Bytes;
        }
    }
}
