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
        if (owner is UndefinedValue undefined)
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
                return DictMutators.Contains(name) ? UndefinedValue.Unsafe(owner, name) : CollectionMethods.Find(dict, name);
            case string text:
                return StringMethods.Find(text, name, isMarkup: false);
            case Markup markup:
                return StringMethods.Find(markup.Text, name, isMarkup: true);
            case NamespaceValue space:
                return space.Attributes.Find(name);
            case ListValue list:
                return ListMutators.Contains(name)
                    ? UndefinedValue.Unsafe(owner, name) : CollectionMethods.FindInSequence(list.Items, name, hasCopy: true);
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

        if (Element(owner, key) is { } value)
        {
            return value;
        }

        return Operators.AsText(key) is { } name && Find(owner, name) is { } attribute
            ? attribute : UndefinedValue.Element(owner, key);
    }

    private static object? Element(object owner, object key)
    {
        switch (owner)
        {
            case DictValue dict:
                return key is ListValue or DictValue or SliceValue ? null : dict.Find(key);
            case ListValue list:
                return key is SliceValue slice ? SliceItems(list.Items, slice) is { } part ? new ListValue(part) : null
                    : At(list.Items, key);
            case TupleValue tuple:
                return key is SliceValue cut ? SliceItems(tuple.Items, cut) is { } piece ? new TupleValue([.. piece]) : null
                    : At(tuple.Items, key);
            case string text:
                return TextElement(text, key);
            case Markup markup:
                return TextElement(markup.Text, key) is string piece2 ? new Markup(piece2) : null;
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

    private static string? SliceText(string text, SliceValue slice)
    {
        var length = PythonText.Length(text);
        if (!TryBounds(slice, length, out var start, out var stop, out var step))
        {
            return null;
        }

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

    private static List<object>? SliceItems(IReadOnlyList<object> items, SliceValue slice) =>
        TryBounds(slice, items.Count, out var start, out var stop, out var step)
            ? [.. Positions(start, stop, step).Select(index => items[(int)index])] : null;

    private static object? RangeElement(RangeValue range, object key)
    {
        if (key is SliceValue slice)
        {
            return TryBounds(slice, range.Count, out var start, out var stop, out var step)
                ? new RangeValue(
                    range.Start + start * range.Step, range.Start + stop * range.Step, range.Step * step)
                : null;
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

    private static bool TryBounds(SliceValue slice, long length, out long start, out long stop, out long step)
    {
        step = 1;
        start = stop = 0;
        if (slice.Step is not NoneValue && !Operators.TryIndex(slice.Step, out step))
        {
            return false;
        }

        if (step == 0)
        {
            throw TemplateFault.Value("slice step cannot be zero");
        }

        return TryBound(slice.Start, length, step < 0, step < 0 ? length - 1 : 0, out start)
            && TryBound(slice.Stop, length, step < 0, step < 0 ? -1 : length, out stop);
    }

    private static bool TryBound(object bound, long length, bool isBackward, long fallback, out long value)
    {
        value = fallback;
        if (bound is NoneValue)
        {
            return true;
        }

        if (!Operators.TryIndex(bound, out value))
        {
            return false;
        }

        value = value < 0 ? value + length : value;
        value = isBackward ? Math.Clamp(value, -1, length - 1) : Math.Clamp(value, 0, length);
        return true;
    }
}
