using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill;

/// <summary>A weight, row-major and contiguous, from some byte of a buffer on.</summary>
internal sealed class CudaMatrix(
    CudaBuffer buffer, WeightStaging staging, long byteOffset, DType type, int rows, int columns)
    : WeightMatrix(type, rows, columns)
{
    public CudaBuffer Buffer => buffer;

    /// <summary>Where row 0 begins.</summary>
    public nint Address => buffer.Start + (nint)byteOffset;

    /// <summary>The weight as one of this device's.</summary>
    public static CudaMatrix Of(WeightMatrix matrix)
    {
        Check.That(matrix is CudaMatrix);
        return (CudaMatrix)matrix;
    }

    /// <summary>
    /// Returns when all rows have been read; operations that are enqueued later find them in place. Not while operations
    /// that were enqueued before still read the same rows.
    /// </summary>
    public override void Fill(int rowStart, int rowCount, RowReader read)
    {
        Check.That(rowStart >= 0 && rowCount >= 0 && rowStart + rowCount <= Rows);
        var rowBytes = (long)Columns * Type.Bytes();
        staging.Fill(Address + (nint)(rowStart * rowBytes), rowBytes, rowStart, rowCount, read);
    }
}

/// <summary>
/// The routed experts of one layer. Gate and up stand one behind the other for each expert: [experts, 2 * intermediate,
/// hidden]; down: [experts, hidden, intermediate].
/// </summary>
internal sealed class CudaExpertBank : ExpertBank
{
    private readonly CudaMatrix[] _gate;
    private readonly CudaMatrix[] _up;
    private readonly CudaMatrix[] _down;
    private readonly CudaBuffer _gateUpBuffer;
    private readonly CudaBuffer _downBuffer;

    public CudaExpertBank(CudaMemory memory, DType type, int experts, int topK, int hidden, int intermediate)
        : base(type, experts, hidden, intermediate)
    {
        TopK = topK;
        var matrixBytes = (long)hidden * intermediate * type.Bytes();
        _gateUpBuffer = memory.AllocateBytes(2 * experts * matrixBytes, "experts");
        _downBuffer = memory.AllocateBytes(experts * matrixBytes, "experts");
        CudaMatrix[] All(CudaBuffer buffer, long first, long step, int rows, int columns) =>
            [.. Enumerable.Range(0, experts).Select(
                expert => new CudaMatrix(buffer, memory.Staging, first + (expert * step), type, rows, columns))];
        _gate = All(_gateUpBuffer, 0, 2 * matrixBytes, intermediate, hidden);
        _up = All(_gateUpBuffer, matrixBytes, 2 * matrixBytes, intermediate, hidden);
        _down = All(_downBuffer, 0, matrixBytes, hidden, intermediate);
    }

    public int TopK { get; }

    /// <summary>Where gate and up begin.</summary>
    public nint GateUpAddress => _gateUpBuffer.Start;

    /// <summary>Where down begins.</summary>
    public nint DownAddress => _downBuffer.Start;

    public override WeightMatrix Gate(int expert) => _gate[expert];

    public override WeightMatrix Up(int expert) => _up[expert];

    public override WeightMatrix Down(int expert) => _down[expert];
}
