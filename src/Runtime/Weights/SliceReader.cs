using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Weights;

/// <summary>Reads a slice of a tensor through the reader of the whole; only the slice's bytes are read.</summary>
internal sealed class SliceReader(TensorSpec slice, TensorReader whole) : TensorReader(slice)
{
    private readonly long _first = (slice.Part!.RowStart * slice.Part.Whole.Columns) + slice.Part.ColumnStart;

    public override (int File, long Offset) Position
    {
        get
        {
            var (file, offset) = whole.Position;
            return (file, offset + _first);
        }
    }

    /// <summary>The whole tensor's reader, or one for the slice of it.</summary>
    public static TensorReader Of(TensorSpec tensor, TensorReader reader) =>
        tensor.Part is null ? reader : new SliceReader(tensor, reader);

    public override void ReadElements(long first, DType type, Span<byte> target)
    {
        var columns = Tensor.Columns;
        var wholeColumns = Tensor.Part!.Whole.Columns;
        if (columns == wholeColumns)
        {
            whole.ReadElements(_first + first, type, target);
            return;
        }

        while (target.Length > 0)
        {
            var (row, column) = Math.DivRem(first, columns);
            var count = (int)Math.Min(columns - column, target.Length / type.Bytes());
            whole.ReadElements(_first + (row * wholeColumns) + column, type, target[..(count * type.Bytes())]);
            first += count;
            target = target[(count * type.Bytes())..];
        }
    }
}
