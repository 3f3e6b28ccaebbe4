using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Text;

namespace LsglangSharp.Runtime.Text.Bpe;

/// <summary>How the encoder starts and ends, as the model section of a tokenizer file says.</summary>
internal sealed record BytePairOptions
{
    /// <summary>Symbols are single bytes, written in GPT-2's alphabet; else they are characters.</summary>
    public bool IsByteLevel { get; init; }

    /// <summary>A piece that is in the vocabulary is taken whole.</summary>
    public bool IgnoreMerges { get; init; }

    /// <summary>Unknown characters become one token for each byte, named &lt;0xNN&gt;.</summary>
    public bool ByteFallback { get; init; }

    /// <summary>Unknown characters in a row become one unknown token.</summary>
    public bool FuseUnknown { get; init; }

    /// <summary>The token for unknown characters, or -1: they are dropped.</summary>
    public int UnknownId { get; init; } = -1;
}

/// <summary>Byte-pair encoding of one piece: the pair of lowest rank merges, leftmost first, until none does.</summary>
internal sealed class BytePairEncoder
{
    // Up to here looking at all ranks for each merge, eight at a time, is cheaper than a heap.
    private const int ScanLengthMax = 160;

    private readonly Vocabulary _vocabulary;
    private readonly MergeTable _merges;
    private readonly BytePairOptions _options;
    private readonly PieceCache _cache = new();
    private readonly int[] _byteIds = new int[256];
    private readonly int[] _fallbackIds = new int[256];
    // Rank and result of each pair of bytes, for the first look at a piece: half of all look-ups, and the table of all
    // merges is larger than a cache.
    private readonly (int Rank, int Merged)[] _bytePairs = [];

    public BytePairEncoder(Vocabulary vocabulary, MergeTable merges, BytePairOptions options)
    {
        _vocabulary = vocabulary;
        _merges = merges;
        _options = options;
        Span<byte> spelling = stackalloc byte[2];
        for (var value = 0; value < 256; value++)
        {
            var raw = (byte)value;
            var length = ByteAlphabet.Encode(new ReadOnlySpan<byte>(in raw), spelling);
            _byteIds[value] = vocabulary.IdOf(spelling[..length]);
            _fallbackIds[value] = vocabulary.IdOf(string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>"));
        }

        if (options.IsByteLevel && Array.TrueForAll(_byteIds, id => id >= 0))
        {
            _bytePairs = BytePairs();
        }
    }

    /// <summary>Appends the token ids of one piece of well-formed UTF-16.</summary>
    public void Encode(ReadOnlySpan<char> piece, IdBuffer target, MergeScratch scratch)
    {
        if (piece.Length > PieceCache.PieceLengthMax)
        {
            EncodeAnew(piece, target, scratch);
            return;
        }

        var hash = PieceCache.Hash(piece);
        if (_cache.Find(piece, hash) is { } known)
        {
            target.Add(known);
            return;
        }

        var start = target.Count;
        EncodeAnew(piece, target, scratch);
        _cache.Keep(piece, hash, target.From(start));
    }

    private void EncodeAnew(ReadOnlySpan<char> piece, IdBuffer target, MergeScratch scratch)
    {
        scratch.ReserveBytes(3 * piece.Length);
        var length = Encoding.UTF8.GetBytes(piece, scratch.Bytes);
        var bytes = scratch.Bytes.AsSpan(0, length);
        if (_options.IgnoreMerges && WholeId(bytes, scratch) is var whole and >= 0)
        {
            target.Add(whole);
            return;
        }

        scratch.ReserveSymbols(length + 1);
        var count = _bytePairs.Length > 0 ? RankedBytes(bytes, scratch) : RankedSymbols(bytes, scratch);
        scratch.Work += length + count;
        count = count <= ScanLengthMax ? MergeByScan(count, scratch) : MergeByHeap(count, scratch);
        target.Add(scratch.Ids.AsSpan(0, count));
    }

    private int WholeId(ReadOnlySpan<byte> bytes, MergeScratch scratch)
    {
        if (!_options.IsByteLevel)
        {
            return _vocabulary.IdOf(bytes);
        }

        var spelled = ByteAlphabet.Encode(bytes, scratch.Spelling);
        return _vocabulary.IdOf(scratch.Spelling.AsSpan(0, spelled));
    }

    private int ByteSymbols(ReadOnlySpan<byte> bytes, Span<int> ids)
    {
        var count = 0;
        var unknown = new PendingUnknown(_options);
        Span<byte> spelling = stackalloc byte[2];
        for (var i = 0; i < bytes.Length; i++)
        {
            var id = _byteIds[bytes[i]];
            if (id >= 0)
            {
                unknown.Flush(ids, ref count);
                ids[count++] = id;
                continue;
            }

            var length = ByteAlphabet.Encode(bytes.Slice(i, 1), spelling);
            if (!TryFallBack(spelling[..length], ids, ref count))
            {
                unknown.Add(ids, ref count);
            }
        }

        unknown.Flush(ids, ref count);
        return count;
    }

    private int CharacterSymbols(ReadOnlySpan<byte> bytes, Span<int> ids)
    {
        var count = 0;
        var unknown = new PendingUnknown(_options);
        while (bytes.Length > 0)
        {
            Rune.DecodeFromUtf8(bytes, out _, out var length);
            var symbol = bytes[..length];
            bytes = bytes[length..];
            var id = _vocabulary.IdOf(symbol);
            if (id >= 0)
            {
                unknown.Flush(ids, ref count);
                ids[count++] = id;
            }
            else if (!TryFallBack(symbol, ids, ref count))
            {
                unknown.Add(ids, ref count);
            }
        }

        unknown.Flush(ids, ref count);
        return count;
    }

    private bool TryFallBack(ReadOnlySpan<byte> symbol, Span<int> ids, ref int count)
    {
        if (!_options.ByteFallback)
        {
            return false;
        }

        foreach (var value in symbol)
        {
            if (_fallbackIds[value] < 0)
            {
                return false;
            }
        }

        foreach (var value in symbol)
        {
            ids[count++] = _fallbackIds[value];
        }

        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private (int Rank, int Merged)[] BytePairs()
    {
        var pairs = new (int Rank, int Merged)[256 * 256];
        for (var i = 0; i < pairs.Length; i++)
        {
            pairs[i].Rank = _merges.Rank(_byteIds[i >> 8], _byteIds[i & 0xFF], out pairs[i].Merged);
        }

        return pairs;
    }

    // Symbols and the rank of each with the next; the last has none.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int RankedBytes(ReadOnlySpan<byte> bytes, MergeScratch scratch)
    {
        var ids = scratch.Ids.AsSpan(0, bytes.Length);
        var ranks = scratch.Ranks.AsSpan(0, bytes.Length);
        var merged = scratch.Merged.AsSpan(0, bytes.Length);
        for (var i = 0; i < bytes.Length; i++)
        {
            ids[i] = _byteIds[bytes[i]];
            (ranks[i], merged[i]) = i + 1 < bytes.Length
                ? _bytePairs[bytes[i] << 8 | bytes[i + 1]]
                : (MergeTable.NoRank, -1);
        }

        return bytes.Length;
    }

    private int RankedSymbols(ReadOnlySpan<byte> bytes, MergeScratch scratch)
    {
        var ids = scratch.Ids;
        var count = _options.IsByteLevel ? ByteSymbols(bytes, ids) : CharacterSymbols(bytes, ids);
        for (var i = 0; i < count; i++)
        {
            scratch.Ranks[i] = i + 1 < count
                ? _merges.Rank(ids[i], ids[i + 1], out scratch.Merged[i])
                : MergeTable.NoRank;
        }

        return count;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int MergeByScan(int count, MergeScratch scratch)
    {
        var ids = scratch.Ids.AsSpan(0, count);
        var ranks = scratch.Ranks.AsSpan(0, count);
        var merged = scratch.Merged.AsSpan(0, count);
        while (count > 1)
        {
            scratch.Work += count;
            var least = Least(ranks[..(count - 1)]);
            if (least == MergeTable.NoRank)
            {
                break;
            }

            var best = ranks.IndexOf(least);
            ids[best] = merged[best];
            count--;
            ids[(best + 2)..].CopyTo(ids[(best + 1)..]);
            ranks[(best + 2)..].CopyTo(ranks[(best + 1)..]);
            merged[(best + 2)..].CopyTo(merged[(best + 1)..]);
            ids = ids[..count];
            ranks = ranks[..count];
            merged = merged[..count];
            if (best > 0)
            {
                ranks[best - 1] = _merges.Rank(ids[best - 1], ids[best], out merged[best - 1]);
            }

            ranks[best] = best + 1 < count
                ? _merges.Rank(ids[best], ids[best + 1], out merged[best])
                : MergeTable.NoRank;
        }

        return count;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Least(ReadOnlySpan<int> ranks)
    {
        var least = MergeTable.NoRank;
        var i = 0;
        if (ranks.Length >= Vector<int>.Count)
        {
            var lanes = new Vector<int>(ranks);
            for (i = Vector<int>.Count; i <= ranks.Length - Vector<int>.Count; i += Vector<int>.Count)
            {
                lanes = Vector.Min(lanes, new Vector<int>(ranks[i..]));
            }

            for (var lane = 0; lane < Vector<int>.Count; lane++)
            {
                least = Math.Min(least, lanes[lane]);
            }
        }

        for (; i < ranks.Length; i++)
        {
            least = Math.Min(least, ranks[i]);
        }

        return least;
    }

    // A doubly linked list of symbols and a heap of pairs by (rank, position). An entry whose pair has changed since is
    // recognised by its rank and dropped when it comes up.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int MergeByHeap(int count, MergeScratch scratch)
    {
        scratch.ReserveList(count);
        var ids = scratch.Ids;
        var ranks = scratch.Ranks;
        var merged = scratch.Merged;
        var next = scratch.Next;
        var previous = scratch.Previous;
        var heap = new MinHeap(scratch.Heap);
        for (var i = 0; i < count; i++)
        {
            previous[i] = i - 1;
            next[i] = i + 1 < count ? i + 1 : -1;
            if (ranks[i] != MergeTable.NoRank)
            {
                heap.Append((ulong)ranks[i] << 32 | (uint)i);
            }
        }

        heap.Order();
        while (heap.Count > 0)
        {
            var entry = heap.Pop();
            var at = (int)(uint)entry;
            if (ranks[at] != (int)(entry >> 32))
            {
                continue;
            }

            ids[at] = merged[at];
            var taken = next[at];
            var after = next[taken];
            ranks[taken] = MergeTable.NoRank;
            next[at] = after;
            if (after >= 0)
            {
                previous[after] = at;
            }

            Rerank(at, after, ref heap);
            if (previous[at] >= 0)
            {
                Rerank(previous[at], at, ref heap);
            }
        }

        scratch.Work += count + heap.Steps;
        var kept = 0;
        for (var i = 0; i >= 0; i = next[i])
        {
            ids[kept++] = ids[i];
        }

        return kept;

        void Rerank(int left, int right, ref MinHeap pairs)
        {
            ranks[left] = right < 0 ? MergeTable.NoRank : _merges.Rank(ids[left], ids[right], out merged[left]);
            if (ranks[left] != MergeTable.NoRank)
            {
                pairs.Push((ulong)ranks[left] << 32 | (uint)left);
            }
        }
    }

    // An unknown token that waits for whether the next character is unknown too.
    private ref struct PendingUnknown(BytePairOptions options)
    {
        private bool _isPending;

        public void Add(Span<int> ids, ref int count)
        {
            if (!options.FuseUnknown)
            {
                Flush(ids, ref count);
            }

            _isPending = options.UnknownId >= 0;
        }

        public void Flush(Span<int> ids, ref int count)
        {
            if (_isPending)
            {
                ids[count++] = options.UnknownId;
                _isPending = false;
            }
        }
    }
}
