using System.Runtime.InteropServices;

namespace LsglangSharp.Runtime.KvCache;

/// <summary>
/// A run of whole pages in the tree: the tokens they hold and the pages, behind everything that its parents hold. A
/// root holds nothing and stands for a salt.
/// </summary>
public sealed class PrefixNode
{
    private readonly int _pageSize;
    private readonly Dictionary<ulong, PrefixNode> _children = [];
    private int[] _tokens;
    private int[] _pages;

    internal PrefixNode(string salt)
    {
        _pageSize = 1;
        _tokens = [];
        _pages = [];
        Salt = salt;
    }

    internal PrefixNode(PrefixNode parent, int pageSize, ReadOnlySpan<int> tokens, ReadOnlySpan<int> pages)
    {
        Parent = parent;
        _pageSize = pageSize;
        _tokens = tokens.ToArray();
        _pages = pages.ToArray();
        PageCount = pages.Length;
        Start = parent.End;
    }

    public PrefixNode? Parent { get; private set; }

    /// <summary>Of a root; null in all others.</summary>
    public string? Salt { get; }

    /// <summary>Tokens before this run.</summary>
    public int Start { get; private set; }

    /// <summary>Tokens up to the end of this run.</summary>
    public int End => Start + (PageCount * _pageSize);

    public int PageCount { get; private set; }

    /// <summary>How many sequences read this run or one behind it.</summary>
    public int LockCount { get; internal set; }

    public ReadOnlySpan<int> Pages => _pages.AsSpan(0, PageCount);

    public IEnumerable<PrefixNode> Children => _children.Values;

    internal int ChildCount => _children.Count;

    /// <summary>Neighbours in the order of last use; only while nobody reads this run.</summary>
    internal PrefixNode? Older { get; set; }

    internal PrefixNode? Newer { get; set; }

    private ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, PageCount * _pageSize);

    /// <summary>The child that begins as the tokens do, and how many whole pages of it they share.</summary>
    internal PrefixNode? Find(ReadOnlySpan<int> rest, int pageSize, out int sharedPages)
    {
        sharedPages = 0;
        if (rest.Length < pageSize || !_children.TryGetValue(Hash(rest[..pageSize]), out var child))
        {
            return null;
        }

        sharedPages = child.Tokens.CommonPrefixLength(rest) / pageSize;
        return sharedPages == 0 ? null : child;
    }

    /// <summary>
    /// False if another child has the same hash but other tokens: then there is no place for this one.
    /// </summary>
    internal bool TryAdd(PrefixNode child) => _children.TryAdd(child.Key(), child);

    internal void Remove(PrefixNode child) => _children.Remove(child.Key());

    /// <summary>Cuts the first pages off into a new node between this one and its parent.</summary>
    internal PrefixNode SplitOff(int pages)
    {
        var parent = Parent!;
        var upper = new PrefixNode(parent, _pageSize, _tokens.AsSpan(0, pages * _pageSize), _pages.AsSpan(0, pages))
        {
            LockCount = LockCount,
        };
        parent.Remove(this);
        parent.TryAdd(upper);
        _tokens = _tokens[(pages * _pageSize)..(PageCount * _pageSize)];
        _pages = _pages[pages..PageCount];
        PageCount = _pages.Length;
        Parent = upper;
        Start = upper.End;
        upper.TryAdd(this);
        return upper;
    }

    /// <summary>Takes the last page off.</summary>
    internal int Pop() => _pages[--PageCount];

    private ulong Key() => Hash(_tokens.AsSpan(0, _pageSize));

    /// <summary>
    /// FNV-1a over whole tokens, mixed at the end. A collision costs a cache hit, never a wrong one: tokens are
    /// compared.
    /// </summary>
    private static ulong Hash(ReadOnlySpan<int> tokens)
    {
        var hash = 14695981039346656037UL;
        foreach (var token in MemoryMarshal.Cast<int, uint>(tokens))
        {
            hash = (hash ^ token) * 1099511628211UL;
        }

        return hash ^ (hash >> 29);
    }
}
