using System.Text;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Interop;

/// <summary>Kernels that the driver has compiled from one PTX text for one device.</summary>
internal sealed unsafe class CudaModule : IDisposable
{
    private const int LogBytes = 4096;

    private readonly CudaContext _context;
    private nint _handle;

    /// <summary>Throws <see cref="ConfigurationException"/>, with the compiler's words, where the driver refuses the text.</summary>
    /// <param name="context">The device.</param>
    /// <param name="name">For messages.</param>
    /// <param name="ptx">The text, ending in a zero.</param>
    public CudaModule(CudaContext context, string name, byte[] ptx)
    {
        _context = context;
        Check.That(ptx[^1] == 0);
        context.Bind();
        var log = new byte[LogBytes];
        var options = stackalloc JitOption[] { JitOption.ErrorLogBuffer, JitOption.ErrorLogBufferBytes };
        fixed (byte* text = ptx, complaint = log)
        {
            var values = stackalloc nint[] { (nint)complaint, LogBytes };
            var status = CudaDriver.ModuleLoadData(out _handle, text, 2, options, values);
            if (status is CudaStatus.InvalidPtx or CudaStatus.UnsupportedPtxVersion or CudaStatus.NoBinaryForGpu
                or CudaStatus.InvalidImage or CudaStatus.InvalidSource)
            {
                throw new ConfigurationException(
                    $"The NVIDIA driver refuses the kernel {name}: {CudaException.Describe(status)}. {FirstLine(log)}");
            }

            CudaException.ThrowIfFailed(status, "loading the kernel", name);
        }
    }

    public CudaFunction Function(string name)
    {
        _context.Bind();
        ObjectDisposedException.ThrowIf(_handle == 0, this);
        fixed (byte* text = Encoding.UTF8.GetBytes(name + '\0'))
        {
            CudaException.ThrowIfFailed(
                CudaDriver.ModuleGetFunction(out var function, _handle, text), "looking for the kernel", name);
            return new CudaFunction(function, name);
        }
    }

    public void Dispose() => _context.Release(ref _handle, CudaDriver.ModuleUnload);

    private static string FirstLine(byte[] log) =>
        Encoding.UTF8.GetString(log.AsSpan(0, Math.Max(0, log.AsSpan().IndexOf((byte)0)))).Trim().Split('\n')[0];
}

/// <summary>One kernel of a module. Lives as long as the module.</summary>
internal sealed class CudaFunction(nint handle, string name)
{
    public nint Handle => handle;

    public string Name => name;

    public int Attribute(FunctionAttribute attribute)
    {
        CudaException.ThrowIfFailed(
            CudaDriver.FunctionGetAttribute(out var value, attribute, handle), "asking about the kernel", name);
        return value;
    }

    public void Set(FunctionAttribute attribute, int value) => CudaException.ThrowIfFailed(
        CudaDriver.FunctionSetAttribute(handle, attribute, value), "configuring the kernel", name);
}
