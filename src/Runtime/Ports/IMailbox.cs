namespace LsglangSharp.Runtime.Ports;

/// <summary>
/// How large a mailbox is. A slot holds what one layer of one step asks and is answered: rows of the hidden size, and up to
/// TopKMax experts a row.
/// </summary>
public readonly record struct MailboxShape(int Slots, int RowsMax, int Hidden, int TopKMax)
{
    /// <summary>Every flag lies alone in its cache lines: processors fetch lines of 64 bytes in pairs.</summary>
    public const int FlagBytes = 128;

    /// <summary>Bytes of memory that both sides see.</summary>
    public long Bytes => FlagBytes + (Slots * SlotBytes);

    /// <summary>Two flags; x and y, F32 [RowsMax, Hidden]; experts I32 and weights F32, [RowsMax, TopKMax].</summary>
    public long SlotBytes => (2 * FlagBytes) + (2 * Aligned((long)RowsMax * Hidden * sizeof(float)))
        + (2 * Aligned((long)RowsMax * TopKMax * sizeof(int)));

    /// <summary>The slots and the fault word of memory of <see cref="Bytes"/> bytes that starts at the given address.</summary>
    public MailboxSlot Slot(nint start, int index)
    {
        var wide = (nint)Aligned((long)RowsMax * Hidden * sizeof(float));
        var narrow = (nint)Aligned((long)RowsMax * TopKMax * sizeof(int));
        var at = start + FlagBytes + (nint)(index * SlotBytes);
        var x = at + (2 * FlagBytes);
        return new MailboxSlot(at, at + FlagBytes, x, x + (2 * wide), x + (2 * wide) + narrow, x + wide);
    }

    private static long Aligned(long bytes) => (bytes + FlagBytes - 1) / FlagBytes * FlagBytes;
}

/// <summary>
/// Addresses of a slot's flags and arrays. The request flag goes up when x, experts and weights are there, the done flag when y
/// is; the arrays' rows lie close together.
/// </summary>
public readonly record struct MailboxSlot(nint Request, nint Done, nint X, nint Experts, nint Weights, nint Y);

/// <summary>A mailbox's memory as the host sees it; <paramref name="Fault"/> is the address of the word that ends all waiting.</summary>
public sealed record MailboxMemory(MailboxShape Shape, nint Fault, IReadOnlyList<MailboxSlot> Slots);

/// <summary>Why nobody waits at a mailbox any longer. The numbers are those of lk_mailbox_fault.</summary>
public enum MailboxFault
{
    None = 0,

    /// <summary>The device has waited too long for an answer.</summary>
    DeviceTimedOut = 1,

    /// <summary>The host has waited too long for a request.</summary>
    HostTimedOut = 2,

    /// <summary>The experts have failed.</summary>
    HostFailed = 3,
}

/// <summary>The device's end of a mailbox: operations that are enqueued like all others.</summary>
public interface IMailbox : IDisposable
{
    MailboxMemory Memory { get; }

    MailboxFault Fault { get; }

    /// <summary>Hands the rows of x and their routes over: those that live, if the routes say how many do.</summary>
    void Post(int slot, Tensor x, Routes routes);

    /// <summary>
    /// Waits on the device for the answer to the last post and adds it: y += it, for the rows that live. Waits no longer than the
    /// mailbox's timeout, and not at all once there is a fault: then y stays as it is.
    /// </summary>
    void Collect(int slot, Routes routes, Tensor y);

    /// <summary>
    /// Sees to it that what was enqueued runs although nobody waits for it: a device may hold work back until somebody asks.
    /// </summary>
    void Flush();

    /// <summary>Sets the fault, unless there is one, and ends all waiting of the device. From the host, at any time.</summary>
    void GiveUp();

    /// <summary>Lowers all flags. Only while neither side is at work.</summary>
    void Reset();
}

/// <summary>A device with memory that the host's experts can share.</summary>
public interface IMailboxDevice
{
    /// <summary>
    /// Allocates a mailbox. Throws <see cref="Primitives.ConfigurationException"/> where there is no such memory.
    /// </summary>
    IMailbox NewMailbox(MailboxShape shape, MailboxOptions options);
}

/// <summary>How a device waits at a mailbox.</summary>
public sealed record MailboxOptions
{
    /// <summary>How long the device waits for one answer before it gives up.</summary>
    public TimeSpan DeviceTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>How long the host waits for one request before it gives up: longer than a device works between two of them.</summary>
    public TimeSpan HostTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// The device's own way to wait for a word in memory goes before the kernel that looks at it, where it has one: nothing runs
    /// while it waits, but launching what follows takes longer.
    /// </summary>
    public bool WaitsByStream { get; init; }
}

/// <summary>The host's end: experts on this machine's processors that can be asked through a mailbox.</summary>
public interface IMailboxExperts
{
    /// <summary>Room for the experts of one layer.</summary>
    ExpertBank Allocate(Primitives.DType type, int experts, int topK, int hidden, int intermediate);

    /// <summary>Makes ready to answer these requests, all of a step in the order in which they will come.</summary>
    IMailboxServer Serve(MailboxMemory memory, IReadOnlyList<MailboxRequest> requests);
}

/// <summary>What a request of a layer asks for.</summary>
public readonly record struct MailboxRequest(ExpertBank Bank, int Slot, int TopK);

/// <summary>Answers requests on the calling thread and its workers.</summary>
public interface IMailboxServer : IDisposable
{
    /// <summary>
    /// Waits for the requests [first, first + count) in turn and answers each: the experts of its first rows. Throws
    /// <see cref="Primitives.DeviceFaultException"/> when a request does not come in time, the device has given up or the
    /// experts fail; then the fault word is set and nobody waits any longer.
    /// </summary>
    void Serve(int first, int count, int rows, TimeSpan timeout);
}
