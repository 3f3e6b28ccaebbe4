using LsglangSharp.NumaExperts.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.NumaExperts;

/// <summary>A weight in slices of rows, each in the memory of the node whose threads compute it.</summary>
internal sealed class CpuMatrix(MatrixHandle handle, DType type, int rows, int columns)
    : WeightMatrix(type, rows, columns)
{
    private readonly LkSlice[] _slices = handle.Slices();

    public MatrixHandle Handle => handle;

    public override void Fill(int rowStart, int rowCount, RowReader read)
    {
        ObjectDisposedException.ThrowIf(handle.IsClosed, this);
        RowSlices.Fill(_slices, this, rowStart, rowCount, read);
    }
}

/// <summary>One matrix of one expert of a bank. The bank owns the memory.</summary>
internal sealed class CpuExpertMatrix(ExpertsHandle handle, int expert, LkPart part, DType type, int rows, int columns)
    : WeightMatrix(type, rows, columns)
{
    private readonly LkSlice[] _slices = handle.Slices(expert, part);

    public override void Fill(int rowStart, int rowCount, RowReader read)
    {
        ObjectDisposedException.ThrowIf(handle.IsClosed, this);
        RowSlices.Fill(_slices, this, rowStart, rowCount, read);
    }
}

/// <summary>The routed experts of one layer: every expert lies on every rank, sliced by rows.</summary>
internal sealed class CpuExpertBank(ExpertsHandle handle, DType type, int experts, int hidden, int intermediate)
    : ExpertBank(type, experts, hidden, intermediate)
{
    public ExpertsHandle Handle => handle;

    public override WeightMatrix Gate(int expert) =>
        new CpuExpertMatrix(handle, expert, LkPart.Gate, Type, Intermediate, Hidden);

    public override WeightMatrix Up(int expert) =>
        new CpuExpertMatrix(handle, expert, LkPart.Up, Type, Intermediate, Hidden);

    public override WeightMatrix Down(int expert) =>
        new CpuExpertMatrix(handle, expert, LkPart.Down, Type, Hidden, Intermediate);
}
