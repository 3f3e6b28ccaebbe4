using System.Runtime.CompilerServices;

namespace LsglangSharp.Runtime.Text.Bpe;

/// <summary>A growing list of token ids.</summary>
internal sealed class IdBuffer
{
    private int[] _ids = new int[256];

    public int Count { get; private set; }

    public int Capacity => _ids.Length;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(int id)
    {
        if (Count == _ids.Length)
        {
            Grow(1);
        }

        _ids[Count++] = id;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(ReadOnlySpan<int> ids)
    {
        if (Count + ids.Length > _ids.Length)
        {
            Grow(ids.Length);
        }

        if (ids.Length == 1)
        {
            _ids[Count++] = ids[0];
            return;
        }

        ids.CopyTo(_ids.AsSpan(Count));
        Count += ids.Length;
    }

    public ReadOnlySpan<int> From(int start) => _ids.AsSpan(start, Count - start);

    public void Clear() => Count = 0;

    private void Grow(int more) => Array.Resize(ref _ids, Math.Max(_ids.Length * 2, Count + more));
}
