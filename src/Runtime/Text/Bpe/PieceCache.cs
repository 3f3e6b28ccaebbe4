using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace LsglangSharp.Runtime.Text.Bpe;

/// <summary>
/// The token ids of pieces seen lately: a fixed number of slots, each an immutable entry that a later piece of the same
/// slot replaces. Reading and replacing a reference is atomic, so threads share it without locks.
/// </summary>
internal sealed class PieceCache
{
    /// <summary>Longer pieces seldom come again and are not kept.</summary>
    public const int PieceLengthMax = 32;

    private const int SlotBits = 16;
    private readonly Entry?[] _slots = new Entry?[1 << SlotBits];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Hash(ReadOnlySpan<char> piece)
    {
        var bytes = MemoryMarshal.AsBytes(piece);
        var hash = (ulong)bytes.Length * 0x9E3779B97F4A7C15;
        while (bytes.Length >= 8)
        {
            hash = (hash ^ BinaryPrimitives.ReadUInt64LittleEndian(bytes)) * 0xD6E8FEB86659FD93;
            hash ^= hash >> 32;
            bytes = bytes[8..];
        }

        if (bytes.Length >= 4)
        {
            hash ^= (ulong)BinaryPrimitives.ReadUInt32LittleEndian(bytes) << 16;
            bytes = bytes[4..];
        }

        if (bytes.Length >= 2)
        {
            hash ^= BinaryPrimitives.ReadUInt16LittleEndian(bytes);
        }

        hash *= 0xD6E8FEB86659FD93;
        return (uint)(hash >> 32);
    }

    /// <summary>The piece's token ids, or null where it is not here.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int[]? Find(ReadOnlySpan<char> piece, uint hash)
    {
        var entry = _slots[hash >> (32 - SlotBits)];
        return entry is not null && piece.SequenceEqual(entry.Piece) ? entry.Ids : null;
    }

    public void Keep(ReadOnlySpan<char> piece, uint hash, ReadOnlySpan<int> ids) =>
        _slots[hash >> (32 - SlotBits)] = new Entry(piece.ToArray(), ids.ToArray());

    private sealed record Entry(char[] Piece, int[] Ids);
}
