using System.Runtime.InteropServices;
using System.Text;
using LsglangSharp.NumaExperts.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.NumaExperts;

/// <summary>Everything of a model on this machine's CPUs: native/lk_moe's pinned pool, memory and kernels.</summary>
public sealed class CpuDevice : IDevice
{
    private readonly DeviceHandle _handle;
    private readonly CpuMemory _memory;

    public CpuDevice(CpuDeviceOptions options)
    {
        _handle = Create(options);
        Description = DeviceDescription.Of(_handle);
        _memory = new CpuMemory(_handle);
        Ops = new CpuOps(_handle);
        var experts = new NumaExperts(_handle, _memory);
        (Experts, MailboxExperts) = (experts, experts);
    }

    public string Name => "cpu";

    public DType ActivationType => DType.F32;

    public IDeviceMemory Memory => _memory;

    public IDeviceOps Ops { get; }

    public IExperts Experts { get; }

    /// <summary>The same experts for another device, which asks through a mailbox.</summary>
    public IMailboxExperts MailboxExperts { get; }

    /// <summary>Bytes of RAM that tensors and weights have taken, the kernels' own buffers apart.</summary>
    public long BytesAllocated => _memory.BytesAllocated;

    /// <summary>What was chosen: instruction set, threads, ranks; and what this machine denies.</summary>
    public DeviceDescription Description { get; }

    /// <summary>Workers that sleep because nothing has run for a while. The step thread is not one of them.</summary>
    public int ParkedWorkers
    {
        get
        {
            LkException.ThrowIfFailed(LkMoe.DeviceParked(_handle, out var workers));
            return workers;
        }
    }

    /// <summary>
    /// Binds the calling thread, the one that will run the operations, to the core that the pool keeps for it. Not for
    /// threads that do anything else later.
    /// </summary>
    public void AttachThread() => LkException.ThrowIfFailed(LkMoe.DeviceAttach(_handle));

    /// <summary>Bytes per second that each rank's threads read from their own memory, all at once.</summary>
    public unsafe double[] MeasureBandwidth(TimeSpan duration)
    {
        var rates = new double[Description.Ranks.Length];
        fixed (double* target = rates)
        {
            LkException.ThrowIfFailed(
                LkMoe.Bandwidth(_handle, (int)duration.TotalMilliseconds, target, rates.Length, out _));
        }

        return rates;
    }

    public void Dispose()
    {
        _memory.Dispose();
        _handle.Dispose();
    }

    private static unsafe DeviceHandle Create(CpuDeviceOptions options)
    {
        // Null is no pointer, and a pointer to the final zero is what C calls a string.
        var cores = options.CoresPerRank is { } text ? Encoding.UTF8.GetBytes(text + '\0') : null;
        fixed (byte* coresText = cores)
        {
            var config = new LkDeviceConfig
            {
                Threads = options.Threads ?? 0,
                Binding = options.Binding == ThreadBinding.NumaNode ? LkBinding.NumaNode : LkBinding.CpuCore,
                PowerSaving = options.PowerSaving ? 1 : 0,
                Interleave = options.NumaInterleave ? 1 : 0,
                ExactGemm = options.ExactActivations ? 1 : 0,
                ParkMicros = options.ParkAfter is { } park ? Math.Max(1, (int)park.TotalMicroseconds) : 0,
                Cores = coresText,
                Root = null,
            };
            return DeviceHandle.Create(config);
        }
    }
}
