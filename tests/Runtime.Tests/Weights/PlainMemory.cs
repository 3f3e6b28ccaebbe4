using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Tests.Weights;

/// <summary>
/// Device memory as arrays; matrices hand their rows out a few at a time, as a device with several nodes would.
/// </summary>
internal sealed class PlainMemory(int rowsPerCall = 3) : IDeviceMemory
{
    public long BytesFree => long.MaxValue;

    public Tensor Allocate(DType type, int rows, int columns) =>
        new(new PlainBuffer((long)rows * columns * type.Bytes()), 0, type, rows, columns, columns);

    public WeightMatrix AllocateMatrix(DType type, int rows, int columns) => new PlainMatrix(type, rows, columns, rowsPerCall);

    public void Upload<T>(ReadOnlySpan<T> source, Tensor target)
        where T : unmanaged => MemoryMarshal.AsBytes(source).CopyTo(((PlainBuffer)target.Buffer).Data);

    public ReadOnlySpan<T> Read<T>(Tensor source)
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(((PlainBuffer)source.Buffer).Data);
}

/// <summary>Bytes of a tensor.</summary>
internal sealed class PlainBuffer(long bytes) : DeviceBuffer
{
    public byte[] Data { get; } = new byte[bytes];

    public override long Bytes => Data.Length;

    protected override void Dispose(bool disposing)
    {
    }
}

/// <summary>A matrix as one array.</summary>
internal sealed class PlainMatrix(DType type, int rows, int columns, int rowsPerCall) : WeightMatrix(type, rows, columns)
{
    public byte[] Data { get; } = new byte[(long)rows * columns * type.Bytes()];

    public ReadOnlySpan<float> Floats => MemoryMarshal.Cast<byte, float>(Data);

    public ReadOnlySpan<ushort> Shorts => MemoryMarshal.Cast<byte, ushort>(Data);

    public override void Fill(int rowStart, int rowCount, RowReader read)
    {
        var rowBytes = Columns * Type.Bytes();
        for (var row = rowStart; row < rowStart + rowCount; row += rowsPerCall)
        {
            var count = Math.Min(rowsPerCall, rowStart + rowCount - row);
            read(row, count, Data.AsSpan(row * rowBytes, count * rowBytes));
        }
    }
}

/// <summary>Experts as matrices of their own.</summary>
internal sealed class PlainBank(DType type, int experts, int hidden, int intermediate)
    : ExpertBank(type, experts, hidden, intermediate)
{
    private readonly PlainMatrix[] _gates = Matrices(type, experts, intermediate, hidden);
    private readonly PlainMatrix[] _ups = Matrices(type, experts, intermediate, hidden);
    private readonly PlainMatrix[] _downs = Matrices(type, experts, hidden, intermediate);

    public override WeightMatrix Gate(int expert) => _gates[expert];

    public override WeightMatrix Up(int expert) => _ups[expert];

    public override WeightMatrix Down(int expert) => _downs[expert];

    private static PlainMatrix[] Matrices(DType type, int count, int rows, int columns) =>
        [.. Enumerable.Range(0, count).Select(_ => new PlainMatrix(type, rows, columns, 3))];
}
