using System.Collections.Immutable;

namespace LsglangSharp.Runtime.Placement;

/// <summary>
/// How native/lk_moe cuts the rows of a weight over its ranks: in proportion to their threads, at multiples of 16 rows.
/// The same arithmetic as split_rows in matrix.cpp, so that a plan knows each node's share before anything is there.
/// </summary>
public static class RowSplit
{
    private const int BorderRows = 16;

    /// <summary>Rows of each rank.</summary>
    public static ImmutableArray<int> Rows(int rows, IReadOnlyList<int> threads)
    {
        var all = threads.Sum(count => (long)count);
        var split = ImmutableArray.CreateBuilder<int>(threads.Count);
        long before = 0;
        var start = 0;
        for (var rank = 0; rank < threads.Count; rank++)
        {
            before += threads[rank];
            var border = (int)(rows * before / all / BorderRows * BorderRows);
            var end = rank + 1 == threads.Count ? rows : Math.Max(start, border);
            split.Add(end - start);
            start = end;
        }

        return split.MoveToImmutable();
    }
}
