using LsglangSharp.Runtime.KvCache;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Tests.KvCache;

public sealed class PrefixTreeTests
{
    private const int PageSize = 2;

    private readonly PagePool _pool = new(16);
    private readonly PrefixTree _tree;

    public PrefixTreeTests() => _tree = new PrefixTree(_pool, PageSize);

    [Fact]
    public void Finds_the_whole_pages_that_were_put_in()
    {
        var pages = Put("", [1, 2, 3, 4, 5, 6]);

        Assert.Equal(6, _tree.MatchLength("", [1, 2, 3, 4, 5, 6, 7]));
        Assert.Equal(4, _tree.MatchLength("", [1, 2, 3, 4, 5, 9]));
        Assert.Equal(0, _tree.MatchLength("", [1]));
        Assert.Equal(0, _tree.MatchLength("", [2, 1]));
        Assert.Equal(pages[..2], Get("", [1, 2, 3, 4, 9, 9], out _));
    }

    [Fact]
    public void Keeps_salts_apart()
    {
        Put("a", [1, 2]);

        Assert.Equal(2, _tree.MatchLength("a", [1, 2]));
        Assert.Equal(0, _tree.MatchLength("b", [1, 2]));
        Assert.Equal(0, _tree.MatchLength("", [1, 2]));
    }

    [Fact]
    public void Shares_the_pages_of_a_common_beginning()
    {
        var first = Put("", [1, 2, 3, 4]);

        var second = Put("", [1, 2, 9, 9]);

        Assert.Equal(first[0], second[0]);
        Assert.Equal(3, _tree.PageCount);
        Assert.Equal(13, _pool.FreeCount);
    }

    [Fact]
    public void Evicts_the_least_recently_used_leaf_first_and_its_end_before_its_beginning()
    {
        Put("", [1, 2, 3, 4, 5, 6]);
        Put("", [1, 2, 7, 8]);
        Get("", [1, 2, 3, 4, 5, 6], out var node);
        _tree.Unlock(node);

        Assert.Equal(1, _tree.Evict(1));
        Assert.Equal(2, _tree.MatchLength("", [1, 2, 7, 8]));
        Assert.Equal(1, _tree.Evict(1));
        Assert.Equal(4, _tree.MatchLength("", [1, 2, 3, 4, 5, 6]));
        Assert.Equal(2, _tree.Evict(10));
        Assert.Equal(16, _pool.FreeCount);
        Assert.Empty(_tree.Roots);
    }

    [Fact]
    public void Does_not_evict_what_somebody_reads()
    {
        Put("", [1, 2, 3, 4]);
        Put("", [1, 2, 5, 6]);
        Get("", [1, 2, 3, 4], out var node);

        Assert.Equal(1, _tree.EvictablePages);
        Assert.Equal(1, _tree.Evict(10));
        Assert.Equal(4, _tree.MatchLength("", [1, 2, 3, 4]));

        _tree.Unlock(node);
        Assert.Equal(2, _tree.EvictablePages);
    }

    [Fact]
    public void Replaces_a_page_that_is_there_already()
    {
        var list = new PageList();
        var node = _tree.Match("", [], list);
        list.Add(_pool.Rent());
        var own = list[0];
        var others = Put("", [1, 2]);

        node = _tree.Extend(node, [1, 2], list.Span);

        Assert.Equal(others[0], list[0]);
        Assert.Equal(0, _pool.References(own));
        Assert.Equal(2, _pool.References(list[0]));
        _tree.Unlock(node);
    }

    [Fact]
    public void A_page_that_is_not_held_cannot_be_released() =>
        Assert.Throws<InvariantException>(() => _pool.Release(3));

    /// <summary>As a sequence does: reads what is there, computes the rest, puts it in and leaves.</summary>
    private int[] Put(string salt, int[] tokens)
    {
        var list = new PageList();
        var node = _tree.Match(salt, tokens, list);
        while (list.Count * PageSize < tokens.Length)
        {
            list.Add(_pool.Rent());
        }

        node = _tree.Extend(node, tokens, list.Span);
        var pages = list.Span.ToArray();
        list.ReleaseFrom(0, _pool);
        _tree.Unlock(node);
        return pages;
    }

    private int[] Get(string salt, int[] tokens, out PrefixNode node)
    {
        var list = new PageList();
        node = _tree.Match(salt, tokens, list);
        var pages = list.Span.ToArray();
        list.ReleaseFrom(0, _pool);
        return pages;
    }
}
