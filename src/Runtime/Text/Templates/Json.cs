using System.Buffers;
using System.Globalization;
using System.Numerics;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>
/// JSON in and out: request variables into values, and the <c>tojson</c> filter as transformers defines it.
/// </summary>
internal static class Json
{
    private static readonly SearchValues<char> Escaped = SearchValues.Create(
        [.. Enumerable.Range(0, 32).Select(i => (char)i), '"', '\\']);

    /// <summary>Integers and floats keep their kind: 1 and 1.0 are not the same to a template.</summary>
    public static object FromNode(JsonNode? node)
    {
        StackGuard.Check();
        try
        {
            switch (node)
            {
                case null:
                    return NoneValue.Instance;
                case JsonObject json:
                    var dict = new DictValue(json.Count);
                    foreach (var (key, value) in json)
                    {
                        dict[key] = FromNode(value);
                    }

                    return dict;
                case JsonArray array:
                    var items = new List<object>(array.Count);
                    foreach (var item in array)
                    {
                        items.Add(FromNode(item));
                    }

                    return new ListValue(items);
                default:
                    return FromValue(node.AsValue());
            }
        }
        catch (Exception exception) when (exception is ArgumentException or InvalidOperationException or JsonException)
        {
            // Duplicate keys and lone surrogates come to light only when a lazily parsed node is read.
            throw TemplateFault.Value($"the request's JSON cannot be read: {exception.Message}");
        }
    }

    private static object FromValue(JsonValue value) => value.GetValueKind() switch
    {
        JsonValueKind.String => value.GetValue<string>(),
        JsonValueKind.True => Box.True,
        JsonValueKind.False => Box.False,
        JsonValueKind.Number => FromNumber(value),
        _ => NoneValue.Instance,
    };

    private static object FromNumber(JsonValue value)
    {
        if (value.TryGetValue<double>(out var real) && !value.TryGetValue<JsonElement>(out _))
        {
            return real;
        }

        var text = value.ToJsonString();
        return text.AsSpan().IndexOfAny(".eE") >= 0
            ? double.Parse(text, CultureInfo.InvariantCulture)
            : Box.Of(BigInteger.Parse(text, CultureInfo.InvariantCulture));
    }

    /// <summary>Text with everything outside ASCII as escapes, as Python's ascii() has it.</summary>
    public static string Escape(string text)
    {
        var builder = new StringBuilder(text.Length);
        foreach (var c in text)
        {
            builder.Append(c < 0x80 ? c.ToString() : c < 0x100 ? $"\\x{(int)c:x2}" : $"\\u{(int)c:x4}");
        }

        return builder.ToString();
    }

    public static string Serialize(object value, JsonStyle style)
    {
        var builder = new StringBuilder();
        Append(builder, value, style, 0);
        return builder.ToString();
    }

    private static void Append(StringBuilder builder, object value, JsonStyle style, int depth)
    {
        StackGuard.Check();
        switch (value)
        {
            case string text:
                AppendText(builder, text, style.IsAscii);
                break;
            case Markup markup:
                AppendText(builder, markup.Text, style.IsAscii);
                break;
            case NoneValue:
                builder.Append("null");
                break;
            case bool truth:
                builder.Append(truth ? "true" : "false");
                break;
            case double number:
                builder.Append(Float(number));
                break;
            case long or BigInteger:
                builder.Append(PythonText.Repr(value));
                break;
            case ListValue list:
                AppendItems(builder, list.Items, style, depth);
                break;
            case TupleValue tuple:
                AppendItems(builder, tuple.Items, style, depth);
                break;
            case DictValue dict:
                AppendDict(builder, dict, style, depth);
                break;
            default:
                throw TemplateFault.Type(
                    $"Object of type {Operators.TypeName(value)} is not JSON serializable");
        }

        RenderContext.CheckLength(builder.Length);
    }

    private static string Float(double number) =>
        double.IsNaN(number) ? "NaN" : double.IsInfinity(number) ? number > 0 ? "Infinity" : "-Infinity"
        : PythonText.Float(number);

    private static void AppendItems(StringBuilder builder, IReadOnlyList<object> items, JsonStyle style, int depth)
    {
        if (items.Count == 0)
        {
            builder.Append("[]");
            return;
        }

        builder.Append('[');
        for (var i = 0; i < items.Count; i++)
        {
            builder.Append(i > 0 ? style.ItemSeparator : "");
            AppendLine(builder, style, depth + 1);
            Append(builder, items[i], style, depth + 1);
        }

        AppendLine(builder, style, depth);
        builder.Append(']');
    }

    private static void AppendDict(StringBuilder builder, DictValue dict, JsonStyle style, int depth)
    {
        if (dict.Count == 0)
        {
            builder.Append("{}");
            return;
        }

        builder.Append('{');
        var isFirst = true;
        var keys = style.SortsKeys ? Sorting.Sort([.. dict.Keys], key => key, isReverse: false) : dict.Keys;
        foreach (var key in keys)
        {
            builder.Append(isFirst ? "" : style.ItemSeparator);
            isFirst = false;
            AppendLine(builder, style, depth + 1);
            AppendText(builder, KeyText(key), style.IsAscii);
            builder.Append(style.KeySeparator);
            Append(builder, dict[key], style, depth + 1);
        }

        AppendLine(builder, style, depth);
        builder.Append('}');
    }

    private static string KeyText(object key) => key switch
    {
        string or Markup => Operators.AsText(key)!,
        bool truth => truth ? "true" : "false",
        NoneValue => "null",
        double number => Float(number),
        long or BigInteger => PythonText.Repr(key),
        _ => throw TemplateFault.Type(
            $"keys must be str, int, float, bool or None, not {Operators.TypeName(key)}"),
    };

    private static void AppendLine(StringBuilder builder, JsonStyle style, int depth)
    {
        if (style.Indent is null)
        {
            return;
        }

        RenderContext.CheckLength(builder.Length + (double)depth * style.Indent.Length);
        builder.Append('\n');
        for (; depth > 0; depth--)
        {
            builder.Append(style.Indent);
        }
    }

    private static void AppendText(StringBuilder builder, string text, bool isAscii)
    {
        builder.Append('"');
        if (!isAscii && text.AsSpan().IndexOfAny(Escaped) < 0)
        {
            builder.Append(text).Append('"');
            return;
        }

        foreach (var c in text)
        {
            var simple = "\"\\\n\r\t\b\f".IndexOf(c);
            if (simple >= 0)
            {
                builder.Append('\\').Append("\"\\nrtbf"[simple]);
            }
            else if (c < ' ' || (isAscii && c >= 0x7f))
            {
                builder.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            }
            else
            {
                builder.Append(c);
            }
        }

        builder.Append('"');
    }
}

/// <summary>The arguments of Python's json.dumps that a template can give.</summary>
internal sealed record JsonStyle(
    bool IsAscii, string? Indent, string ItemSeparator, string KeySeparator, bool SortsKeys);
