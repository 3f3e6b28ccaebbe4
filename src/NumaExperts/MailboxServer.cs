using System.Runtime.InteropServices;
using LsglangSharp.NumaExperts.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.NumaExperts;

/// <summary>
/// Answers the requests of a mailbox on the pinned pool. What native code reads of it is made once and stays where it is.
/// </summary>
internal sealed unsafe class MailboxServer : IMailboxServer
{
    private readonly DeviceHandle _device;
    private readonly ExpertsHandle[] _banks;
    private readonly int _count;
    private readonly int _rowsMax;
    private LkMailbox* _mailbox;
    private LkMailboxRequest* _requests;

    public MailboxServer(DeviceHandle device, MailboxMemory memory, IReadOnlyList<MailboxRequest> requests)
    {
        _device = device;
        _count = requests.Count;
        _rowsMax = memory.Shape.RowsMax;
        _banks = [.. requests.Select(request => Handle(request.Bank))];
        // One block: the mailbox, its slots, the requests.
        var slots = memory.Slots.Count;
        var bytes = sizeof(LkMailbox) + (slots * sizeof(LkMailboxSlot)) + (_count * sizeof(LkMailboxRequest));
        _mailbox = (LkMailbox*)NativeMemory.AlignedAlloc((nuint)bytes, 64);
        var slot = (LkMailboxSlot*)(_mailbox + 1);
        _requests = (LkMailboxRequest*)(slot + slots);
        *_mailbox = new LkMailbox
        {
            Slots = slots,
            RowsMax = _rowsMax,
            Hidden = memory.Shape.Hidden,
            Fault = memory.Fault,
            Slot = slot,
        };
        for (var i = 0; i < slots; i++)
        {
            var (request, done, x, experts, weights, y) = memory.Slots[i];
            slot[i] = new LkMailboxSlot { Request = request, Done = done, X = x, Experts = experts, Weights = weights, Y = y };
        }

        for (var i = 0; i < _count; i++)
        {
            var added = false;
            // Held until the server goes: native code gets the bare pointer.
            _banks[i].DangerousAddRef(ref added);
            _requests[i] = new LkMailboxRequest
            {
                Bank = _banks[i].DangerousGetHandle(),
                Slot = requests[i].Slot,
                TopK = requests[i].TopK,
            };
        }
    }

    public void Serve(int first, int count, int rows, TimeSpan timeout)
    {
        ObjectDisposedException.ThrowIf(_mailbox is null, this);
        Check.That(first >= 0 && count >= 0 && first + count <= _count && rows > 0 && rows <= _rowsMax);
        var micros = Math.Max(1, (long)timeout.TotalMicroseconds);
        var status = LkMoe.MailboxServe(_device, *_mailbox, _requests + first, count, rows, micros, out var served);
        if (status != LkStatus.Ok)
        {
            Throw(status, first + served);
        }
    }

    public void Dispose()
    {
        if (_mailbox is not null)
        {
            NativeMemory.AlignedFree(_mailbox);
            _mailbox = null;
            _requests = null;
            foreach (var bank in _banks)
            {
                bank.DangerousRelease();
            }
        }
    }

    private static void Throw(LkStatus status, int layer)
    {
        try
        {
            LkException.ThrowIfFailed(status);
        }
        catch (LkException failure)
        {
            throw new DeviceFaultException($"experts of layer {layer} of those on the host: {failure.Message}", failure);
        }
    }

    private static ExpertsHandle Handle(ExpertBank bank)
    {
        Check.That(bank is CpuExpertBank);
        return ((CpuExpertBank)bank).Handle;
    }
}
