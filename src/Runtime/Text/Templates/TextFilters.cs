using System.Text;
using System.Text.RegularExpressions;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>Filters that make or change text.</summary>
internal static partial class TextFilters
{
    public static object Format(RenderContext context, object value, CallArguments arguments)
    {
        if (arguments.Positional.Length > 0 && arguments.KeywordCount > 0)
        {
            throw TemplateFault.FilterArgument("can't handle positional and keyword arguments at the same time");
        }

        object given = new TupleValue(arguments.Positional);
        if (arguments.KeywordCount > 0)
        {
            var dict = new DictValue();
            foreach (var (name, argument) in arguments.Keywords!)
            {
                dict[name] = argument;
            }

            given = dict;
        }

        return PrintfFormat.Format(PythonText.Str(value), given);
    }

    public static object Indent(RenderContext context, object value, CallArguments arguments)
    {
        var bound = arguments.Bind("indent", 0, "width", "first", "blank");
        var text = Operators.AsText(value) ?? throw NoLines(value);
        var indention = bound[0] is string or Markup
            ? Operators.AsText(bound[0]!)!
            : StringMethods.Pad("", bound[0] is null ? 4 : StringMethods.Width(bound[0]!), " ", "ljust");
        var coversFirst = Filters.IsTrue(bound[1]);
        var coversBlank = Filters.IsTrue(bound[2]);
        var lines = Splitting.Lines(text + "\n").Cast<string>().ToList();
        RenderContext.CheckLength((double)lines.Count * indention.Length);
        for (var i = 1; i < lines.Count; i++)
        {
            lines[i] = coversBlank || lines[i].Length > 0 ? indention + lines[i] : lines[i];
        }

        return (coversFirst ? indention : "") + string.Join('\n', lines);
    }

    /// <summary>What Python says when the line's end is added to something other than text.</summary>
    private static TemplateFault NoLines(object value) => value switch
    {
        UndefinedValue undefined => undefined.Fault,
        ListValue => new TemplateFault("AttributeError", "'list' object has no attribute 'splitlines'"),
        TupleValue => TemplateFault.Type("can only concatenate tuple (not \"str\") to tuple"),
        _ => TemplateFault.Type($"unsupported operand type(s) for +=: '{Operators.TypeName(value)}' and 'str'"),
    };

    public static object Replace(RenderContext context, object value, CallArguments arguments)
    {
        var bound = arguments.Bind("replace", 2, "old", "new", "count");
        var count = bound[2] is null or NoneValue ? -1 : StringMethods.Width(bound[2]!);
        return StringMethods.Replace(
            PythonText.Str(value), PythonText.Str(bound[0]!), PythonText.Str(bound[1]!), count);
    }

    public static object Trim(RenderContext context, object value, CallArguments arguments)
    {
        var chars = arguments.Bind("trim", 0, "chars")[0];
        return StringMethods.Strip(
            PythonText.Str(value), StringMethods.StripSet(chars, "strip"));
    }

    public static object StripTags(RenderContext context, object value, CallArguments arguments)
    {
        var text = Comments().Replace(PythonText.Str(value), "");
        text = Tags().Replace(text, "");
        return System.Net.WebUtility.HtmlDecode(string.Join(
            ' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)));
    }

    public static object Title(RenderContext context, object value, CallArguments arguments)
    {
        var builder = new StringBuilder();
        var isWordStart = true;
        foreach (var rune in PythonText.Str(value).EnumerateRunes())
        {
            var isBreak = rune.Value is '-' or '(' or '{' or '[' or '<'
                || (rune.IsBmp && PythonText.IsSpace((char)rune.Value));
            var letter = rune.ToString();
            builder.Append(isWordStart ? StringMethods.Upper(letter) : StringMethods.Lower(letter));
            isWordStart = isBreak;
        }

        return builder.ToString();
    }

    /// <summary>transformers' tojson: plain text, not HTML-safe, with json.dumps' own arguments.</summary>
    public static object ToJson(RenderContext context, object value, CallArguments arguments)
    {
        var bound = arguments.Bind("tojson", 0, "ensure_ascii", "indent", "separators", "sort_keys");
        var indent = bound[1] switch
        {
            null or NoneValue => null,
            string or Markup => Operators.AsText(bound[1]!),
            _ => StringMethods.Pad("", StringMethods.Width(bound[1]!), " ", "ljust"),
        };
        var (item, key) = (indent is null ? ", " : ",", ": ");
        if (bound[2] is not (null or NoneValue))
        {
            var separators = Pair(bound[2]!);
            (item, key) = (PythonText.Str(separators.First), PythonText.Str(separators.Second));
        }

        return Json.Serialize(
            value, new JsonStyle(Filters.IsTrue(bound[0]), indent, item, key, Filters.IsTrue(bound[3])));
    }

    public static object Truncate(RenderContext context, object value, CallArguments arguments)
    {
        var bound = arguments.Bind("truncate", 0, "length", "killwords", "end", "leeway");
        var length = bound[0] is null ? 255 : StringMethods.Width(bound[0]!);
        var end = PythonText.Str(bound[2] ?? "...");
        var leeway = bound[3] is null or NoneValue ? 5 : StringMethods.Width(bound[3]!);
        if (Operators.AsText(value) is not { } text)
        {
            return (Operators.Length(value) ?? throw TemplateFault.Type(
                $"object of type '{Operators.TypeName(value)}' has no len()")) <= length + leeway
                ? value : throw TemplateFault.Type("only text can be truncated");
        }

        if (length < PythonText.Length(end))
        {
            throw new TemplateFault("AssertionError", $"expected length >= {PythonText.Length(end)}, got {length}");
        }

        if (PythonText.Length(text) <= length + leeway)
        {
            return text;
        }

        text = text[..PythonText.IndexOf(text, (int)(length - PythonText.Length(end)))];
        var lastSpace = text.LastIndexOf(' ');
        return (Filters.IsTrue(bound[1]) || lastSpace < 0 ? text : text[..lastSpace]) + end;
    }

    public static object WordCount(RenderContext context, object value, CallArguments arguments) =>
        Box.Of((long)Words().Count(PythonText.Str(value)));

    /// <summary>Breaks lines at white space, and inside words that are longer than a line.</summary>
    public static object WordWrap(RenderContext context, object value, CallArguments arguments)
    {
        var bound = arguments.Bind(
            "wordwrap", 0, "width", "break_long_words", "wrapstring", "break_on_hyphens");
        var width = bound[0] is null ? 79 : StringMethods.Width(bound[0]!);
        if (width <= 0)
        {
            throw TemplateFault.Value($"invalid width {width} (must be > 0)");
        }

        var text = Operators.AsText(value) ?? throw (value is UndefinedValue undefined
            ? undefined.Fault
            : new TemplateFault(
                "AttributeError", $"'{Operators.TypeName(value)}' object has no attribute 'splitlines'"));
        var separator = bound[2] is null or NoneValue ? "\n" : PythonText.Str(bound[2]!);
        var pattern = Filters.IsTrue(bound[3], fallback: true) ? HyphenChunks() : PlainChunks();
        var lines = Splitting.Lines(text).Cast<string>().Select(line => string.Join(
            separator, Wrap(pattern.Matches(line), (int)Math.Min(width, int.MaxValue),
                Filters.IsTrue(bound[1], fallback: true))));
        return string.Join(separator, lines);
    }

    private static List<string> Wrap(MatchCollection chunks, int width, bool breaksWords)
    {
        var lines = new List<string>();
        var line = "";
        void EndLine()
        {
            // White space at a line's end is dropped, and a line of nothing else with it.
            line = line.TrimEnd();
            lines.AddRange(line.Length > 0 ? [line] : []);
            line = "";
        }

        foreach (var match in chunks.Cast<Match>())
        {
            var chunk = match.Value;
            var fits = line.Length + chunk.Length <= width;
            var isSpace = string.IsNullOrWhiteSpace(chunk);
            if (!fits && (isSpace ? line.Length > 0 : chunk.Length <= width || !breaksWords))
            {
                EndLine();
            }

            // The text's own indentation stays; white space that starts a later line does not.
            chunk = isSpace && line.Length == 0 && lines.Count > 0 ? "" : chunk;

            while (breaksWords && line.Length + chunk.Length > width)
            {
                var room = width - line.Length;
                line += chunk[..room];
                chunk = chunk[room..];
                EndLine();
            }

            line += chunk;
        }

        EndLine();
        return lines;
    }

    public static object UrlEncode(RenderContext context, object value, CallArguments arguments)
    {
        if (value is string or Markup || !Operators.IsIterable(value))
        {
            return Quote(PythonText.Str(value), keepsSlash: true);
        }

        var pairs = value is DictValue dict ? new DictView(dict, DictViewKind.Items).Items : Operators.Iterate(value);
        return string.Join('&', pairs.Select(Pair).Select(
            pair => $"{QuoteQuery(pair.First)}={QuoteQuery(pair.Second)}"));
    }

    private static (object First, object Second) Pair(object value)
    {
        if (!Operators.IsIterable(value))
        {
            throw TemplateFault.Type($"cannot unpack non-iterable {Operators.TypeName(value)} object");
        }

        var items = Operators.Iterate(value).Take(3).ToList();
        return items.Count == 2 ? (items[0], items[1]) : throw TemplateFault.Value(items.Count > 2
            ? "too many values to unpack (expected 2)"
            : $"not enough values to unpack (expected 2, got {items.Count})");
    }

    private static string QuoteQuery(object value) =>
        Quote(PythonText.Str(value), keepsSlash: false).Replace("%20", "+", StringComparison.Ordinal);

    private static string Quote(string text, bool keepsSlash)
    {
        var quoted = Uri.EscapeDataString(text);
        return keepsSlash ? quoted.Replace("%2F", "/", StringComparison.Ordinal) : quoted;
    }

    public static object XmlAttributes(RenderContext context, object value, CallArguments arguments)
    {
        var hasSpace = Filters.IsTrue(arguments.Bind("xmlattr", 0, "autospace")[0], fallback: true);
        var dict = value as DictValue
            ?? throw TemplateFault.Undefined(UndefinedValue.Attribute(value, "items").Message);
        var parts = new List<string>();
        foreach (var (key, item) in dict.Pairs)
        {
            if (item is NoneValue or UndefinedValue)
            {
                continue;
            }

            var name = PythonText.Str(key);
            if (name.Any(c => PythonText.IsSpace(c) || c is '/' or '>' or '='))
            {
                throw TemplateFault.Value($"Invalid character in attribute name: {PythonText.Quote(name)}");
            }

            parts.Add($"{Markup.EscapeText(name)}=\"{Markup.Escape(item).Text}\"");
        }

        return (hasSpace && parts.Count > 0 ? " " : "") + string.Join(' ', parts);
    }

    [GeneratedRegex("<!--.*?-->", RegexOptions.Singleline)]
    private static partial Regex Comments();

    [GeneratedRegex("<.*?>", RegexOptions.Singleline)]
    private static partial Regex Tags();

    [GeneratedRegex(@"\w+")]
    private static partial Regex Words();

    [GeneratedRegex(@"\s+|\S+")]
    private static partial Regex PlainChunks();

    [GeneratedRegex(@"\s+|[^\s-]*[\w]-+(?=\w)|\S+?(?=\s|$)|\S+?\w-+(?=\w)")]
    private static partial Regex HyphenChunks();
}
