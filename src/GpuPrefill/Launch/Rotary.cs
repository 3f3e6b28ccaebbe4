using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>Field for field the struct in rotary.cu. Strides in elements.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RotaryAnglesArgs
{
    public required nint Positions;
    public required nint Frequencies;
    public required nint CosSin;
    public required long CosSinStride;
    public required int Rows;
    public required int Pairs;
    public required float Scale;
}

/// <summary>Field for field the struct in rotary.cu. Strides in elements.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RotateArgs
{
    public required nint X;
    public required nint CosSin;
    public required long XStride;
    public required long CosSinStride;
    public required int Heads;
    public required int HeadDim;
    public required int Pairs;
    public required int Interleaved;
}

/// <summary>Launches rotary.cu.</summary>
internal sealed class Rotary(KernelSet kernels)
{
    private const int ThreadsMax = 256;
    private const int Warp = 32;

    private readonly CudaKernel<RotaryAnglesArgs> _angles = kernels.Get<RotaryAnglesArgs>("rotary_angles");
    private readonly CudaKernel<RotateArgs> _rotate = kernels.Get<RotateArgs>("rotate");

    public void Angles(CudaStream stream, Tensor positions, Tensor frequencies, float scale, Tensor cosSin)
    {
        var pairs = frequencies.Columns;
        Check.That(positions.Columns == cosSin.Rows && cosSin.Columns == 2 * pairs);
        stream.Launch(_angles, AnglesGrid(cosSin.Rows, pairs), new RotaryAnglesArgs
        {
            Positions = CudaBuffer.Address(positions, DType.I32),
            Frequencies = CudaBuffer.Address(frequencies, DType.F32),
            CosSin = CudaBuffer.Address(cosSin, DType.F32),
            CosSinStride = cosSin.RowStride,
            Rows = cosSin.Rows,
            Pairs = pairs,
            Scale = scale,
        });
    }

    public void Rotate(CudaStream stream, Tensor x, int headDim, Tensor cosSin, bool interleaved)
    {
        Check.That(x.Rows == cosSin.Rows && x.Columns % headDim == 0 && cosSin.Columns <= headDim);
        var heads = x.Columns / headDim;
        stream.Launch(_rotate, RotateGrid(x.Rows, heads, cosSin.Columns / 2), new RotateArgs
        {
            X = CudaBuffer.Address(x, DType.F32),
            CosSin = CudaBuffer.Address(cosSin, DType.F32),
            XStride = x.RowStride,
            CosSinStride = cosSin.RowStride,
            Heads = heads,
            HeadDim = headDim,
            Pairs = cosSin.Columns / 2,
            Interleaved = interleaved ? 1 : 0,
        });
    }

    /// <summary>A thread an angle.</summary>
    public static LaunchGrid AnglesGrid(int rows, int pairs) =>
        new(checked((int)((((long)rows * pairs) + ThreadsMax - 1) / ThreadsMax)), ThreadsMax);

    /// <summary>A block a row; whole warps, as many as there are pairs for.</summary>
    public static LaunchGrid RotateGrid(int rows, int heads, int pairs) =>
        new(rows, Math.Clamp(((heads * pairs) + Warp - 1) / Warp * Warp, Warp, ThreadsMax));
}
