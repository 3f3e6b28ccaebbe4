using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Support;

/// <summary>
/// A device with others beside it: the same as itself, but that those are disposed of first, in the order in which they were
/// added.
/// </summary>
public sealed class HybridDevice(IDevice inner, IMailboxExperts? host, params IDisposable[] others) : IDevice
{
    private readonly List<IDisposable> _others = [.. others];

    public string Name => host is null ? inner.Name : "hybrid";

    public DType ActivationType => inner.ActivationType;

    public IDeviceMemory Memory => inner.Memory;

    public IDeviceOps Ops => inner.Ops;

    public IExperts Experts => inner.Experts;

    public IRecorder? Recorder => inner.Recorder;

    /// <summary>Who computes experts that are not the device's own.</summary>
    public IMailboxExperts? Host => host;

    public IMailboxDevice MailboxDevice => (IMailboxDevice)inner;

    public IChooser? NewChooser(int vocabulary, int rowsMax) => inner.NewChooser(vocabulary, rowsMax);

    public void Reserve(int rows, int width) => inner.Reserve(rows, width);

    public void Finish() => inner.Finish();

    /// <summary>Goes before everything that is there already.</summary>
    public void DisposeFirst(IDisposable other) => _others.Insert(0, other);

    public void Dispose()
    {
        _others.ForEach(other => other.Dispose());
        inner.Dispose();
    }
}
