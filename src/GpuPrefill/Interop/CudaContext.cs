using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Interop;

/// <summary>
/// The primary context of one device: what a thread must be bound to while it calls the driver for that device. Everything
/// made in it is disposed of before it.
/// </summary>
internal sealed class CudaContext : IDisposable
{
    // Which context this thread was bound to last: a call that changes nothing is not made.
    [ThreadStatic]
    private static CudaContext? _current;

    private readonly int _device;
    private nint _handle;
    private volatile bool _isAbandoned;

    /// <summary>Throws <see cref="ConfigurationException"/> where there is no such device or no driver.</summary>
    public CudaContext(int index)
    {
        CudaLibrary.Ensure();
        if (index < 0 || index >= CudaLibrary.DeviceCount)
        {
            var count = CudaLibrary.DeviceCount;
            throw new ConfigurationException(
                $"There is no GPU {index}: {count} {(count == 1 ? "is" : "are")} visible, counted from 0 (CUDA_VISIBLE_DEVICES, "
                + "--base-gpu-id and --gpu-id-step choose among them).");
        }

        Index = index;
        CudaException.ThrowIfFailed(CudaDriver.DeviceGet(out _device, index), "looking for a GPU");
        CudaException.ThrowIfFailed(
            CudaDriver.DevicePrimaryContextRetain(out _handle, _device), "opening", $"GPU {index}");
    }

    /// <summary>Of the devices that are visible, from 0.</summary>
    public int Index { get; }

    public nint Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(_handle == 0, this);
            return _handle;
        }
    }

    /// <summary>Bytes that can still be allocated, and bytes in all.</summary>
    public (long Free, long Total) Memory
    {
        get
        {
            Bind();
            CudaException.ThrowIfFailed(CudaDriver.MemoryGetInfo(out var free, out var total), "asking for free memory");
            return ((long)free, (long)total);
        }
    }

    /// <summary>Makes the calling thread's next calls of the driver go to this device.</summary>
    public void Bind()
    {
        if (_current != this)
        {
            CudaException.ThrowIfFailed(CudaDriver.ContextSetCurrent(Handle), "binding a thread to a GPU");
            _current = this;
        }
    }

    /// <summary>The device does not come to an end with its work: from now on nothing is asked of it that could wait for it.</summary>
    public void Abandon() => _isAbandoned = true;

    /// <summary>Gives something of this device back. A device that has failed takes it all the same.</summary>
    public void Release(ref nint handle, Func<nint, CudaStatus> free)
    {
        var given = handle;
        handle = 0;
        if (given != 0 && TryBind())
        {
            free(given);
        }
    }

    /// <summary>Waits until nothing uses the device's memory any more, whether or not it has failed.</summary>
    public void Drain()
    {
        if (TryBind())
        {
            CudaDriver.ContextSynchronize();
        }
    }

    public int Attribute(DeviceAttribute attribute)
    {
        CudaException.ThrowIfFailed(
            CudaDriver.DeviceGetAttribute(out var value, attribute, _device), "asking what a GPU can do");
        return value;
    }

    /// <summary>Waits for everything on the device.</summary>
    public void Synchronize()
    {
        Bind();
        CudaException.ThrowIfFailed(CudaDriver.ContextSynchronize(), "waiting for a GPU");
    }

    public bool CanReach(CudaContext peer)
    {
        CudaException.ThrowIfFailed(
            CudaDriver.DeviceCanAccessPeer(out var can, _device, peer._device), "asking which GPUs reach each other");
        return can != 0;
    }

    /// <summary>Lets this device's kernels and copies use the peer's memory. False where the machine cannot.</summary>
    public bool EnablePeer(CudaContext peer)
    {
        if (!CanReach(peer))
        {
            return false;
        }

        Bind();
        var status = CudaDriver.ContextEnablePeerAccess(peer.Handle, 0);
        if (status != CudaStatus.PeerAccessAlreadyEnabled)
        {
            CudaException.ThrowIfFailed(status, "letting one GPU use another's memory");
        }

        return true;
    }

    public void Dispose()
    {
        if (_handle == 0)
        {
            return;
        }

        if (_current == this)
        {
            CudaDriver.ContextSetCurrent(0);
            _current = null;
        }

        _handle = 0;
        if (!_isAbandoned)
        {
            CudaDriver.DevicePrimaryContextRelease(_device);
        }
    }

    /// <summary>False where there is nothing left to bind to.</summary>
    private bool TryBind()
    {
        if (_handle == 0 || _isAbandoned)
        {
            return false;
        }

        if (_current != this && CudaDriver.ContextSetCurrent(_handle) == CudaStatus.Success)
        {
            _current = this;
        }

        return _current == this;
    }
}
