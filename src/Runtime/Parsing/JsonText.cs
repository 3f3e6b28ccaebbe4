using System.Globalization;
using System.Text;
using System.Text.Json;
using LsglangSharp.Runtime.Text.Templates;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>JSON in the spelling of Python's json.dumps without ASCII escapes, which clients of sglang get.</summary>
internal static class JsonText
{
    /// <summary>Deepest nesting of arguments; System.Text.Json's own limit, so that both ways agree.</summary>
    public const int DepthMax = 64;

    /// <summary>The whole text as one JSON value, or null where it is not.</summary>
    public static JsonDocument? TryParse(string text)
    {
        try
        {
            return JsonDocument.Parse(
                text.Trim(' ', '\t', '\n', '\r'), new JsonDocumentOptions { MaxDepth = DepthMax });
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public static string Write(JsonElement element)
    {
        var builder = new StringBuilder();
        Append(builder, element);
        return builder.ToString();
    }

    private static void Append(StringBuilder builder, JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                AppendObject(builder, element);
                break;
            case JsonValueKind.Array:
                builder.Append('[');
                var isFirst = true;
                foreach (var item in element.EnumerateArray())
                {
                    builder.Append(isFirst ? "" : ", ");
                    isFirst = false;
                    Append(builder, item);
                }

                builder.Append(']');
                break;
            case JsonValueKind.String:
                AppendString(builder, Unescape(element.GetRawText()));
                break;
            case JsonValueKind.Number:
                builder.Append(Number(element.GetRawText()));
                break;
            default:
                builder.Append(element.GetRawText());
                break;
        }
    }

    /// <summary>A key that is written twice keeps its first place and its last value.</summary>
    private static void AppendObject(StringBuilder builder, JsonElement element)
    {
        var members = new OrderedDictionary<string, JsonElement>();
        foreach (var member in element.EnumerateObject())
        {
            members[member.Name] = member.Value;
        }

        builder.Append('{');
        var isFirst = true;
        foreach (var (name, value) in members)
        {
            builder.Append(isFirst ? "" : ", ");
            isFirst = false;
            AppendString(builder, name);
            builder.Append(": ");
            Append(builder, value);
        }

        builder.Append('}');
    }

    /// <summary>An object from values that are JSON already.</summary>
    public static string Object(IEnumerable<KeyValuePair<string, string>> members) =>
        $"{{{string.Join(", ", members.Select(member => $"{Quote(member.Key)}: {member.Value}"))}}}";

    public static string Quote(string text)
    {
        var builder = new StringBuilder();
        AppendString(builder, text);
        return builder.ToString();
    }

    /// <summary>
    /// The value of a JSON string with its quotes; unlike the framework's reader it takes lone surrogates.
    /// </summary>
    public static string Unescape(string raw)
    {
        if (!raw.Contains('\\'))
        {
            return raw[1..^1];
        }

        var builder = new StringBuilder(raw.Length);
        for (var i = 1; i < raw.Length - 1; i++)
        {
            if (raw[i] != '\\')
            {
                builder.Append(raw[i]);
            }
            else if (raw[++i] == 'u')
            {
                builder.Append((char)int.Parse(
                    raw.AsSpan(i + 1, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture));
                i += 4;
            }
            else
            {
                builder.Append(SimpleEscape(raw[i]));
            }
        }

        return builder.ToString();
    }

    /// <summary>The character that a one-letter escape stands for; NUL where there is none.</summary>
    public static char SimpleEscape(char letter) => letter switch
    {
        '"' or '\\' or '/' => letter,
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\b',
        'f' => '\f',
        _ => '\0',
    };

    public static void AppendString(StringBuilder builder, string text)
    {
        builder.Append('"');
        for (var i = 0; i < text.Length; i++)
        {
            var isPair = char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]);
            AppendChar(builder, text[i], isPair);
            if (isPair)
            {
                builder.Append(text[++i]);
            }
        }

        builder.Append('"');
    }

    /// <summary>A character of a string; a surrogate without its partner stays an escape.</summary>
    public static void AppendChar(StringBuilder builder, char c, bool isPaired)
    {
        var simple = "\"\\\n\r\t\b\f".IndexOf(c);
        if (simple >= 0)
        {
            builder.Append('\\').Append("\"\\nrtbf"[simple]);
        }
        else if (c < ' ' || (char.IsSurrogate(c) && !isPaired))
        {
            builder.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
        }
        else
        {
            builder.Append(c);
        }
    }

    /// <summary>A number as Python reads and writes it: 1E5 is a float and becomes 100000.0.</summary>
    public static string Number(string raw)
    {
        if (raw.AsSpan().IndexOfAny(".eE") < 0)
        {
            return raw == "-0" ? "0" : raw;
        }

        var value = double.Parse(raw, CultureInfo.InvariantCulture);
        return double.IsFinite(value) ? PythonText.Float(value) : raw;
    }
}
