using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>Field for field the struct in rms_norm.cu. Strides in elements.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RmsNormArgs
{
    public required nint X;
    public required nint Weight;
    public required nint Y;
    public required long XStride;
    public required long YStride;
    public required int Width;
    public required int Groups;
    public required float Epsilon;
}

/// <summary>Launches rms_norm.cu: a block a group of a row.</summary>
internal sealed class RmsNorm(KernelSet kernels)
{
    private const int ThreadsMax = 256;
    private const int Warp = 32;

    private readonly CudaKernel<RmsNormArgs> _kernel = kernels.Get<RmsNormArgs>("rms_norm");

    public void Launch(CudaStream stream, Tensor x, Tensor weight, float epsilon, Tensor y)
    {
        var width = weight.Columns;
        Check.That(weight.Type == DType.F32 && x.Columns == y.Columns && x.Rows == y.Rows && x.Columns % width == 0);
        var args = new RmsNormArgs
        {
            X = CudaBuffer.Address(x, DType.F32),
            Weight = CudaBuffer.Address(weight, DType.F32),
            Y = CudaBuffer.Address(y, DType.F32),
            XStride = x.RowStride,
            YStride = y.RowStride,
            Width = width,
            Groups = x.Columns / width,
            Epsilon = epsilon,
        };
        stream.Launch(_kernel, Grid(x.Rows, x.Columns / width, width), args);
    }

    /// <summary>Whole warps, as many as the group has elements for.</summary>
    public static LaunchGrid Grid(int rows, int groups, int width) =>
        new(groups, rows, 1, Math.Min(ThreadsMax, (width + Warp - 1) / Warp * Warp));
}
