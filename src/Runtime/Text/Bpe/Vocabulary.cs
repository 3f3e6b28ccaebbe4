using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Text.Bpe;

/// <summary>Tokens by text and by id: one block of UTF-8, flat arrays, and an open-addressing hash.</summary>
internal sealed class Vocabulary
{
    /// <summary>Ids above this are refused: they would need tables of gigabytes.</summary>
    public const int IdLimit = 1 << 24;

    private byte[] _text = new byte[1 << 16];
    private int _textLength;
    private Entry[] _entries = new Entry[1 << 12];
    private int _count;
    private int[] _slots = NewSlots(1 << 13);
    private int[] _entryOfId = [];

    /// <summary>Number of distinct token texts.</summary>
    public int Count => _count;

    /// <summary>One more than the highest id.</summary>
    public int IdEnd { get; private set; }

    /// <summary>Adds a token; a text that is already there takes the new id.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Add(ReadOnlySpan<byte> token, int id)
    {
        if ((uint)id >= IdLimit)
        {
            throw new ConfigurationException(
                $"token {Quote(token)} has the id {id}; ids lie between 0 and {IdLimit - 1}");
        }

        var hash = Hash(token);
        var slot = Find(token, hash);
        IdEnd = Math.Max(IdEnd, id + 1);
        if (_slots[slot] >= 0)
        {
            _entries[_slots[slot]].Id = id;
            return;
        }

        Reserve(token.Length);
        token.CopyTo(_text.AsSpan(_textLength));
        _entries[_count] = new Entry { Start = _textLength, Length = token.Length, Hash = hash, Id = id };
        _textLength += token.Length;
        _slots[slot] = _count++;
        if (_count * 2 > _slots.Length)
        {
            Rehash();
        }
    }

    /// <summary>Builds the index by id; to be called once after the last token.</summary>
    public void Seal()
    {
        _entryOfId = new int[IdEnd];
        Array.Fill(_entryOfId, -1);
        for (var i = 0; i < _count; i++)
        {
            _entryOfId[_entries[i].Id] = i;
        }
    }

    /// <summary>The token's id, or -1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int IdOf(ReadOnlySpan<byte> token)
    {
        var entry = _slots[Find(token, Hash(token))];
        return entry < 0 ? -1 : _entries[entry].Id;
    }

    public int IdOf(string token) => IdOf(Encoding.UTF8.GetBytes(token));

    public bool Contains(int id) => (uint)id < (uint)_entryOfId.Length && _entryOfId[id] >= 0;

    /// <summary>The token's text in UTF-8, empty for an id without a token.</summary>
    public ReadOnlySpan<byte> Text(int id)
    {
        if (!Contains(id))
        {
            return default;
        }

        ref readonly var entry = ref _entries[_entryOfId[id]];
        return _text.AsSpan(entry.Start, entry.Length);
    }

    private static string Quote(ReadOnlySpan<byte> token) => $"'{Encoding.UTF8.GetString(token)}'";

    private static int[] NewSlots(int count)
    {
        var slots = new int[count];
        Array.Fill(slots, -1);
        return slots;
    }

    // The slot that holds the token, or the free one where it belongs.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int Find(ReadOnlySpan<byte> token, uint hash)
    {
        var mask = _slots.Length - 1;
        for (var slot = (int)(hash & mask); ; slot = (slot + 1) & mask)
        {
            var index = _slots[slot];
            if (index < 0)
            {
                return slot;
            }

            ref readonly var entry = ref _entries[index];
            if (entry.Hash == hash && token.SequenceEqual(_text.AsSpan(entry.Start, entry.Length)))
            {
                return slot;
            }
        }
    }

    private void Reserve(int length)
    {
        if (_textLength + length > _text.Length)
        {
            Array.Resize(ref _text, Math.Max(_text.Length * 2, _textLength + length));
        }

        if (_count == _entries.Length)
        {
            Array.Resize(ref _entries, _count * 2);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Rehash()
    {
        _slots = NewSlots(_slots.Length * 2);
        var mask = _slots.Length - 1;
        for (var i = 0; i < _count; i++)
        {
            var slot = (int)(_entries[i].Hash & mask);
            while (_slots[slot] >= 0)
            {
                slot = (slot + 1) & mask;
            }

            _slots[slot] = i;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static uint Hash(ReadOnlySpan<byte> token)
    {
        var hash = (ulong)token.Length * 0x9E3779B97F4A7C15;
        while (token.Length >= 8)
        {
            hash = (hash ^ BinaryPrimitives.ReadUInt64LittleEndian(token)) * 0xD6E8FEB86659FD93;
            hash ^= hash >> 32;
            token = token[8..];
        }

        ulong tail = 0;
        for (var i = 0; i < token.Length; i++)
        {
            tail = tail << 8 | token[i];
        }

        hash = (hash ^ tail) * 0xD6E8FEB86659FD93;
        return (uint)(hash >> 32 ^ hash);
    }

    private struct Entry
    {
        public int Start;
        public int Length;
        public uint Hash;
        public int Id;
    }
}
