using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Runtime.Weights;
using Microsoft.Win32.SafeHandles;

namespace LsglangSharp.Benchmarks;

/// <summary>
/// New anonymous memory, in huge pages where they can be had, with a place for every tensor of a model.
/// </summary>
internal sealed unsafe class BenchmarkMemory : IDeviceMemory, IDisposable
{
    private const int HugePage = 2 << 20;

    private readonly byte* _start;
    private readonly long _capacity;
    private long _used;

    public BenchmarkMemory(ModelSpec spec, DType type)
    {
        TensorSpec[] tensors = [.. spec.Tensors];
        Bytes = tensors.Sum(tensor => tensor.ElementCount * type.Bytes());
        _capacity = (Bytes + (tensors.Length * 64L) + HugePage) / HugePage * HugePage;
        _start = (byte*)NativeMemory.AlignedAlloc((nuint)_capacity, HugePage);
        LibC.AdviseHugePages(_start, _capacity);
        Plan = new WeightPlan(this);
        foreach (var tensor in tensors)
        {
            Plan.Matrix(AllocateMatrix(type, (int)tensor.Rows, (int)tensor.Columns), tensor);
        }
    }

    public WeightPlan Plan { get; }

    public long Bytes { get; }

    public long BytesFree => long.MaxValue;

    public Tensor Allocate(DType type, int rows, int columns) => throw new NotSupportedException("only matrices are measured");

    public WeightMatrix AllocateMatrix(DType type, int rows, int columns)
    {
        var matrix = new Matrix(type, rows, columns, _start + _used);
        _used += (matrix.Bytes + 63) / 64 * 64;
        return matrix;
    }

    public void Upload<T>(ReadOnlySpan<T> source, Tensor target)
        where T : unmanaged => throw new NotSupportedException("only matrices are measured");

    public ReadOnlySpan<T> Read<T>(Tensor source)
        where T : unmanaged => throw new NotSupportedException("only matrices are measured");

    /// <summary>Writes all of it once, with nothing but stores.</summary>
    public void Write(int threads)
    {
        const int piece = 8 << 20;
        var next = -1L;
        LoadBenchmark.Parallel(threads, () =>
        {
            for (var i = Interlocked.Increment(ref next); i * piece < _used; i = Interlocked.Increment(ref next))
            {
                At(i * piece, (int)Math.Min(piece, _used - (i * piece))).Fill(1);
            }
        });
    }

    /// <summary>A stretch of the memory; near its end, the last one of that length.</summary>
    public Span<byte> At(long offset, int length) => new(_start + Math.Min(offset, _capacity - length), length);

    public void Dispose() => NativeMemory.AlignedFree(_start);

    private sealed class Matrix(DType type, int rows, int columns, byte* start) : WeightMatrix(type, rows, columns)
    {
        public override void Fill(int rowStart, int rowCount, RowReader read)
        {
            var rowBytes = (long)Columns * Type.Bytes();
            read(rowStart, rowCount, new Span<byte>(start + (rowStart * rowBytes), (int)(rowCount * rowBytes)));
        }
    }
}

/// <summary>What the BCL does not offer.</summary>
internal static unsafe partial class LibC
{
    public static void AdviseHugePages(byte* start, long bytes)
    {
        const int hugePage = 14;
        _ = Madvise(start, (nuint)bytes, hugePage);
    }

    /// <summary>So that the next reading comes from the disk.</summary>
    public static void DropFromPageCache(SafeFileHandle file)
    {
        const int dontNeed = 4;
        _ = PosixFadvise(file, 0, 0, dontNeed);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Madvise(byte* start, nuint bytes, int advice);

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    private static partial int PosixFadvise(SafeFileHandle file, long start, long bytes, int advice);
}
