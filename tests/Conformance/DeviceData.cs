using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Conformance;

/// <summary>
/// A matrix in a device's memory as a view between columns of NaN: reading them shows in results, writing them here.
/// </summary>
public sealed class PaddedTensor
{
    private const uint PaddingBits = 0x7fc0beef;

    private readonly IDevice _device;
    private readonly Tensor _whole;
    private readonly int _left;

    public PaddedTensor(IDevice device, int rows, int columns, Func<int, int, float> value, int left = 0, int right = 0)
    {
        _device = device;
        _left = left;
        var width = left + columns + right;
        var data = new float[rows * width];
        data.AsSpan().Fill(BitConverter.UInt32BitsToSingle(PaddingBits));
        for (var row = 0; row < rows; row++)
        {
            for (var column = 0; column < columns; column++)
            {
                data[(row * width) + left + column] = value(row, column);
            }
        }

        _whole = device.Memory.Allocate(DType.F32, rows, width);
        device.Memory.Upload<float>(data, _whole);
        View = _whole.SliceColumns(left, columns);
    }

    public Tensor View { get; }

    public static implicit operator Tensor(PaddedTensor tensor) => tensor.View;

    /// <summary>The view's elements; fails where something wrote beside them.</summary>
    public float[,] Read()
    {
        var data = _device.Memory.Read<float>(_whole);
        var result = new float[View.Rows, View.Columns];
        for (var row = 0; row < View.Rows; row++)
        {
            for (var column = 0; column < _whole.Columns; column++)
            {
                var value = data[(row * _whole.Columns) + column];
                if (column >= _left && column < _left + View.Columns)
                {
                    result[row, column - _left] = value;
                }
                else
                {
                    Assert.Equal(PaddingBits, BitConverter.SingleToUInt32Bits(value));
                }
            }
        }

        return result;
    }
}

/// <summary>A weight on a device, and its elements as they were stored there.</summary>
public sealed class KnownMatrix
{
    private readonly float[] _values;

    /// <summary>Fills what <paramref name="matrix"/> names with the values, rounded to its type.</summary>
    public KnownMatrix(WeightMatrix matrix, Func<int, int, float> value)
    {
        Matrix = matrix;
        _values = new float[matrix.Rows * matrix.Columns];
        for (var i = 0; i < _values.Length; i++)
        {
            _values[i] = Round(matrix.Type, value(i / matrix.Columns, i % matrix.Columns));
        }

        matrix.Fill(0, matrix.Rows, (rowStart, rowCount, target) =>
            Store(matrix.Type, _values.AsSpan(rowStart * matrix.Columns, rowCount * matrix.Columns), target));
    }

    public WeightMatrix Matrix { get; }

    public double this[int row, int column] => _values[(row * Matrix.Columns) + column];

    public static implicit operator WeightMatrix(KnownMatrix matrix) => matrix.Matrix;

    /// <summary>The nearest value that the type can hold.</summary>
    public static float Round(DType type, float value) => type switch
    {
        DType.F32 => value,
        DType.F16 => (float)(Half)value,
        DType.BF16 => BFloat16.ToSingle(BFloat16.FromSingle(value)),
        DType.F8E4M3 => Float8.ToSingle(Float8.FromSingle(value)),
        _ => throw new InvariantException($"{type} is not a type of real numbers"),
    };

    private static void Store(DType type, ReadOnlySpan<float> values, Span<byte> target)
    {
        Check.That(target.Length == values.Length * type.Bytes());
        for (var i = 0; i < values.Length; i++)
        {
            var place = target[(i * type.Bytes())..];
            switch (type)
            {
                case DType.F32:
                    MemoryMarshal.Write(place, values[i]);
                    break;
                case DType.F16:
                    MemoryMarshal.Write(place, (Half)values[i]);
                    break;
                default:
                    MemoryMarshal.Write(place, BFloat16.FromSingle(values[i]));
                    break;
            }
        }
    }
}

/// <summary>A value in exact arithmetic and how far float32 may be from it.</summary>
public readonly record struct Bounded(double Value, double Error)
{
    public static readonly Bounded Zero = new(0, 0);

    public void Holds(float actual, string where) => Assert.True(
        Math.Abs(actual - Value) <= Error, $"{where}: {actual:R} is not {Value:R} within {Error:R}");
}
