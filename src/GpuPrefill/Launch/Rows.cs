using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>Field for field the struct in rows.cu. Strides in elements.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RowsArgs
{
    public required nint Source;
    public required nint Indices;
    public required nint Y;
    public required long SourceStride;
    public required long YStride;
    public required int SourceRows;
    public required int Width;
}

/// <summary>Launches rows.cu: a block a row.</summary>
internal sealed class Rows(KernelSet kernels)
{
    private const int Threads = 256;

    private readonly CudaKernel<RowsArgs> _embedF32 = kernels.Get<RowsArgs>("embed_f32");
    private readonly CudaKernel<RowsArgs> _embedBF16 = kernels.Get<RowsArgs>("embed_bf16");
    private readonly CudaKernel<RowsArgs> _embedF16 = kernels.Get<RowsArgs>("embed_f16");
    private readonly CudaKernel<RowsArgs> _gather = kernels.Get<RowsArgs>("gather_rows");
    private readonly CudaKernel<RowsArgs> _add = kernels.Get<RowsArgs>("add_rows");
    private readonly CudaKernel<RowsArgs> _scales = kernels.Get<RowsArgs>("row_scales");

    /// <summary>y[t] = table[ids[t]]; a row of NaN where there is no such row.</summary>
    public void Embed(CudaStream stream, WeightMatrix table, Tensor ids, Tensor y)
    {
        Check.That(ids.Columns == y.Rows && y.Columns == table.Columns);
        var matrix = CudaMatrix.Of(table);
        var kernel = table.Type switch
        {
            DType.F32 => _embedF32,
            DType.BF16 => _embedBF16,
            DType.F16 => _embedF16,
            _ => throw new InvariantException($"no table of {table.Type}"),
        };
        stream.Launch(kernel, Grid(y.Rows), new RowsArgs
        {
            Source = matrix.Address,
            Indices = CudaBuffer.Address(ids, DType.I32),
            Y = CudaBuffer.Address(y, DType.F32),
            SourceStride = matrix.Columns,
            YStride = y.RowStride,
            SourceRows = matrix.Rows,
            Width = matrix.Columns,
        });
    }

    /// <summary>y[i] = x[rows[i]]; a row of NaN where there is no such row.</summary>
    public void Gather(CudaStream stream, Tensor x, Tensor rows, Tensor y)
    {
        Check.That(rows.Columns == y.Rows && x.Columns == y.Columns);
        stream.Launch(_gather, Grid(y.Rows), Args(x, CudaBuffer.Address(rows, DType.I32), y));
    }

    /// <summary>y += x.</summary>
    public void Add(CudaStream stream, Tensor x, Tensor y)
    {
        Check.That(x.Rows == y.Rows && x.Columns == y.Columns);
        stream.Launch(_add, Grid(y.Rows), Args(x, 0, y));
    }

    /// <summary>
    /// scales[t]: the power of two that brings the largest magnitude of row t, of <paramref name="width"/> numbers, to
    /// between 2^14 and 2^15.
    /// </summary>
    public void Scales(CudaStream stream, nint x, long xStride, int rows, int width, nint scales) =>
        stream.Launch(_scales, Grid(rows), new RowsArgs
        {
            Source = x,
            Indices = 0,
            Y = scales,
            SourceStride = xStride,
            YStride = 1,
            SourceRows = rows,
            Width = width,
        });

    public static LaunchGrid Grid(int rows) => new(rows, Threads);

    private static RowsArgs Args(Tensor x, nint indices, Tensor y) => new()
    {
        Source = CudaBuffer.Address(x, DType.F32),
        Indices = indices,
        Y = CudaBuffer.Address(y, DType.F32),
        SourceStride = x.RowStride,
        YStride = y.RowStride,
        SourceRows = x.Rows,
        Width = x.Columns,
    };
}
