namespace LsglangSharp.Runtime.Reference;

/// <summary>An array that grows to the longest use and is then reused, so that a step allocates nothing.</summary>
internal sealed class Scratch<T>
{
    private T[] _items = [];

    /// <summary>The first <paramref name="length"/> items, holding whatever they held before.</summary>
    public Span<T> Take(int length)
    {
        if (_items.Length < length)
        {
            _items = new T[length];
        }

        return _items.AsSpan(0, length);
    }
}
