using System.Numerics;
using System.Runtime.CompilerServices;

namespace LsglangSharp.Runtime.Text.Bpe;

/// <summary>Which pairs of tokens merge, to what, and in which order: an open-addressing hash over both ids.</summary>
internal sealed class MergeTable
{
    /// <summary>The rank of a pair that does not merge.</summary>
    public const int NoRank = int.MaxValue;

    private readonly Merge[] _slots;
    private readonly int _shift;

    public MergeTable(int mergeCountMax)
    {
        var bits = Math.Max(4, 64 - BitOperations.LeadingZeroCount((ulong)mergeCountMax * 3 / 2));
        _slots = new Merge[1 << bits];
        _shift = 64 - bits;
    }

    /// <summary>Adds a merge; a pair that is already there takes the later rank.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Add(int left, int right, int rank, int merged)
    {
        ref var slot = ref _slots[Slot(Key(left, right))];
        slot = new Merge { Key = Key(left, right), Rank = rank, Merged = merged };
    }

    /// <summary>The pair's rank, or <see cref="NoRank"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Rank(int left, int right, out int merged)
    {
        var key = Key(left, right);
        ref readonly var slot = ref _slots[Slot(key)];
        merged = slot.Merged;
        return slot.Key == key ? slot.Rank : NoRank;
    }

    // Ids are shifted by one so that no pair has the key of a free slot.
    private static ulong Key(int left, int right) => (ulong)(left + 1) << 32 | (uint)(right + 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int Slot(ulong key)
    {
        var mask = _slots.Length - 1;
        var slot = (int)(key * 0x9E3779B97F4A7C15 >> _shift);
        while (_slots[slot].Key != key && _slots[slot].Key != 0)
        {
            slot = (slot + 1) & mask;
        }

        return slot;
    }

    private struct Merge
    {
        public ulong Key;
        public int Rank;
        public int Merged;
    }
}
