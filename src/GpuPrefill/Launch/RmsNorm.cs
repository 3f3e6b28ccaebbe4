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
    public required int Rows;
}

/// <summary>Launches rms_norm.cu: a block a group of a row, or a warp where groups are short.</summary>
internal sealed class RmsNorm(KernelSet kernels)
{
    private const int ThreadsMax = 256;
    private const int Warp = 32;
    private const int HeadsOfBlock = ThreadsMax / Warp;

    /// <summary>Up to here a warp loads a group in four times sixteen bytes a lane.</summary>
    private const int HeadWidthMax = 4 * 4 * Warp;

    private readonly CudaKernel<RmsNormArgs> _block = kernels.Get<RmsNormArgs>("rms_norm");
    private readonly CudaKernel<RmsNormArgs> _warp = kernels.Get<RmsNormArgs>("rms_norm_heads");

    public void Launch(CudaStream stream, Tensor x, Tensor weight, float epsilon, Tensor y)
    {
        var width = weight.Columns;
        Check.That(x.Columns == y.Columns && x.Rows == y.Rows && x.Columns % width == 0);
        var groups = x.Columns / width;
        var args = new RmsNormArgs
        {
            X = CudaBuffer.Address(x, DType.F32),
            Weight = CudaBuffer.Address(weight, DType.F32),
            Y = CudaBuffer.Address(y, DType.F32),
            XStride = x.RowStride,
            YStride = y.RowStride,
            Width = width,
            Groups = groups,
            Epsilon = epsilon,
            Rows = x.Rows,
        };
        stream.Launch(IsByWarp(width) ? _warp : _block, Grid(x.Rows, groups, width), args);
    }

    public static bool IsByWarp(int width) => width <= HeadWidthMax;

    /// <summary>By block: whole warps, as many as the group has elements for, up to eight.</summary>
    public static LaunchGrid Grid(int rows, int groups, int width)
    {
        var all = checked(rows * groups);
        return IsByWarp(width)
            ? new((all + HeadsOfBlock - 1) / HeadsOfBlock, ThreadsMax)
            : new(all, Math.Min(ThreadsMax, (width + Warp - 1) / Warp * Warp));
    }
}
