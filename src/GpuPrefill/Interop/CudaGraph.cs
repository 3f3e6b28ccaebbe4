namespace LsglangSharp.GpuPrefill.Interop;

/// <summary>What a stream was given while it was being captured.</summary>
internal sealed class CudaGraph(CudaContext context, nint handle) : IDisposable
{
    private nint _handle = handle;

    public unsafe int NodeCount
    {
        get
        {
            nuint count = 0;
            context.Bind();
            CudaException.ThrowIfFailed(CudaDriver.GraphGetNodes(Handle, null, ref count), "counting a graph's nodes");
            return (int)count;
        }
    }

    private nint Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(_handle == 0, this);
            return _handle;
        }
    }

    public CudaGraphExec Instantiate()
    {
        context.Bind();
        CudaException.ThrowIfFailed(CudaDriver.GraphInstantiate(out var executable, Handle, 0), "instantiating a graph");
        return new CudaGraphExec(context, executable);
    }

    public void Dispose() => context.Release(ref _handle, CudaDriver.GraphDestroy);
}

/// <summary>A graph ready to be launched, any number of times, one run behind the other.</summary>
internal sealed class CudaGraphExec(CudaContext context, nint handle) : IDisposable
{
    private nint _handle = handle;

    private nint Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(_handle == 0, this);
            return _handle;
        }
    }

    /// <summary>Sends it to the device ahead of the first launch, which then takes no longer than the later ones.</summary>
    public void Upload(CudaStream stream)
    {
        context.Bind();
        CudaException.ThrowIfFailed(CudaDriver.GraphUpload(Handle, stream.Handle), "uploading a graph");
    }

    public void Launch(CudaStream stream)
    {
        context.Bind();
        CudaException.ThrowIfFailed(CudaDriver.GraphLaunch(Handle, stream.Handle), "launching a graph");
    }

    public void Dispose() => context.Release(ref _handle, CudaDriver.GraphExecDestroy);
}
