using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Execution;

/// <summary>
/// Routed experts on the host beside a device that computes everything else. The device posts each layer's rows to a mailbox
/// and collects the sums; this thread and its workers answer in between, without a call or a synchronisation a layer.
/// </summary>
/// <remarks>
/// Outside a recorded step each request is answered when it is joined, before the device is told to collect: however full
/// its queue is, the device never waits for something that this thread comes to only later. A recorded step is enqueued
/// whole, and then <see cref="ServeStep"/> answers all of it.
/// </remarks>
public sealed class HybridExperts(IMailbox mailbox, IMailboxExperts host, MailboxOptions options) : IExperts, IDisposable
{
    // One slot serves all layers: a layer's answer has been collected before the next one asks, and what goes back and
    // forth stays in the caches.
    private const int Slot = 0;

    private readonly List<MailboxRequest> _requests = [];
    private readonly Dictionary<ExpertBank, int> _indices = [];
    private IMailboxServer? _server;

    /// <summary>Operations are being recorded: nothing is answered now.</summary>
    public bool IsRecording { get; set; }

    /// <summary>Layers whose experts are on the host.</summary>
    public int LayerCount => _requests.Count;

    public ExpertBank Allocate(DType type, int experts, int topK, int hidden, int intermediate)
    {
        var shape = mailbox.Memory.Shape;
        Check.That(_server is null && hidden == shape.Hidden && topK <= shape.TopKMax);
        var bank = host.Allocate(type, experts, topK, hidden, intermediate);
        _indices.Add(bank, _requests.Count);
        _requests.Add(new MailboxRequest(bank, Slot, topK));
        return bank;
    }

    public ExpertRun Start(ExpertBank bank, Tensor x, Routes routes)
    {
        Check.That(x.Rows <= mailbox.Memory.Shape.RowsMax);
        mailbox.Post(Slot, x, routes);
        return new ExpertRun(bank, x, routes);
    }

    public void Join(in ExpertRun run, Tensor y)
    {
        if (!IsRecording)
        {
            mailbox.Flush();
            Server.Serve(_indices[run.Bank], 1, run.X.Rows, options.HostTimeout);
        }

        mailbox.Collect(Slot, run.Routes, y);
    }

    /// <summary>Answers every layer of a recorded step that has been enqueued.</summary>
    public void ServeStep(int rows)
    {
        if (_requests.Count > 0)
        {
            mailbox.Flush();
            Server.Serve(0, _requests.Count, rows, options.HostTimeout);
        }
    }

    /// <summary>
    /// Throws if the device has given up waiting: its results are worthless then. After a step, when the device is at rest.
    /// </summary>
    public void ThrowIfFaulty()
    {
        if (mailbox.Fault != MailboxFault.None)
        {
            throw new DeviceFaultException($"the experts on the host: {Sentence(mailbox.Fault)}");
        }
    }

    /// <summary>Lets nobody wait any longer, so that the device comes to rest.</summary>
    public void GiveUp() => mailbox.GiveUp();

    /// <summary>Ready for the next step. Only while the device is at rest.</summary>
    public void Reset() => mailbox.Reset();

    public void Dispose()
    {
        _server?.Dispose();
        mailbox.Dispose();
    }

    private IMailboxServer Server => _server ??= host.Serve(mailbox.Memory, _requests);

    private static string Sentence(MailboxFault fault) => fault switch
    {
        MailboxFault.DeviceTimedOut => "their answer did not come in time",
        MailboxFault.HostTimedOut => "the device did not ask in time",
        _ => "they have failed",
    };
}
