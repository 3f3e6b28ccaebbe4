using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Reference;

/// <summary>down(silu(gate · x) * (up · x)) for some rows of x, the part that dense layers and experts share.</summary>
internal sealed class ReferenceMlp
{
    private readonly Scratch<float> _gateRow = new();
    private readonly Scratch<float> _upRow = new();
    private readonly Scratch<float> _inner = new();

    /// <summary>y[row] += scale · mlp(x[row]) for each of the rows.</summary>
    public void Add(
        Tensor x, ReadOnlySpan<int> rows, ReadOnlySpan<float> scales, Matrices weights, Tensor y)
    {
        var (gate, up, down) = weights;
        Check.That(gate.Columns == x.Columns && up.Columns == x.Columns && up.Rows == gate.Rows);
        Check.That(down.Columns == gate.Rows && down.Rows == y.Columns);
        var width = gate.Rows;
        var gateRow = _gateRow.Take(x.Columns);
        var upRow = _upRow.Take(x.Columns);
        var inner = _inner.Take(rows.Length * width);
        for (var i = 0; i < width; i++)
        {
            gate.Row(i, gateRow);
            up.Row(i, upRow);
            for (var r = 0; r < rows.Length; r++)
            {
                var row = x.Floats(rows[r]);
                inner[(r * width) + i] =
                    (float)(Numerics.Silu(Numerics.Dot(row, gateRow)) * Numerics.Dot(row, upRow));
            }
        }

        var downRow = _gateRow.Take(width);
        for (var i = 0; i < down.Rows; i++)
        {
            down.Row(i, downRow);
            for (var r = 0; r < rows.Length; r++)
            {
                var product = Numerics.Dot(inner.Slice(r * width, width), downRow);
                ref var sum = ref y.Floats(rows[r])[i];
                sum = (float)(sum + (scales[r] * product));
            }
        }
    }

    public readonly record struct Matrices(ReferenceMatrix Gate, ReferenceMatrix Up, ReferenceMatrix Down);
}
