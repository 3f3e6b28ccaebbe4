using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.GpuPrefill.Launch;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill;

/// <summary>A mailbox in page-locked memory that kernels see. Freed with the device at the latest.</summary>
internal sealed unsafe class CudaMailbox : IMailbox
{
    /// <summary>In a done flag: nobody will answer. LK_MAILBOX_NO_ANSWER.</summary>
    private const uint NoAnswer = 2;

    private readonly CudaDevice _device;
    private readonly MailboxOptions _options;
    private readonly Mailbox _kernels;
    private readonly PinnedMemory _memory;
    private readonly MailboxSlot[] _slots;
    private readonly nint _fault;

    // How many blocks of a post, and of a collect, are done.
    private readonly Tensor _blocksDone;

    public CudaMailbox(CudaDevice device, MailboxShape shape, MailboxOptions options)
    {
        _device = device;
        _options = options;
        _kernels = new Mailbox(device.Kernels);
        _memory = new PinnedMemory(device.Context, shape.Bytes);
        // Rows that only fill up a step are never posted, and may be answered: they must name experts that exist.
        NativeMemory.Clear((void*)_memory.Address, (nuint)shape.Bytes);
        _slots = [.. Enumerable.Range(0, shape.Slots).Select(index => shape.Slot(_memory.DeviceAddress, index))];
        _fault = _memory.DeviceAddress;
        _blocksDone = device.Memory.Allocate(DType.I32, 2, 32);
        Memory = new MailboxMemory(
            shape, _memory.Address, [.. Enumerable.Range(0, shape.Slots).Select(index => shape.Slot(_memory.Address, index))]);
        Reset();
    }

    public MailboxMemory Memory { get; }

    public MailboxFault Fault => (MailboxFault)Volatile.Read(ref *(uint*)Memory.Fault);

    public void Post(int slot, Tensor x, Routes routes)
    {
        var shape = Memory.Shape;
        Check.That(x.Columns == shape.Hidden && x.Rows <= shape.RowsMax && routes.Experts.Rows == x.Rows);
        Check.That(routes.Experts.Columns <= shape.TopKMax && routes.Experts.IsContiguous && routes.Weights.IsContiguous);
        var place = _slots[slot];
        var args = new MailboxPostArgs
        {
            X = CudaBuffer.Address(x, DType.F32),
            Experts = CudaBuffer.Address(routes.Experts, DType.I32),
            Weights = CudaBuffer.Address(routes.Weights, DType.F32),
            SlotX = place.X,
            SlotExperts = place.Experts,
            SlotWeights = place.Weights,
            Request = place.Request,
            Live = Live(routes),
            BlocksDone = CudaBuffer.Address(_blocksDone.SliceRows(0, 1)),
            XStride = x.RowStride,
            Rows = x.Rows,
            Hidden = x.Columns,
            TopK = routes.Experts.Columns,
        };
        _kernels.Post(_device.Stream, args);
    }

    public void Collect(int slot, Routes routes, Tensor y)
    {
        Check.That(y.Columns == Memory.Shape.Hidden && y.Rows <= Memory.Shape.RowsMax);
        var place = _slots[slot];
        if (_options.WaitsByStream)
        {
            _device.Stream.WaitForWord(place.Done, 1);
        }

        var args = new MailboxCollectArgs
        {
            Y = CudaBuffer.Address(y, DType.F32),
            SlotY = place.Y,
            Done = place.Done,
            Fault = _fault,
            Live = Live(routes),
            BlocksDone = CudaBuffer.Address(_blocksDone.SliceRows(1, 1)),
            YStride = y.RowStride,
            TimeoutNanos = (ulong)_options.DeviceTimeout.TotalNanoseconds,
            Rows = y.Rows,
            Hidden = y.Columns,
            LooksAgain = _options.WaitsByStream ? 1 : 0,
        };
        _kernels.Collect(_device.Stream, args);
    }

    public void Flush() => _ = _device.Stream.IsDone;

    public void GiveUp()
    {
        Interlocked.CompareExchange(ref *(uint*)Memory.Fault, (uint)MailboxFault.HostFailed, (uint)MailboxFault.None);
        foreach (var slot in Memory.Slots)
        {
            Volatile.Write(ref *(uint*)slot.Done, NoAnswer);
        }
    }

    public void Reset()
    {
        foreach (var slot in Memory.Slots)
        {
            Volatile.Write(ref *(uint*)slot.Request, 0);
            Volatile.Write(ref *(uint*)slot.Done, 0);
        }

        Volatile.Write(ref *(uint*)Memory.Fault, (uint)MailboxFault.None);
    }

    public void Dispose()
    {
        _device.Forget(this);
        _memory.Dispose();
    }

    private static nint Live(in Routes routes) =>
        routes.LiveRows is { } count ? CudaBuffer.Numbers(count, DType.I32, 1) : 0;
}
