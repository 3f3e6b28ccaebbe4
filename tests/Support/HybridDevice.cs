using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Support;

/// <summary>
/// A device with others beside it: the same as itself, but that those are disposed of first, in the order in which they were
/// added.
/// </summary>
public sealed class HybridDevice(IDevice device, IMailboxExperts? host, params IDisposable[] others) : IDevice
{
    private readonly List<IDisposable> _others = [.. others];

    public string Name => host is null ? device.Name : "hybrid";

    public DType ActivationType => device.ActivationType;

    public IDeviceMemory Memory => device.Memory;

    public IDeviceOps Ops => device.Ops;

    public IExperts Experts => device.Experts;

    public IRecorder? Recorder => device.Recorder;

    /// <summary>Who computes experts that are not the device's own.</summary>
    public IMailboxExperts? Host => host;

    public IMailboxDevice MailboxDevice => (IMailboxDevice)device;

    public IChooser? NewChooser(int vocabulary, int rowsMax) => device.NewChooser(vocabulary, rowsMax);

    public void Reserve(int rows, int inner) => device.Reserve(rows, inner);

    public void Finish() => device.Finish();

    /// <summary>Goes before everything that is there already.</summary>
    public void DisposeFirst(IDisposable other) => _others.Insert(0, other);

    public void Dispose()
    {
        _others.ForEach(other => other.Dispose());
        device.Dispose();
    }
}
