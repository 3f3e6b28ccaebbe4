using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Ports;

namespace LsglangSharp.GpuPrefill;

/// <summary>Records what goes to a stream as a graph.</summary>
internal sealed class CudaRecorder(CudaDevice device) : IRecorder
{
    public IRecording Record(Action work)
    {
        var stream = device.Stream;
        stream.BeginCapture();
        try
        {
            work();
        }
        catch
        {
            // What came so far is nobody's; the stream must take work again.
            stream.EndCapture().Dispose();
            throw;
        }

        using var graph = stream.EndCapture();
        var executable = graph.Instantiate();
        executable.Upload(stream);
        return new Recording(device, executable);
    }

    private sealed class Recording(CudaDevice device, CudaGraphExec graph) : IRecording
    {
        public void Replay() => graph.Launch(device.Stream);

        public void Dispose() => graph.Dispose();
    }
}
