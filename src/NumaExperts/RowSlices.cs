using LsglangSharp.NumaExperts.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.NumaExperts;

/// <summary>Fills rows of a weight in place, slice by slice.</summary>
internal static class RowSlices
{
    public static unsafe void Fill(LkSlice[] slices, WeightMatrix matrix, int rowStart, int rowCount, RowReader read)
    {
        Check.That(rowStart >= 0 && rowCount >= 0 && rowStart + rowCount <= matrix.Rows);
        var rowBytes = (long)matrix.Columns * matrix.Type.Bytes();
        var rowsPerSpan = (int)Math.Max(1, int.MaxValue / rowBytes);
        Check.That(rowBytes <= int.MaxValue);
        foreach (var slice in slices)
        {
            var last = Math.Min(rowStart + rowCount, slice.RowStart + slice.RowCount);
            for (var row = Math.Max(rowStart, slice.RowStart); row < last;)
            {
                var count = Math.Min(last - row, rowsPerSpan);
                var target = slice.Address + (nint)((row - slice.RowStart) * rowBytes);
                read(row, count, new Span<byte>((void*)target, (int)(count * rowBytes)));
                row += count;
            }
        }
    }
}
