namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>How <c>loop(items)</c> renders a recursive loop again.</summary>
internal sealed record LoopRecursion(Func<object, string> Render, int Depth);

/// <summary>The <c>loop</c> variable.</summary>
internal sealed class LoopContext(IEnumerable<object> items, long? knownLength, LoopRecursion? recursion)
    : ICallable, IHasAttributes
{
    private IEnumerator<object> _items = items.GetEnumerator();
    private long? _length = knownLength;
    private long _index0 = -1;
    private object? _previous;
    private object? _current;
    private object? _next;
    private object[]? _lastChanged;

    public string TypeName => "LoopContext";

    public long Index => _index0 + 1;

    /// <summary>The number of turns; an iterator without a length is read to its end for it.</summary>
    public long Length
    {
        get
        {
            if (_length is null)
            {
                var rest = new List<object>();
                while (_items.MoveNext())
                {
                    RenderContext.CheckCount(rest.Count);
                    rest.Add(_items.Current);
                }

                _items = rest.GetEnumerator();
                _length = rest.Count + Index + (_next is null ? 0 : 1);
            }

            return _length.Value;
        }
    }

    /// <summary>The items, each as it becomes the current one.</summary>
    public IEnumerable<object> Turns()
    {
        while (Peek() is { } value)
        {
            _next = null;
            _index0++;
            _previous = _current;
            _current = value;
            yield return value;
        }
    }

    /// <summary>Reading the loop itself as a sequence advances it: pairs of an item and the loop.</summary>
    public IEnumerable<object> Remaining() => Turns().Select(value => new TupleValue([value, this]));

    private object? Peek()
    {
        if (_next is null && _items.MoveNext())
        {
            _next = _items.Current;
        }

        return _next;
    }

    public object Call(RenderContext context, CallArguments arguments)
    {
        if (recursion is null)
        {
            throw TemplateFault.Type(
                "The loop must have the 'recursive' marker to be called recursively.");
        }

        return recursion.Render(arguments.Bind("loop", 1, "iterable")[0]!);
    }

    public object? GetAttribute(string name) => name switch
    {
        "index" => Box.Of(Index),
        "index0" => Box.Of(_index0),
        "revindex" => Box.Of(Length - _index0),
        "revindex0" => Box.Of(Length - Index),
        "first" => Box.Of(_index0 == 0),
        "last" => Box.Of(Peek() is null),
        "length" => Box.Of(Length),
        "depth" => Box.Of((recursion?.Depth ?? 0) + 1),
        "depth0" => Box.Of(recursion?.Depth ?? 0),
        "previtem" => _index0 == 0 ? new UndefinedValue("there is no previous item") : _previous!,
        "nextitem" => Peek() ?? new UndefinedValue("there is no next item"),
        "cycle" => new Function("cycle", (_, arguments) => arguments.Positional.Length == 0
            ? throw TemplateFault.Type("no items for cycling given")
            : arguments.Positional[_index0 % arguments.Positional.Length]),
        "changed" => new Function("changed", (_, arguments) => Box.Of(IsChanged(arguments.Positional))),
        _ => null,
    };

    private bool IsChanged(object[] values)
    {
        if (_lastChanged is not null && Operators.AreEqual(new TupleValue(_lastChanged), new TupleValue(values)))
        {
            return false;
        }

        _lastChanged = values;
        return true;
    }
}
