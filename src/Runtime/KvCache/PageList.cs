using System.Buffers;

namespace LsglangSharp.Runtime.KvCache;

/// <summary>The pages of one sequence in order. Its array is pooled: <see cref="Free"/> gives it back.</summary>
public sealed class PageList
{
    private int[] _pages = [];

    public int Count { get; private set; }

    public Span<int> Span => _pages.AsSpan(0, Count);

    public int this[int index] => _pages[index];

    public void Add(int page)
    {
        if (Count == _pages.Length)
        {
            Grow();
        }

        _pages[Count++] = page;
    }

    /// <summary>Lets go of the pages from the given one on.</summary>
    public void ReleaseFrom(int index, PagePool pool)
    {
        for (var i = Count - 1; i >= index; i--)
        {
            pool.Release(_pages[i]);
        }

        Count = Math.Min(Count, index);
    }

    /// <summary>Gives the array back. The pages have been released before.</summary>
    public void Free()
    {
        if (_pages.Length > 0)
        {
            ArrayPool<int>.Shared.Return(_pages);
        }

        _pages = [];
        Count = 0;
    }

    private void Grow()
    {
        var larger = ArrayPool<int>.Shared.Rent(Math.Max(16, 2 * _pages.Length));
        Span.CopyTo(larger);
        if (_pages.Length > 0)
        {
            ArrayPool<int>.Shared.Return(_pages);
        }

        _pages = larger;
    }
}
