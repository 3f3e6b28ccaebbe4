namespace LsglangSharp.Runtime.Text.Bpe;

/// <summary>A four-way heap of numbers, smallest first, in memory of the caller; counts levels it passes.</summary>
internal ref struct MinHeap(ulong[] items)
{
    private const int Arity = 4;

    public int Count { get; private set; }

    public long Steps { get; private set; }

    /// <summary>Adds without ordering; <see cref="Order"/> must follow before anything is taken.</summary>
    public void Append(ulong item) => items[Count++] = item;

    public void Order()
    {
        for (var i = (Count - 2) / Arity; i >= 0 && Count > 1; i--)
        {
            SiftDown(i, items[i]);
        }
    }

    public void Push(ulong item)
    {
        var at = Count++;
        while (at > 0)
        {
            var parent = (at - 1) / Arity;
            Steps++;
            if (items[parent] <= item)
            {
                break;
            }

            items[at] = items[parent];
            at = parent;
        }

        items[at] = item;
    }

    public ulong Pop()
    {
        var top = items[0];
        Count--;
        if (Count > 0)
        {
            SiftDown(0, items[Count]);
        }

        return top;
    }

    private void SiftDown(int at, ulong item)
    {
        while (true)
        {
            var child = at * Arity + 1;
            if (child >= Count)
            {
                break;
            }

            var end = Math.Min(child + Arity, Count);
            var least = child;
            for (var i = child + 1; i < end; i++)
            {
                least = items[i] < items[least] ? i : least;
            }

            Steps++;
            if (items[least] >= item)
            {
                break;
            }

            items[at] = items[least];
            at = least;
        }

        items[at] = item;
    }
}
