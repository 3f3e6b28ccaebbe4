namespace LsglangSharp.GpuPrefill.Interop;

/// <summary>A point in a stream that others can wait for.</summary>
internal sealed class CudaEvent : IDisposable
{
    private readonly CudaContext _context;
    private nint _handle;

    public CudaEvent(CudaContext context, bool isTimed = false)
    {
        _context = context;
        context.Bind();
        CudaException.ThrowIfFailed(
            CudaDriver.EventCreate(out _handle, isTimed ? EventFlags.None : EventFlags.DisableTiming), "creating an event");
    }

    public nint Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(_handle == 0, this);
            return _handle;
        }
    }

    /// <summary>
    /// Whether everything before it has been done; true when it was never recorded. Throws when something before failed.
    /// </summary>
    public bool IsDone
    {
        get
        {
            _context.Bind();
            var status = CudaDriver.EventQuery(Handle);
            if (status == CudaStatus.NotReady)
            {
                return false;
            }

            CudaException.ThrowIfFailed(status, "looking at an event");
            return true;
        }
    }

    /// <summary>Moves it to the present end of the stream.</summary>
    public void Record(CudaStream stream)
    {
        _context.Bind();
        CudaException.ThrowIfFailed(CudaDriver.EventRecord(Handle, stream.Handle), "recording an event");
    }

    /// <summary>Waits on this thread.</summary>
    public void Synchronize()
    {
        _context.Bind();
        CudaException.ThrowIfFailed(CudaDriver.EventSynchronize(Handle), "waiting for an event");
    }

    /// <summary>Between two timed events that have both been reached.</summary>
    public TimeSpan Since(CudaEvent start)
    {
        _context.Bind();
        CudaException.ThrowIfFailed(
            CudaDriver.EventElapsedTime(out var milliseconds, start.Handle, Handle), "measuring between events");
        return TimeSpan.FromMilliseconds(milliseconds);
    }

    public void Dispose() => _context.Release(ref _handle, CudaDriver.EventDestroy);
}
