using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Ports;

/// <summary>One place that can run a forward pass: its memory and its operations.</summary>
public interface IDevice : IDisposable
{
    /// <summary>"reference", "cpu" or "cuda".</summary>
    string Name { get; }

    /// <summary>The element type of activations between operations.</summary>
    DType ActivationType { get; }

    IDeviceMemory Memory { get; }

    IDeviceOps Ops { get; }

    /// <summary>The routed experts that this device computes itself.</summary>
    IExperts Experts { get; }

    /// <summary>
    /// What chooses tokens of a vocabulary from up to so many rows of logits; null where the host does it. Whoever asks for it
    /// disposes of it.
    /// </summary>
    IChooser? NewChooser(int vocabulary, int rowsMax) => null;

    /// <summary>Records operations to enqueue them as one; null for a device that gains nothing by it.</summary>
    IRecorder? Recorder => null;

    /// <summary>
    /// Takes what operations on up to so many rows need for themselves, with gated MLPs of up to so many inner values: before
    /// serving, so that no step takes memory.
    /// </summary>
    void Reserve(int rows, int inner)
    {
    }

    /// <summary>
    /// Waits until everything enqueued so far has run. Throws <see cref="DeviceFaultException"/> if some of it has failed, and
    /// <see cref="DeviceLostException"/> if it does not come to an end. Nothing to do where operations are finished when
    /// they return.
    /// </summary>
    void Finish()
    {
    }
}

/// <summary>Memory of a device. Everything is allocated before serving and freed with the device.</summary>
public interface IDeviceMemory
{
    /// <summary>Zeroed activations, KV pages or index arrays.</summary>
    Tensor Allocate(DType type, int rows, int columns);

    /// <summary>A weight, placed where <see cref="IDeviceOps.Linear"/> wants its rows.</summary>
    WeightMatrix AllocateMatrix(DType type, int rows, int columns);

    /// <summary>Host to device; source and target have the same number of bytes, target is contiguous.</summary>
    void Upload<T>(ReadOnlySpan<T> source, Tensor target)
        where T : unmanaged;

    /// <summary>
    /// What a contiguous tensor holds now, after everything enqueued so far. Valid until the next operation on the
    /// device.
    /// </summary>
    ReadOnlySpan<T> Read<T>(Tensor source)
        where T : unmanaged;

    /// <summary>
    /// Bytes that weights and KV pages may still take, as the operating system or driver sees it now.
    /// </summary>
    long BytesFree { get; }
}
