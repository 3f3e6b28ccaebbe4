using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.KvCache;

/// <summary>
/// Which prefixes are in the cache: a radix tree over token ids, in whole pages, one root a salt. The tree holds each
/// of its pages once. A sequence locks the path it reads; what nobody reads is evicted leaf first, least recently used
/// first.
/// </summary>
/// <remarks>
/// Unlocked nodes form a list by time of last use. Unlocking walks from the leaf to the root and appends, so that a
/// parent always stands behind its children: the oldest node of the list is a leaf, and evicting takes constant time
/// and allocates nothing.
/// </remarks>
public sealed class PrefixTree(PagePool pool, int pageSize)
{
    private readonly Dictionary<string, PrefixNode> _roots = new(StringComparer.Ordinal);
    private PrefixNode? _oldest;
    private PrefixNode? _newest;

    /// <summary>Pages that <see cref="Evict"/> could free now.</summary>
    public int EvictablePages { get; private set; }

    /// <summary>All pages in the tree.</summary>
    public int PageCount { get; private set; }

    public IEnumerable<PrefixNode> Roots => _roots.Values;

    /// <summary>
    /// The longest cached prefix of the tokens: its pages are added to the list, held once more each, and its path is
    /// locked until <see cref="Unlock"/>.
    /// </summary>
    public PrefixNode Match(string salt, ReadOnlySpan<int> tokens, PageList pages)
    {
        if (!_roots.TryGetValue(salt, out var root))
        {
            root = new PrefixNode(salt);
            _roots.Add(salt, root);
        }

        root.LockCount++;
        return Descend(root, tokens, pages);
    }

    /// <summary>
    /// Goes on from a locked node, after which the list's pages end, as far as the tokens are cached by now.
    /// </summary>
    public PrefixNode Descend(PrefixNode node, ReadOnlySpan<int> tokens, PageList pages)
    {
        Check.That(pages.Count * pageSize == node.End);
        while (Step(node, tokens) is { } child)
        {
            foreach (var page in child.Pages)
            {
                pool.Retain(page);
                pages.Add(page);
            }

            node = child;
        }

        return node;
    }

    /// <summary>How many of the tokens are cached. Changes nothing.</summary>
    public int MatchLength(string salt, ReadOnlySpan<int> tokens)
    {
        if (!_roots.TryGetValue(salt, out var node))
        {
            return 0;
        }

        while (node.Find(tokens[node.End..], pageSize, out var shared) is { } child)
        {
            if (shared < child.PageCount)
            {
                return child.Start + (shared * pageSize);
            }

            node = child;
        }

        return node.End;
    }

    /// <summary>
    /// Adds what lies between the locked node and the end of the tokens (whole pages), and moves the lock there. A page
    /// that the tree has already by now replaces the caller's in its list.
    /// </summary>
    public PrefixNode Extend(PrefixNode node, ReadOnlySpan<int> tokens, Span<int> pages)
    {
        Check.That(tokens.Length == pages.Length * pageSize);
        while (Step(node, tokens) is { } child)
        {
            Adopt(child, pages[(child.Start / pageSize)..]);
            node = child;
        }

        if (node.End == tokens.Length)
        {
            return node;
        }

        var leaf = new PrefixNode(node, pageSize, tokens[node.End..], pages[(node.End / pageSize)..]) { LockCount = 1 };
        if (!node.TryAdd(leaf))
        {
            return node;
        }

        foreach (var page in leaf.Pages)
        {
            pool.Retain(page);
        }

        PageCount += leaf.PageCount;
        return leaf;
    }

    /// <summary>Ends the lock of one reader of this node.</summary>
    public void Unlock(PrefixNode node)
    {
        for (var at = node; at is not null; at = at.Parent)
        {
            Check.That(at.LockCount > 0);
            if (--at.LockCount == 0)
            {
                Rest(at);
            }
        }
    }

    /// <summary>Frees up to the given number of pages and returns how many.</summary>
    public int Evict(int pages)
    {
        var evicted = 0;
        while (evicted < pages && _oldest is { } leaf)
        {
            Check.That(leaf.ChildCount == 0);
            for (; evicted < pages && leaf.PageCount > 1; evicted++)
            {
                Forget(leaf.Pop());
            }

            if (evicted < pages)
            {
                Remove(leaf);
                evicted++;
            }
        }

        return evicted;
    }

    /// <summary>The child that the tokens enter, locked; split where they part.</summary>
    private PrefixNode? Step(PrefixNode node, ReadOnlySpan<int> tokens)
    {
        if (node.Find(tokens[node.End..], pageSize, out var shared) is not { } child)
        {
            return null;
        }

        if (shared < child.PageCount)
        {
            child = Split(child, shared);
        }

        if (child.LockCount++ == 0)
        {
            Unlink(child);
            EvictablePages -= child.PageCount;
        }

        return child;
    }

    private PrefixNode Split(PrefixNode node, int pages)
    {
        var upper = node.SplitOff(pages);
        if (upper.LockCount == 0)
        {
            LinkBehind(node, upper);
        }

        return upper;
    }

    private void Adopt(PrefixNode child, Span<int> pages)
    {
        for (var i = 0; i < child.PageCount; i++)
        {
            if (pages[i] != child.Pages[i])
            {
                pool.Retain(child.Pages[i]);
                pool.Release(pages[i]);
                pages[i] = child.Pages[i];
            }
        }
    }

    private void Rest(PrefixNode node)
    {
        if (node.Salt is { } salt)
        {
            if (node.ChildCount == 0)
            {
                _roots.Remove(salt);
            }

            return;
        }

        EvictablePages += node.PageCount;
        LinkBehind(_newest, node);
    }

    /// <summary>Takes out a leaf that has one page left.</summary>
    private void Remove(PrefixNode leaf)
    {
        var parent = leaf.Parent!;
        parent.Remove(leaf);
        Unlink(leaf);
        Forget(leaf.Pop());
        if (parent is { Salt: { } salt, ChildCount: 0, LockCount: 0 })
        {
            _roots.Remove(salt);
        }
    }

    private void Forget(int page)
    {
        Check.That(pool.References(page) == 1);
        pool.Release(page);
        EvictablePages--;
        PageCount--;
    }

    private void LinkBehind(PrefixNode? older, PrefixNode node)
    {
        var newer = older is null ? _oldest : older.Newer;
        node.Older = older;
        node.Newer = newer;
        if (older is null)
        {
            _oldest = node;
        }
        else
        {
            older.Newer = node;
        }

        if (newer is null)
        {
            _newest = node;
        }
        else
        {
            newer.Older = node;
        }
    }

    private void Unlink(PrefixNode node)
    {
        if (node.Older is null)
        {
            _oldest = node.Newer;
        }
        else
        {
            node.Older.Newer = node.Newer;
        }

        if (node.Newer is null)
        {
            _newest = node.Older;
        }
        else
        {
            node.Newer.Older = node.Older;
        }

        node.Older = node.Newer = null;
    }
}
