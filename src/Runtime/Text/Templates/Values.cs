using System.Numerics;

namespace LsglangSharp.Runtime.Text.Templates;

// The values of a template are those of Python: bool, long or BigInteger, double and string stand for themselves,
// the classes below for the rest. No value is null; a null slot is a variable that was never set.

/// <summary>Python's None.</summary>
internal sealed class NoneValue
{
    public static readonly NoneValue Instance = new();

    private NoneValue()
    {
    }
}

/// <summary>Boxed constants, so that common results do not allocate.</summary>
internal static class Box
{
    public static readonly object True = true;
    public static readonly object False = false;
    private static readonly object[] Small = [.. Enumerable.Range(-16, 272).Select(i => (object)(long)i)];

    public static object Of(bool value) => value ? True : False;

    public static object Of(long value) =>
        value is >= -16 and < 256 ? Small[value + 16] : value;

    public static object Of(BigInteger value) =>
        value >= long.MinValue && value <= long.MaxValue ? Of((long)value) : value;
}

/// <summary>A list.</summary>
internal sealed class ListValue(List<object> items)
{
    public List<object> Items { get; } = items;

    public ListValue(IEnumerable<object> items)
        : this(new List<object>(items))
    {
    }
}

/// <summary>A tuple; those that the groupby filter makes have names for their places.</summary>
internal sealed class TupleValue(object[] items, string[]? names = null) : IHasAttributes
{
    public object[] Items { get; } = items;

    public object? GetAttribute(string name) =>
        names is not null && Array.IndexOf(names, name) is >= 0 and var index ? Items[index] : null;
}

/// <summary>The bounds of a slice, as Python's slice object.</summary>
internal sealed record SliceValue(object Start, object Stop, object Step);

/// <summary>A range of integers.</summary>
internal sealed record RangeValue(long Start, long Stop, long Step)
{
    public long Count =>
        Step > 0 ? (Stop > Start ? (Stop - Start - 1) / Step + 1 : 0)
        : Start > Stop ? (Start - Stop - 1) / -Step + 1 : 0;

    public object this[long index] => Box.Of(Start + index * Step);
}

/// <summary>A dict in insertion order.</summary>
internal sealed class DictValue
{
    private readonly OrderedDictionary<object, object> _items;

    public DictValue(int capacity = 0) => _items = new(capacity, KeyComparer.Instance);

    public int Count => _items.Count;

    public IEnumerable<object> Keys => _items.Keys;

    public IEnumerable<object> Values => _items.Values;

    public IEnumerable<KeyValuePair<object, object>> Pairs => _items;

    public object this[object key]
    {
        get => _items[key];
        set => _items[key] = value;
    }

    public object? Find(object key) => _items.TryGetValue(key, out var value) ? value : null;

    public bool Contains(object key) => _items.ContainsKey(key);

    /// <summary>Keys are equal where Python's are: 1, 1.0 and True are one key.</summary>
    private sealed class KeyComparer : IEqualityComparer<object>
    {
        public static readonly KeyComparer Instance = new();

        bool IEqualityComparer<object>.Equals(object? x, object? y) =>
            x is string a && y is string b ? a == b : Operators.AreEqual(x!, y!);

        public int GetHashCode(object key) => Operators.Hash(key);
    }
}

internal enum DictViewKind
{
    Keys,
    Values,
    Items,
}

/// <summary>What <c>keys()</c>, <c>values()</c> and <c>items()</c> give.</summary>
internal sealed record DictView(DictValue Dict, DictViewKind Kind)
{
    public string TypeName => Kind switch
    {
        DictViewKind.Keys => "dict_keys",
        DictViewKind.Values => "dict_values",
        _ => "dict_items",
    };

    public IEnumerable<object> Items => Kind switch
    {
        DictViewKind.Keys => Dict.Keys,
        DictViewKind.Values => Dict.Values,
        _ => Dict.Pairs.Select(pair => (object)new TupleValue([pair.Key, pair.Value])),
    };
}

/// <summary>A sequence that can be read once, as Python's generators and iterators.</summary>
internal sealed class GeneratorValue(IEnumerable<object> items, string typeName = "generator")
{
    private IEnumerator<object>? _items;

    public string TypeName { get; } = typeName;

    public IEnumerable<object> Remaining()
    {
        _items ??= items.GetEnumerator();
        while (_items.MoveNext())
        {
            yield return _items.Current;
        }
    }
}

/// <summary>Text that is marked as safe HTML: adding plain text to it escapes that text.</summary>
internal sealed record Markup(string Text)
{
    public static Markup Escape(object value) =>
        value as Markup ?? new Markup(EscapeText(PythonText.Str(value)));

    public static string EscapeText(string text) =>
        text.AsSpan().IndexOfAny("&<>'\"") < 0 ? text : text.Replace("&", "&amp;", StringComparison.Ordinal)
            .Replace(">", "&gt;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal)
            .Replace("'", "&#39;", StringComparison.Ordinal).Replace("\"", "&#34;", StringComparison.Ordinal);
}

/// <summary>A variable, attribute or element that is not there; printing it gives nothing, using it fails.</summary>
internal sealed class UndefinedValue(string message, string kind = "UndefinedError")
{
    public string Message { get; } = message;

    public TemplateFault Fault => new(kind, Message);

    public static UndefinedValue Variable(string name) => new($"{PythonText.Quote(name)} is undefined");

    public static UndefinedValue Attribute(object owner, string name) =>
        new($"{PythonText.Quote(Describe(owner))} has no attribute {PythonText.Quote(name)}");

    public static UndefinedValue Element(object owner, object key) => key is string or Markup
        ? Attribute(owner, PythonText.Str(key))
        : new($"{Describe(owner)} has no element {PythonText.Repr(key)}");

    public static UndefinedValue Unsafe(object owner, string name) => new(
        $"access to attribute {PythonText.Quote(name)} of {PythonText.Quote(Operators.TypeName(owner))} object "
        + "is unsafe.",
        "SecurityError");

    private static string Describe(object owner) =>
        owner is NoneValue ? "None" : Operators.QualifiedTypeName(owner) + " object";
}

/// <summary>The object of <c>namespace()</c>, the only one whose attributes a template may set.</summary>
internal sealed class NamespaceValue
{
    public DictValue Attributes { get; } = new();
}

/// <summary>Something that a template can call.</summary>
internal interface ICallable
{
    string TypeName { get; }

    object Call(RenderContext context, CallArguments arguments);
}

/// <summary>An attribute access that an object answers itself.</summary>
internal interface IHasAttributes
{
    /// <summary>The attribute's value, or null where there is none.</summary>
    object? GetAttribute(string name);
}

/// <summary>A function of the environment or a method bound to its object.</summary>
internal sealed class Function(string name, Func<RenderContext, CallArguments, object> body) : ICallable
{
    public string Name { get; } = name;

    public string TypeName => "builtin_function_or_method";

    public object Call(RenderContext context, CallArguments arguments) => body(context, arguments);
}
