using System.Diagnostics;
using LsglangSharp.GpuPrefill.Launch;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Interop;

/// <summary>A queue of a device: what it is given runs in order, beside the host and other streams.</summary>
internal sealed unsafe class CudaStream : IDisposable
{
    // Rounds of pausing, about ten microseconds, after which the core is offered to others.
    private const int PauseMax = 1024;

    private nint _handle;

    /// <param name="context">The device.</param>
    /// <param name="isUrgent">Its kernels' blocks go before those of other streams.</param>
    public CudaStream(CudaContext context, bool isUrgent = false)
    {
        Context = context;
        context.Bind();
        CudaException.ThrowIfFailed(
            CudaDriver.ContextGetStreamPriorityRange(out var least, out var greatest), "asking for priorities");
        CudaException.ThrowIfFailed(
            CudaDriver.StreamCreate(out _handle, StreamFlags.NonBlocking, isUrgent ? greatest : least), "creating a stream");
    }

    public CudaContext Context { get; }

    public nint Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(_handle == 0, this);
            return _handle;
        }
    }

    /// <summary>Whether everything given so far has been done.</summary>
    public bool IsDone
    {
        get
        {
            Context.Bind();
            var status = CudaDriver.StreamQuery(Handle);
            if (status == CudaStatus.NotReady)
            {
                return false;
            }

            CudaException.ThrowIfFailed(status, "looking at a stream");
            return true;
        }
    }

    /// <summary>Whether what it is given goes to a graph instead of the device.</summary>
    public bool IsCapturing
    {
        get
        {
            Context.Bind();
            CudaException.ThrowIfFailed(CudaDriver.StreamIsCapturing(Handle, out var status), "looking at a stream");
            return status != 0;
        }
    }

    /// <summary>Enqueues a kernel. A grid without blocks is no work and no error.</summary>
    public void Launch<TArgs>(CudaKernel<TArgs> kernel, in LaunchGrid grid, in TArgs args)
        where TArgs : unmanaged
    {
        if (grid.X == 0 || grid.Y == 0 || grid.Z == 0)
        {
            return;
        }

        Check.That(grid.X > 0 && grid.Y is > 0 and <= LaunchGrid.MinorMax && grid.Z is > 0 and <= LaunchGrid.MinorMax);
        Check.That(grid.Threads > 0 && grid.Threads <= kernel.ThreadsMax && grid.SharedBytes <= kernel.DynamicSharedMax);
        Context.Bind();
        fixed (TArgs* parameters = &args)
        {
            void* parameter = parameters;
            CudaException.ThrowIfFailed(
                CudaDriver.LaunchKernel(
                    kernel.Handle, (uint)grid.X, (uint)grid.Y, (uint)grid.Z, (uint)grid.Threads, 1, 1, (uint)grid.SharedBytes,
                    Handle, &parameter, null),
                "launching the kernel",
                kernel.Name);
        }
    }

    /// <summary>Page-locked host memory to device memory.</summary>
    public void CopyToDevice(nint target, nint source, long bytes)
    {
        Context.Bind();
        CudaException.ThrowIfFailed(
            CudaDriver.CopyToDevice(target, source, (nuint)bytes, Handle), "copying to the GPU");
    }

    /// <summary>Device memory to page-locked host memory.</summary>
    public void CopyToHost(nint target, nint source, long bytes)
    {
        Context.Bind();
        CudaException.ThrowIfFailed(
            CudaDriver.CopyToHost(target, source, (nuint)bytes, Handle), "copying from the GPU");
    }

    public void CopyOnDevice(nint target, nint source, long bytes)
    {
        Context.Bind();
        CudaException.ThrowIfFailed(
            CudaDriver.CopyOnDevice(target, source, (nuint)bytes, Handle), "copying within the GPU");
    }

    /// <summary>This stream's device's memory to another's, directly where they reach each other.</summary>
    public void CopyToPeer(CudaContext peer, nint target, nint source, long bytes)
    {
        Context.Bind();
        CudaException.ThrowIfFailed(
            CudaDriver.CopyToPeer(target, peer.Handle, source, Context.Handle, (nuint)bytes, Handle),
            "copying to another GPU");
    }

    public void Zero(nint target, long bytes)
    {
        Context.Bind();
        CudaException.ThrowIfFailed(CudaDriver.SetBytes(target, 0, (nuint)bytes, Handle), "zeroing memory");
    }

    /// <summary>What is enqueued from now on runs after the event, of this device or another.</summary>
    public void Wait(CudaEvent before)
    {
        Context.Bind();
        CudaException.ThrowIfFailed(
            CudaDriver.StreamWaitEvent(Handle, before.Handle, 0), "making a stream wait for an event");
    }

    /// <summary>Waits on this thread for everything given so far.</summary>
    public void Synchronize()
    {
        Context.Bind();
        CudaException.ThrowIfFailed(CudaDriver.StreamSynchronize(Handle), "waiting for a stream");
    }

    /// <summary>
    /// The same for so long at most. Throws <see cref="DeviceLostException"/> when the device has not come to an end by then: a
    /// driver's own wait would never return.
    /// </summary>
    public void Synchronize(TimeSpan most)
    {
        var start = Stopwatch.GetTimestamp();
        for (var pause = 8; !IsDone; pause = Math.Min(2 * pause, PauseMax))
        {
            if (pause < PauseMax)
            {
                Thread.SpinWait(pause);
                continue;
            }

            Thread.Yield();
            if (Stopwatch.GetElapsedTime(start) > most)
            {
                Context.Abandon();
                throw new DeviceLostException(
                    $"GPU {Context.Index} has not finished what it was given {most.TotalSeconds:0.#} seconds ago: it hangs, or is lost.");
            }
        }
    }

    /// <summary>What is enqueued from now on runs when the word, in memory that the device sees, has reached the value.</summary>
    public void WaitForWord(nint deviceAddress, uint value)
    {
        const uint ReachedOrPassed = 0;
        Context.Bind();
        CudaException.ThrowIfFailed(
            CudaDriver.StreamWaitValue(Handle, deviceAddress, value, ReachedOrPassed), "making a stream wait for a word");
    }

    /// <summary>
    /// Collects what is given from now on, by this thread, into a graph; streams that wait for this one's events join in.
    /// </summary>
    public void BeginCapture()
    {
        Context.Bind();
        CudaException.ThrowIfFailed(
            CudaDriver.StreamBeginCapture(Handle, CaptureMode.ThreadLocal), "beginning to capture a graph");
    }

    public CudaGraph EndCapture()
    {
        Context.Bind();
        CudaException.ThrowIfFailed(CudaDriver.StreamEndCapture(Handle, out var graph), "capturing a graph");
        return new CudaGraph(Context, graph);
    }

    public void Dispose() => Context.Release(ref _handle, CudaDriver.StreamDestroy);
}
