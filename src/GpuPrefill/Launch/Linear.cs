using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>Field for field the struct in linear.cuh. Strides in elements.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LinearArgs
{
    public required nint Weights;
    public required nint Paired;
    public required nint X;
    public required nint Bias;
    public required nint Scales;
    public required nint Y;
    public required long WeightsStride;
    public required long XStride;
    public required long YStride;
    public required int Tokens;
    public required int Outputs;
    public required int Inputs;
    public required int Slices;
    public required int Accumulate;
    public required int TwoTerms;
}

/// <summary>
/// Launches linear_*.cu: linear layers and gated MLPs. f16 weights that meet tensor cores need a scale for each row of
/// activations first; a gated MLP needs room for its inner activations; both come from the device's scratch.
/// </summary>
internal sealed class Linear
{
    private const int VectorBytes = 16;

    private readonly Dictionary<(LinearPath Path, DType Type, bool IsGated, int Size), CudaKernel<LinearArgs>> _kernels = [];
    private readonly Rows _rows;
    private readonly CudaScratch _scratch;
    private readonly bool _twoTerms;
    private readonly int _multiprocessors;

    public Linear(CudaDevice device, Rows rows)
    {
        _rows = rows;
        _scratch = device.Scratch;
        _twoTerms = device.Options.ExactActivations;
        _multiprocessors = device.Context.Attribute(DeviceAttribute.MultiprocessorCount);
        foreach (var type in new[] { DType.F32, DType.BF16, DType.F16 })
        {
            foreach (var isGated in new[] { false, true })
            {
                foreach (var (path, size, sharedBytes) in LinearPlan.Kernels(type, isGated))
                {
                    var name = LinearPlan.Name(path, type, isGated, size);
                    _kernels.Add((path, type, isGated, size), device.Kernels.Get<LinearArgs>(name, sharedBytes));
                }
            }
        }
    }

    /// <summary>y = x · wᵀ + bias, or y += it.</summary>
    public void Launch(CudaStream stream, Tensor x, WeightMatrix w, Tensor? bias, Tensor y, bool accumulate)
    {
        Check.That(x.Rows == y.Rows && x.Columns == w.Columns && y.Columns == w.Rows);
        _scratch.Reserve(stream, ScratchBytes(x.Rows, 0, w.Type));
        Launch(stream, Operand.Of(x), CudaMatrix.Of(w), null, bias, Operand.Of(y), accumulate);
    }

    /// <summary>y = x · wᵀ, F32 [x.Rows, w.Rows], of activations that are never rounded to one term.</summary>
    public void Exactly(CudaStream stream, Tensor x, WeightMatrix w, nint y)
    {
        Check.That(x.Columns == w.Columns);
        _scratch.Reserve(stream, ScratchBytes(x.Rows, 0, w.Type));
        Launch(
            stream, Operand.Of(x), CudaMatrix.Of(w), null, null, new Operand(y, w.Rows, x.Rows, w.Rows), accumulate: false,
            twoTerms: true);
    }

    /// <summary>y += down(silu(gate · x) * (up · x)).</summary>
    public void GatedMlp(CudaStream stream, Tensor x, WeightMatrix gate, WeightMatrix up, WeightMatrix down, Tensor y)
    {
        Check.That(x.Rows == y.Rows && x.Columns == gate.Columns && y.Columns == down.Rows);
        Check.That(up.Rows == gate.Rows && up.Columns == gate.Columns && down.Columns == gate.Rows && up.Type == gate.Type);
        _scratch.Reserve(stream, ScratchBytes(x.Rows, gate.Rows, gate.Type));
        var inner = new Operand(_scratch.Address + (nint)ScalesBytes(x.Rows, gate.Type), gate.Rows, x.Rows, gate.Rows);
        Launch(stream, Operand.Of(x), CudaMatrix.Of(gate), CudaMatrix.Of(up), null, inner, accumulate: false);
        Launch(stream, inner, CudaMatrix.Of(down), null, null, Operand.Of(y), accumulate: true);
    }

    /// <summary>
    /// Bytes of scratch that layers with weights of the type take for so many tokens;
    /// <paramref name="intermediate"/> is a gated MLP's inner width, or 0.
    /// </summary>
    public static long ScratchBytes(int tokens, int intermediate, DType type) =>
        ScalesBytes(tokens, type) + ((long)tokens * intermediate * DType.F32.Bytes());

    private static long ScalesBytes(int tokens, DType type) =>
        type == DType.F16 ? ((tokens * (long)DType.F32.Bytes()) + VectorBytes - 1) / VectorBytes * VectorBytes : 0;

    private void Launch(
        CudaStream stream,
        in Operand x,
        CudaMatrix w,
        CudaMatrix? paired,
        Tensor? bias,
        in Operand y,
        bool accumulate,
        bool twoTerms = false)
    {
        Check.That(bias is null || bias.Value.Columns == w.Rows);
        var aligned = (x.Address | w.Address | (paired?.Address ?? 0)) % VectorBytes == 0
            && x.Stride * DType.F32.Bytes() % VectorBytes == 0;
        var plan = LinearPlan.For(new(x.Rows, w.Rows, w.Columns, w.Type, aligned, paired is not null), _multiprocessors);
        var isScaled = w.Type == DType.F16 && plan.Path is LinearPath.Skinny or LinearPath.Gemm;
        if (isScaled)
        {
            _rows.Scales(stream, x.Address, x.Stride, x.Rows, w.Columns, _scratch.Address);
        }

        stream.Launch(_kernels[(plan.Path, w.Type, paired is not null, plan.Size)], plan.Grid, new LinearArgs
        {
            Weights = w.Address,
            Paired = paired?.Address ?? 0,
            X = x.Address,
            Bias = bias is { } b ? CudaBuffer.Address(b, DType.F32) : 0,
            Scales = isScaled ? _scratch.Address : 0,
            Y = y.Address,
            WeightsStride = w.Columns,
            XStride = x.Stride,
            YStride = y.Stride,
            Tokens = x.Rows,
            Outputs = w.Rows,
            Inputs = w.Columns,
            Slices = plan.Slices,
            Accumulate = accumulate ? 1 : 0,
            TwoTerms = twoTerms || _twoTerms ? 1 : 0,
        });
    }

    /// <summary>Rows of float32 in device memory.</summary>
    private readonly record struct Operand(nint Address, long Stride, int Rows, int Columns)
    {
        public static Operand Of(in Tensor tensor) =>
            new(CudaBuffer.Address(tensor, DType.F32), tensor.RowStride, tensor.Rows, tensor.Columns);
    }
}
