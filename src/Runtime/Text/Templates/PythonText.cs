using System.Globalization;
using System.Numerics;
using System.Text;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>How Python writes values as text: <c>str</c>, <c>repr</c>, floats, and its notion of characters.</summary>
internal static class PythonText
{
    /// <summary>Python's white space: Unicode's, and the four information separators.</summary>
    public static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\x1c' and <= '\x1f';

    public static string Str(object value) => value switch
    {
        string text => text,
        Markup markup => markup.Text,
        UndefinedValue => "",
        _ => Repr(value),
    };

    public static string Repr(object value)
    {
        switch (value)
        {
            case string text:
                return Quote(text);
            case bool truth:
                return truth ? "True" : "False";
            case long number:
                return number.ToString(CultureInfo.InvariantCulture);
            case double number:
                return Float(number);
            case BigInteger number:
                return number.ToString(CultureInfo.InvariantCulture);
            case NoneValue:
                return "None";
            case UndefinedValue:
                return "Undefined";
            case Markup markup:
                return $"Markup({Quote(markup.Text)})";
            case RangeValue range:
                return range.Step == 1
                    ? $"range({range.Start}, {range.Stop})" : $"range({range.Start}, {range.Stop}, {range.Step})";
            default:
                var builder = new StringBuilder();
                AppendRepr(builder, value);
                return builder.ToString();
        }
    }

    private static void AppendRepr(StringBuilder builder, object value)
    {
        StackGuard.Check();
        RenderContext.CheckLength(builder.Length);
        switch (value)
        {
            case ListValue list:
                AppendItems(builder, '[', list.Items, ']');
                break;
            case TupleValue tuple:
                AppendItems(builder, '(', tuple.Items, ')', tuple.Items.Length == 1);
                break;
            case DictValue dict:
                AppendDict(builder, dict);
                break;
            case DictView view:
                builder.Append(view.TypeName).Append('(');
                AppendItems(builder, '[', view.Items, ']');
                builder.Append(')');
                break;
            case NamespaceValue space:
                builder.Append("<Namespace ");
                AppendDict(builder, space.Attributes);
                builder.Append('>');
                break;
            case LoopContext loop:
                builder.Append(CultureInfo.InvariantCulture, $"<LoopContext {loop.Index}/{loop.Length}>");
                break;
            case Macro macro:
                builder.Append("<Macro ").Append(macro.Name is null ? "anonymous" : Quote(macro.Name)).Append('>');
                break;
            case SliceValue slice:
                builder.Append("slice").Append(Repr(new TupleValue([slice.Start, slice.Stop, slice.Step])));
                break;
            case GeneratorValue or ICallable:
                builder.Append('<').Append(Operators.TypeName(value)).Append(" object>");
                break;
            default:
                builder.Append(Repr(value));
                break;
        }
    }

    private static void AppendItems(
        StringBuilder builder, char open, IEnumerable<object> items, char close, bool isSingleTuple = false)
    {
        builder.Append(open);
        var first = true;
        foreach (var item in items)
        {
            builder.Append(first ? "" : ", ");
            first = false;
            AppendRepr(builder, item);
        }

        builder.Append(isSingleTuple ? "," : "").Append(close);
    }

    private static void AppendDict(StringBuilder builder, DictValue dict)
    {
        builder.Append('{');
        var first = true;
        foreach (var (key, value) in dict.Pairs)
        {
            builder.Append(first ? "" : ", ");
            first = false;
            AppendRepr(builder, key);
            builder.Append(": ");
            AppendRepr(builder, value);
        }

        builder.Append('}');
    }

    /// <summary>The shortest text that reads back as the same float, in Python's spelling.</summary>
    public static string Float(double value)
    {
        if (!double.IsFinite(value))
        {
            return double.IsNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
        }

        var (negative, digits, exponent) = ShortestDigits(value);
        var builder = new StringBuilder(negative ? "-" : "");
        if (exponent is < -4 or >= 16)
        {
            builder.Append(digits[0]);
            if (digits.Length > 1)
            {
                builder.Append('.').Append(digits, 1, digits.Length - 1);
            }

            return builder.Append('e').Append(exponent < 0 ? '-' : '+')
                .Append(Math.Abs(exponent).ToString("00", CultureInfo.InvariantCulture)).ToString();
        }

        if (exponent < 0)
        {
            return builder.Append("0.").Append('0', -exponent - 1).Append(digits).ToString();
        }

        if (digits.Length <= exponent + 1)
        {
            return builder.Append(digits).Append('0', exponent + 1 - digits.Length).Append(".0").ToString();
        }

        return builder.Append(digits, 0, exponent + 1).Append('.')
            .Append(digits, exponent + 1, digits.Length - exponent - 1).ToString();
    }

    /// <summary>Sign, significant digits and the decimal exponent of the first digit.</summary>
    private static (bool Negative, string Digits, int Exponent) ShortestDigits(double value)
    {
        // "R" is the shortest text that reads back as the same double: digits with a point, and perhaps an exponent.
        var text = value.ToString("R", CultureInfo.InvariantCulture);
        var negative = text[0] == '-';
        text = negative ? text[1..] : text;
        var exponentAt = text.IndexOf('E');
        var exponent = exponentAt < 0 ? 0 : int.Parse(text.AsSpan(exponentAt + 1), CultureInfo.InvariantCulture);
        var mantissa = exponentAt < 0 ? text : text[..exponentAt];
        var point = mantissa.IndexOf('.');
        exponent += (point < 0 ? mantissa.Length : point) - 1;
        var digits = mantissa.Replace(".", "", StringComparison.Ordinal);
        var leading = digits.Length - digits.TrimStart('0').Length;
        return leading == digits.Length
            ? (negative, "0", 0) : (negative, digits[leading..].TrimEnd('0'), exponent - leading);
    }

    /// <summary>The repr of a string: single quotes unless it holds only single ones.</summary>
    public static string Quote(string text)
    {
        var quote = text.Contains('\'') && !text.Contains('"') ? '"' : '\'';
        var builder = new StringBuilder(text.Length + 2).Append(quote);
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            switch (c)
            {
                case '\\':
                    builder.Append(@"\\");
                    break;
                case '\n':
                    builder.Append(@"\n");
                    break;
                case '\r':
                    builder.Append(@"\r");
                    break;
                case '\t':
                    builder.Append(@"\t");
                    break;
                case >= ' ' and < '\x7f':
                    builder.Append(c == quote ? "\\" : "").Append(c);
                    break;
                default:
                    i += AppendOther(builder, text, i);
                    break;
            }
        }

        return builder.Append(quote).ToString();
    }

    /// <summary>Appends a character outside printable ASCII; returns how many further UTF-16 units it took.</summary>
    private static int AppendOther(StringBuilder builder, string text, int index)
    {
        if (!Rune.TryGetRuneAt(text, index, out var rune))
        {
            builder.Append(CultureInfo.InvariantCulture, $"\\u{(int)text[index]:x4}");
            return 0;
        }

        var value = rune.Value;
        if (IsPrintable(rune))
        {
            builder.Append(text, index, rune.Utf16SequenceLength);
        }
        else if (value < 0x100)
        {
            builder.Append(CultureInfo.InvariantCulture, $"\\x{value:x2}");
        }
        else if (value < 0x10000)
        {
            builder.Append(CultureInfo.InvariantCulture, $"\\u{value:x4}");
        }
        else
        {
            builder.Append(CultureInfo.InvariantCulture, $"\\U{value:x8}");
        }

        return rune.Utf16SequenceLength - 1;
    }

    public static bool IsPrintable(Rune rune) => rune.Value == ' ' || Rune.GetUnicodeCategory(rune) is not (
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse
        or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator
        or UnicodeCategory.SpaceSeparator);

    /// <summary>True where every character is one UTF-16 unit, so that positions are indices.</summary>
    public static bool IsFlat(string text) => text.AsSpan().IndexOfAnyInRange('\ud800', '\udfff') < 0;

    public static int Length(string text)
    {
        if (IsFlat(text))
        {
            return text.Length;
        }

        var count = 0;
        for (var i = 0; i < text.Length; i += CharLength(text, i))
        {
            count++;
        }

        return count;
    }

    /// <summary>The UTF-16 index of a character position.</summary>
    public static int IndexOf(string text, int position)
    {
        var index = 0;
        for (; position > 0; position--)
        {
            index += CharLength(text, index);
        }

        return index;
    }

    /// <summary>The character position of a UTF-16 index.</summary>
    public static int PositionOf(string text, int index) =>
        IsFlat(text) ? index : Length(text[..index]);

    public static IEnumerable<object> Characters(string text)
    {
        for (var i = 0; i < text.Length;)
        {
            var length = CharLength(text, i);
            yield return text.Substring(i, length);
            i += length;
        }
    }

    private static int CharLength(string text, int index) =>
        char.IsHighSurrogate(text[index]) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1]) ? 2 : 1;
}
