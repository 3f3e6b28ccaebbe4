using System.Runtime.InteropServices;
using LsglangSharp.NumaExperts.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.NumaExperts;

/// <summary>Memory of the CPU device; all of it is freed with the device.</summary>
internal sealed class CpuMemory(DeviceHandle device) : IDeviceMemory, IDisposable
{
    private readonly List<SafeHandle> _owned = [];

    /// <summary>Bytes of tensors and weights, as they were asked for.</summary>
    public long BytesAllocated { get; private set; }

    public long BytesFree => HostMemory.BytesFree;

    public Tensor Allocate(DType type, int rows, int columns)
    {
        Check.That(rows >= 0 && columns >= 0);
        var bytes = (long)rows * columns * type.Bytes();
        var buffer = new CpuBuffer(Own(BufferHandle.Create(device, bytes), bytes), bytes);
        return new Tensor(buffer, 0, type, rows, columns, columns);
    }

    public WeightMatrix AllocateMatrix(DType type, int rows, int columns) =>
        new CpuMatrix(
            Own(MatrixHandle.Create(device, type, rows, columns), (long)rows * columns * type.Bytes()), type, rows, columns);

    public CpuExpertBank AllocateExperts(DType type, int experts, int topK, int hidden, int intermediate)
    {
        var config = new LkExpertsConfig
        {
            Type = type.ToLk(),
            Experts = experts,
            TopK = topK,
            Hidden = hidden,
            Intermediate = intermediate,
        };
        var bytes = 3L * experts * hidden * intermediate * type.Bytes();
        return new CpuExpertBank(Own(ExpertsHandle.Create(device, config), bytes), type, experts, hidden, intermediate);
    }

    public unsafe void Upload<T>(ReadOnlySpan<T> source, Tensor target)
        where T : unmanaged
    {
        var bytes = MemoryMarshal.AsBytes(source);
        bytes.CopyTo(Contiguous(target, bytes.Length));
    }

    public unsafe ReadOnlySpan<T> Read<T>(Tensor source)
        where T : unmanaged
    {
        var bytes = (long)source.Rows * source.Columns * source.Type.Bytes();
        Check.That(bytes % sizeof(T) == 0 && bytes / sizeof(T) <= int.MaxValue);
        Check.That(source.IsContiguous);
        return new ReadOnlySpan<T>((void*)CpuBuffer.Address(source), (int)(bytes / sizeof(T)));
    }

    public void Dispose()
    {
        lock (_owned)
        {
            foreach (var handle in _owned)
            {
                handle.Dispose();
            }

            _owned.Clear();
        }
    }

    private static unsafe Span<byte> Contiguous(Tensor target, int bytes)
    {
        Check.That(target.IsContiguous);
        Check.That((long)target.Rows * target.Columns * target.Type.Bytes() == bytes);
        return new Span<byte>((void*)CpuBuffer.Address(target), bytes);
    }

    private THandle Own<THandle>(THandle handle, long bytes)
        where THandle : SafeHandle
    {
        lock (_owned)
        {
            _owned.Add(handle);
            BytesAllocated += bytes;
        }

        return handle;
    }
}
