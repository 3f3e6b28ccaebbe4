using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.KvCache;

/// <summary>
/// Pages of the KV cache by number, each counted by those who hold it. A page that nobody holds is free.
/// </summary>
public sealed class PagePool
{
    private readonly int[] _references;
    private readonly int[] _free;

    public PagePool(int pages)
    {
        Check.That(pages > 0);
        _references = new int[pages];
        _free = new int[pages];
        for (var i = 0; i < pages; i++)
        {
            _free[i] = pages - 1 - i;
        }

        FreeCount = pages;
    }

    public int Count => _references.Length;

    public int FreeCount { get; private set; }

    public int References(int page) => _references[page];

    /// <summary>A free page, held once. The caller has seen that there is one.</summary>
    public int Rent()
    {
        Check.That(FreeCount > 0);
        var page = _free[--FreeCount];
        _references[page] = 1;
        return page;
    }

    public void Retain(int page)
    {
        Check.That(_references[page] > 0);
        _references[page]++;
    }

    public void Release(int page)
    {
        Check.That(_references[page] > 0);
        if (--_references[page] == 0)
        {
            _free[FreeCount++] = page;
        }
    }
}
