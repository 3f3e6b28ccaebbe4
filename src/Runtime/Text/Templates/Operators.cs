using System.Numerics;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>Python's truth, equality, order, hashing, iteration and type names.</summary>
internal static class Operators
{
    public static bool IsTrue(object value) => value switch
    {
        bool truth => truth,
        string text => text.Length > 0,
        long number => number != 0,
        NoneValue or UndefinedValue => false,
        ListValue list => list.Items.Count > 0,
        DictValue dict => dict.Count > 0,
        TupleValue tuple => tuple.Items.Length > 0,
        double number => number != 0,
        BigInteger number => !number.IsZero,
        Markup markup => markup.Text.Length > 0,
        RangeValue range => range.Count > 0,
        DictView view => view.Dict.Count > 0,
        LoopContext loop => loop.Length > 0,
        _ => true,
    };

    public static string TypeName(object value) => value switch
    {
        string => "str",
        bool => "bool",
        long or BigInteger => "int",
        double => "float",
        NoneValue => "NoneType",
        ListValue => "list",
        TupleValue => "tuple",
        DictValue => "dict",
        UndefinedValue => "Undefined",
        Markup => "Markup",
        RangeValue => "range",
        DictView view => view.TypeName,
        GeneratorValue generator => generator.TypeName,
        NamespaceValue => "Namespace",
        LoopContext => "LoopContext",
        ICallable callable => callable.TypeName,
        _ => "object",
    };

    public static string QualifiedTypeName(object value) => value switch
    {
        Markup => "markupsafe.Markup",
        LoopContext => "jinja2.runtime.LoopContext",
        Macro => "jinja2.runtime.Macro",
        NamespaceValue or Cycler or Joiner => "jinja2.utils." + TypeName(value),
        _ => TypeName(value),
    };

    public static bool IsNumber(object value) => value is long or double or bool or BigInteger;

    public static bool TryInteger(object value, out BigInteger number)
    {
        number = value switch
        {
            long integer => integer,
            BigInteger integer => integer,
            bool truth => truth ? 1 : 0,
            _ => 0,
        };
        return value is long or BigInteger or bool;
    }

    /// <summary>An index or count; what lies outside a long is beyond every sequence anyway.</summary>
    public static bool TryIndex(object value, out long index)
    {
        var isInteger = TryInteger(value, out var number);
        index = (long)BigInteger.Clamp(number, long.MinValue / 2, long.MaxValue / 2);
        return isInteger;
    }

    public static double ToDouble(object value) => value switch
    {
        double number => number,
        long number => number,
        bool truth => truth ? 1 : 0,
        BigInteger number => (double)number,
        _ => throw TemplateFault.Type($"must be real number, not {TypeName(value)}"),
    };

    public static bool AreEqual(object left, object right)
    {
        if (left is string text)
        {
            return right is string other ? text == other : right is Markup marked && marked.Text == text;
        }

        if (IsNumber(left))
        {
            return IsNumber(right) && CompareNumbers(left, right) == 0;
        }

        StackGuard.Check();
        return (left, right) switch
        {
            (Markup a, Markup b) => a.Text == b.Text,
            (Markup a, string b) => a.Text == b,
            (ListValue a, ListValue b) => a.Items.Count == b.Items.Count && AllEqual(a.Items, b.Items),
            (TupleValue a, TupleValue b) => a.Items.Length == b.Items.Length && AllEqual(a.Items, b.Items),
            (DictValue a, DictValue b) => a.Count == b.Count
                && a.Pairs.All(pair => b.Find(pair.Key) is { } other && AreEqual(pair.Value, other)),
            (UndefinedValue, UndefinedValue) => true,
            (RangeValue a, RangeValue b) => a.Count == b.Count
                && (a.Count == 0 || (a.Start == b.Start && (a.Count == 1 || a.Step == b.Step))),
            (DictView { Kind: DictViewKind.Keys } a, DictView { Kind: DictViewKind.Keys } b) =>
                a.Dict.Count == b.Dict.Count && a.Items.All(b.Dict.Contains),
            _ => ReferenceEquals(left, right),
        };
    }

    private static bool AllEqual(IEnumerable<object> left, IEnumerable<object> right) =>
        left.Zip(right).All(pair => AreEqual(pair.First, pair.Second));

    /// <summary>The order of two numbers as a sign; null where a NaN leaves them without one.</summary>
    public static int? CompareNumbers(object left, object right)
    {
        if (left is long a && right is long b)
        {
            return a.CompareTo(b);
        }

        if (TryInteger(left, out var first) && TryInteger(right, out var second))
        {
            return first.CompareTo(second);
        }

        var (x, y) = (ToDouble(left), ToDouble(right));
        return double.IsNaN(x) || double.IsNaN(y) ? null : x.CompareTo(y);
    }

    public static int Hash(object value)
    {
        switch (value)
        {
            case string text:
                return text.GetHashCode();
            case Markup markup:
                return markup.Text.GetHashCode();
            case long or bool or BigInteger:
                TryInteger(value, out var integer);
                return integer.GetHashCode();
            case double number:
                return double.IsInteger(number) ? new BigInteger(number).GetHashCode() : number.GetHashCode();
            case TupleValue tuple:
                return tuple.Items.Aggregate(tuple.Items.Length, (hash, item) => HashCode.Combine(hash, Hash(item)));
            case UndefinedValue:
                return 0;
            case ListValue or DictValue:
                throw TemplateFault.Type($"unhashable type: '{TypeName(value)}'");
            default:
                return value.GetHashCode();
        }
    }

    /// <summary>Order as <c>&lt;</c> and its kin need it; <paramref name="symbol"/> is for the message.</summary>
    public static bool Ordered(object left, object right, string symbol)
    {
        if (left is UndefinedValue undefined || (undefined = (right as UndefinedValue)!) is not null)
        {
            throw undefined.Fault;
        }

        if (IsNumber(left) && IsNumber(right))
        {
            return Holds(CompareNumbers(left, right), symbol);
        }

        StackGuard.Check();
        if (AsText(left) is { } a && AsText(right) is { } b)
        {
            return Holds(CompareText(a, b), symbol);
        }

        return (left, right) switch
        {
            (ListValue x, ListValue y) => OrderedItems(x.Items, y.Items, symbol),
            (TupleValue x, TupleValue y) => OrderedItems(x.Items, y.Items, symbol),
            _ => throw TemplateFault.Type($"'{symbol}' not supported between instances of "
                + $"'{TypeName(left)}' and '{TypeName(right)}'"),
        };
    }

    private static bool OrderedItems(IReadOnlyList<object> left, IReadOnlyList<object> right, string symbol)
    {
        for (var i = 0; i < Math.Min(left.Count, right.Count); i++)
        {
            if (!AreEqual(left[i], right[i]))
            {
                return Ordered(left[i], right[i], symbol);
            }
        }

        return Holds(left.Count.CompareTo(right.Count), symbol);
    }

    // Comparing with null is false, as every comparison with a NaN is.
    private static bool Holds(int? order, string symbol) => symbol switch
    {
        "<" => order < 0,
        "<=" => order <= 0,
        ">" => order > 0,
        _ => order >= 0,
    };

    /// <summary>Order by code points, which differs from UTF-16 order around surrogates.</summary>
    private static int CompareText(string left, string right)
    {
        for (var i = 0; i < Math.Min(left.Length, right.Length); i++)
        {
            var (a, b) = (left[i], right[i]);
            if (a != b)
            {
                var (isHighA, isHighB) = (char.IsSurrogate(a), char.IsSurrogate(b));
                return isHighA == isHighB ? a.CompareTo(b) : isHighA ? 1 : -1;
            }
        }

        return left.Length.CompareTo(right.Length);
    }

    public static string? AsText(object value) => value as string ?? (value as Markup)?.Text;

    public static bool Contains(object container, object item)
    {
        switch (container)
        {
            case string or Markup:
                return AsText(container)!.Contains(
                    AsText(item) ?? throw (item is UndefinedValue missing
                        ? TemplateFault.Type("'in <string>' requires string as left operand, not Undefined")
                        : TemplateFault.Type($"'in <string>' requires string as left operand, not {TypeName(item)}")),
                    StringComparison.Ordinal);
            case DictValue dict:
                return dict.Contains(item);
            case DictView { Kind: DictViewKind.Keys } view:
                return view.Dict.Contains(item);
            case ListValue or TupleValue or RangeValue or DictView or UndefinedValue or GeneratorValue or LoopContext:
                return Iterate(container).Any(candidate => AreEqual(candidate, item));
            default:
                throw TemplateFault.Type($"argument of type '{TypeName(container)}' is not iterable");
        }
    }

    public static bool IsIterable(object value) => value is string or Markup or ListValue or TupleValue or DictValue
        or DictView or RangeValue or UndefinedValue or GeneratorValue or LoopContext;

    public static IEnumerable<object> Iterate(object value) => value switch
    {
        ListValue list => list.Items,
        TupleValue tuple => tuple.Items,
        DictValue dict => dict.Keys,
        DictView view => view.Items,
        string text => PythonText.Characters(text),
        Markup markup => PythonText.Characters(markup.Text),
        RangeValue range => IterateRange(range),
        UndefinedValue => [],
        GeneratorValue generator => generator.Remaining(),
        LoopContext loop => loop.Remaining(),
        _ => throw TemplateFault.Type($"'{TypeName(value)}' object is not iterable"),
    };

    private static IEnumerable<object> IterateRange(RangeValue range)
    {
        for (var i = 0L; i < range.Count; i++)
        {
            yield return range[i];
        }
    }

    /// <summary>The length, or null for what has none.</summary>
    public static long? Length(object value) => value switch
    {
        string text => PythonText.Length(text),
        Markup markup => PythonText.Length(markup.Text),
        ListValue list => list.Items.Count,
        TupleValue tuple => tuple.Items.Length,
        DictValue dict => dict.Count,
        DictView view => view.Dict.Count,
        RangeValue range => range.Count,
        LoopContext loop => loop.Length,
        UndefinedValue => 0,
        _ => null,
    };
}
