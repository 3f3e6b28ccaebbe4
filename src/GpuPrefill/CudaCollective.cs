using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.GpuPrefill.Launch;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill;

/// <summary>
/// GPUs that share every layer. Their parts meet in staging buffers: in device memory where all of them reach each other,
/// else in page-locked host memory. See docs/adr/0011.
/// </summary>
public sealed class CudaCollective : ICollective, IDisposable
{
    private static readonly TimeSpan _timeout = TimeSpan.FromSeconds(30);

    private readonly Rank[] _ranks;
    private readonly List<IDisposable> _owned = [];
    private readonly PinnedMemory _faults;
    private readonly long _capacity;

    /// <param name="devices">In the order of the ranks.</param>
    /// <param name="tokensMax">Rows of the largest step.</param>
    /// <param name="hidden">Columns of the residual stream.</param>
    public CudaCollective(IReadOnlyList<CudaDevice> devices, int tokensMax, int hidden)
    {
        Check.That(devices.Count > 0);
        _capacity = (long)tokensMax * hidden;
        UsesPeerMemory = ReachEachOther(devices);
        _faults = new PinnedMemory(devices[0].Context, devices.Count * sizeof(int));
        _owned.Add(_faults);
        _faults.Span(0, (int)_faults.Bytes).Clear();
        var stagings = devices.Select(device => Shared(device, StagingBytes(tokensMax, hidden))).ToArray();
        var flags = devices.Select(device => Shared(device, devices.Count * AllReduce.FlagWords * sizeof(uint))).ToArray();
        _ranks = [.. devices.Select(device => new Rank(
            device,
            new AllReduce(device.Kernels),
            Table(device, stagings),
            Table(device, flags),
            device.Memory.Allocate(DType.I32, 1, 2)))];

        // Flags must be zero before any rank looks at those of another.
        foreach (var device in devices)
        {
            device.Stream.Synchronize();
        }
    }

    /// <summary>Whether parts travel directly between the devices, and not through host memory.</summary>
    public bool UsesPeerMemory { get; }

    /// <summary>Bytes of staging that each rank takes.</summary>
    public static long StagingBytes(int tokensMax, int hidden) => 2L * tokensMax * hidden * sizeof(float);

    public void Split(ReadOnlySpan<Tensor> parts)
    {
        for (var rank = 1; rank < _ranks.Length; rank++)
        {
            var part = parts[rank];
            Check.That(part.IsContiguous && part.Type == DType.F32);
            var bytes = (long)part.Rows * part.Columns * sizeof(float);
            if (bytes > 0)
            {
                _ranks[rank].Device.Stream.Zero(CudaBuffer.Address(part), bytes);
            }
        }
    }

    public void Sum(ReadOnlySpan<Tensor> parts)
    {
        Check.That(parts.Length == _ranks.Length);
        for (var rank = 0; rank < _ranks.Length; rank++)
        {
            _ranks[rank].AllReduce.Publish(_ranks[rank].Device.Stream, Args(rank, parts));
        }

        for (var rank = 0; rank < _ranks.Length; rank++)
        {
            _ranks[rank].AllReduce.Sum(_ranks[rank].Device.Stream, Args(rank, parts));
        }
    }

    public void Verify()
    {
        var faults = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, int>(_faults.Span(0, (int)_faults.Bytes));
        for (var rank = 0; rank < faults.Length; rank++)
        {
            if (Volatile.Read(ref faults[rank]) is > 0 and var missing)
            {
                throw new DeviceLostException(
                    $"GPU {_ranks[missing - 1].Device.Options.DeviceIndex} did not bring its part of a layer to GPU "
                    + $"{_ranks[rank].Device.Options.DeviceIndex} within {_timeout.TotalSeconds:F0} s.");
            }
        }
    }

    public void Dispose()
    {
        foreach (var rank in _ranks)
        {
            rank.Device.Context.Drain();
        }

        foreach (var owned in _owned)
        {
            owned.Dispose();
        }

        _owned.Clear();
    }

    private static bool ReachEachOther(IReadOnlyList<CudaDevice> devices)
    {
        var all = true;
        foreach (var device in devices)
        {
            foreach (var peer in devices.Where(peer => peer != device))
            {
                all = all && device.Context.EnablePeer(peer.Context);
            }
        }

        return all;
    }

    private static nint Table(CudaDevice device, nint[] addresses)
    {
        var table = device.Memory.Allocate(DType.I32, 1, addresses.Length * 2);
        device.Memory.Upload<nint>(addresses, table);
        return CudaBuffer.Address(table);
    }

    /// <summary>Zeroed memory that all ranks reach.</summary>
    private nint Shared(CudaDevice device, long bytes)
    {
        if (UsesPeerMemory)
        {
            return CudaBuffer.Address(device.Memory.Allocate(DType.I32, 1, checked((int)(bytes / sizeof(int)))));
        }

        var pinned = new PinnedMemory(device.Context, bytes);
        _owned.Add(pinned);
        pinned.Span(0, checked((int)bytes)).Clear();
        return pinned.DeviceAddress;
    }

    private AllReduceArgs Args(int rank, ReadOnlySpan<Tensor> parts)
    {
        var part = parts[rank];
        var count = (long)part.Rows * part.Columns;
        Check.That(part.IsContiguous && count == (long)parts[0].Rows * parts[0].Columns && count <= _capacity);
        var address = CudaBuffer.Address(part, DType.F32);
        return new AllReduceArgs
        {
            Part = address,
            Sum = address,
            Stagings = _ranks[rank].Stagings,
            Flags = _ranks[rank].Flags,
            State = CudaBuffer.Address(_ranks[rank].State),
            Fault = _faults.DeviceAddress + (rank * sizeof(int)),
            Count = (ulong)count,
            Capacity = (ulong)_capacity,
            TimeoutNanos = (ulong)_timeout.TotalNanoseconds,
            Rank = (uint)rank,
            Ranks = (uint)_ranks.Length,
        };
    }

    private sealed record Rank(CudaDevice Device, AllReduce AllReduce, nint Stagings, nint Flags, Tensor State);
}
