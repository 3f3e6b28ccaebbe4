using System.Collections.Frozen;
using System.Numerics;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>Attributes, elements and slices of values, in the order in which Jinja's sandbox looks for them.</summary>
internal static class Attributes
{
    /// <summary>Methods that change their object; the sandbox hides them.</summary>
    private static readonly FrozenSet<string> ListMutators =
        new[] { "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove" }.ToFrozenSet();

    private static readonly FrozenSet<string> DictMutators =
        new[] { "clear", "pop", "popitem", "setdefault", "update" }.ToFrozenSet();

    /// <summary>Attributes that every Python object has and that no template may touch.</summary>
    private static readonly FrozenSet<string> Internals = new[]
    {
        "__class__", "__delattr__", "__dir__", "__doc__", "__eq__", "__format__", "__ge__", "__getattribute__",
        "__getstate__", "__gt__", "__hash__", "__init__", "__init_subclass__", "__le__", "__lt__", "__ne__", "__new__",
        "__reduce__", "__reduce_ex__", "__repr__", "__setattr__", "__sizeof__", "__str__", "__subclasshook__",
    }.ToFrozenSet();

    /// <summary><c>owner.name</c>: an attribute first, then an element of that name.</summary>
    public static object Get(object owner, string name)
    {
        if (owner is UndefinedValue undefined && !Internals.Contains(name))
        {
            throw undefined.Fault;
        }

        return Find(owner, name)
            ?? (owner as DictValue)?.Find(name)
            ?? UndefinedValue.Attribute(owner, name);
    }

    /// <summary>An attribute without a look at the elements; null where there is none.</summary>
    public static object? Find(object owner, string name)
    {
        if (name.Length > 2 && name[0] == '_' && Internals.Contains(name))
        {
            return UndefinedValue.Unsafe(owner, name);
        }

        switch (owner)
        {
            case DictValue dict:
                return DictMutators.Contains(name)
                    ? UndefinedValue.Unsafe(owner, name) : CollectionMethods.Find(dict, name);
            case string text:
                return StringMethods.Find(text, name, isMarkup: false);
            case Markup markup:
                return StringMethods.Find(markup.Text, name, isMarkup: true);
            case NamespaceValue space:
                return space.Attributes.Find(name);
            case ListValue list:
                return ListMutators.Contains(name)
                    ? UndefinedValue.Unsafe(owner, name)
                    : CollectionMethods.FindInSequence(list.Items, name, hasCopy: true);
            case IHasAttributes other when other.GetAttribute(name) is { } value:
                return value;
            case TupleValue tuple:
                return CollectionMethods.FindInSequence(tuple.Items, name, hasCopy: false);
            default:
                return FindInNumber(owner, name);
        }
    }

    private static object? FindInNumber(object owner, string name)
    {
        if (!Operators.IsNumber(owner))
        {
            return null;
        }

        var isFloat = owner is double;
        return name switch
        {
            "real" => Arithmetic.Positive(owner),
            "imag" => isFloat ? 0.0 : Box.Of(0),
            "numerator" when !isFloat => Arithmetic.Positive(owner),
            "denominator" when !isFloat => Box.Of(1),
            "conjugate" => new Function(name, (_, _) => Arithmetic.Positive(owner)),
            "is_integer" => new Function(name, (_, _) => Box.Of(!isFloat || double.IsInteger((double)owner))),
            "bit_length" when !isFloat => new Function(name, (_, _) =>
                Box.Of(Operators.TryInteger(owner, out var number)
                    ? (long)BigInteger.Abs(number).GetBitLength() : 0)),
            _ => null,
        };
    }

    /// <summary><c>owner[key]</c>: an element first, then an attribute of that name.</summary>
    public static object GetItem(object owner, object key)
    {
        if (owner is UndefinedValue undefined)
        {
            throw undefined.Fault;
        }

        if (key is SliceValue && !CanSlice(owner))
        {
            throw TemplateFault.Type(owner is DictValue
                ? "unhashable type: 'slice'" : $"'{Operators.TypeName(owner)}' object is not subscriptable");
        }

        if (Element(owner, key) is { } value)
        {
            return value;
        }

        return Operators.AsText(key) is { } name && Find(owner, name) is { } attribute
            ? attribute : UndefinedValue.Element(owner, key);
    }

    private static bool CanSlice(object owner) =>
        owner is string or Markup or ListValue or TupleValue or RangeValue;

    private static object? Element(object owner, object key)
    {
        switch (owner)
        {
            case DictValue dict:
                return key is ListValue or DictValue or SliceValue ? null : dict.Find(key);
            case ListValue list:
                return key is SliceValue slice
                    ? new ListValue(SliceItems(list.Items, slice)) : At(list.Items, key);
            case TupleValue tuple:
                return key is SliceValue cut
                    ? new TupleValue([.. SliceItems(tuple.Items, cut)]) : At(tuple.Items, key);
            case string text:
                return TextElement(text, key);
            case Markup markup:
                return TextElement(markup.Text, key) is { } piece ? new Markup(piece) : null;
            case RangeValue range:
                return RangeElement(range, key);
            default:
                return null;
        }
    }

    private static object? At(IReadOnlyList<object> items, object key)
    {
        if (!Operators.TryIndex(key, out var index))
        {
            return null;
        }

        index = index < 0 ? index + items.Count : index;
        return index >= 0 && index < items.Count ? items[(int)index] : null;
    }

    private static string? TextElement(string text, object key)
    {
        if (key is SliceValue slice)
        {
            return SliceText(text, slice);
        }

        if (!Operators.TryIndex(key, out var index))
        {
            return null;
        }

        var length = PythonText.Length(text);
        index = index < 0 ? index + length : index;
        if (index < 0 || index >= length)
        {
            return null;
        }

        var start = length == text.Length ? (int)index : PythonText.IndexOf(text, (int)index);
        return text.Substring(start, length != text.Length && char.IsHighSurrogate(text[start]) ? 2 : 1);
    }

    private static string SliceText(string text, SliceValue slice)
    {
        var length = PythonText.Length(text);
        var (start, stop, step) = Bounds(slice, length);
        if (step == 1)
        {
            stop = Math.Max(start, stop);
            return length == text.Length
                ? text[(int)start..(int)stop]
                : text[PythonText.IndexOf(text, (int)start)..PythonText.IndexOf(text, (int)stop)];
        }

        var characters = PythonText.Characters(text).ToList();
        return string.Concat(Positions(start, stop, step).Select(index => (string)characters[(int)index]));
    }

    private static List<object> SliceItems(IReadOnlyList<object> items, SliceValue slice)
    {
        var (start, stop, step) = Bounds(slice, items.Count);
        return [.. Positions(start, stop, step).Select(index => items[(int)index])];
    }

    private static object? RangeElement(RangeValue range, object key)
    {
        if (key is SliceValue slice)
        {
            var (start, stop, step) = Bounds(slice, range.Count);
            return new RangeValue(
                range.Start + start * range.Step, range.Start + stop * range.Step, range.Step * step);
        }

        if (!Operators.TryIndex(key, out var index))
        {
            return null;
        }

        index = index < 0 ? index + range.Count : index;
        return index >= 0 && index < range.Count ? range[index] : null;
    }

    private static IEnumerable<long> Positions(long start, long stop, long step)
    {
        for (var i = start; step > 0 ? i < stop : i > stop; i += step)
        {
            yield return i;
        }
    }

    private static (long Start, long Stop, long Step) Bounds(SliceValue slice, long length)
    {
        var step = 1L;
        if (slice.Step is not NoneValue && !Operators.TryIndex(slice.Step, out step))
        {
            throw NotAnIndex();
        }

        if (step == 0)
        {
            throw TemplateFault.Value("slice step cannot be zero");
        }

        var isBackward = step < 0;
        return (Bound(slice.Start, length, isBackward, isBackward ? length - 1 : 0),
            Bound(slice.Stop, length, isBackward, isBackward ? -1 : length), step);
    }

    private static TemplateFault NotAnIndex() =>
        TemplateFault.Type("slice indices must be integers or None or have an __index__ method");

    private static long Bound(object bound, long length, bool isBackward, long fallback)
    {
        if (bound is NoneValue)
        {
            return fallback;
        }

        if (!Operators.TryIndex(bound, out var value))
        {
            throw NotAnIndex();
        }

        value = value < 0 ? value + length : value;
        return isBackward ? Math.Clamp(value, -1, length - 1) : Math.Clamp(value, 0, length);
    }
}
