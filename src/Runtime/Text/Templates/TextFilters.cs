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
        var indention = bound[0] is string or Markup
            ? Operators.AsText(bound[0]!)!
            : StringMethods.Pad("", bound[0] is null ? 4 : StringMethods.Width(bound[0]!), " ", "ljust");
        var coversFirst = Filters.IsTrue(bound[1]);
        var coversBlank = Filters.IsTrue(bound[2]);
        var lines = Splitting.Lines(PythonText.Str(value) + "\n").Cast<string>().ToList();
        RenderContext.CheckLength((double)lines.Count * indention.Length);
        for (var i = 1; i < lines.Count; i++)
        {
            lines[i] = coversBlank || lines[i].Length > 0 ? indention + lines[i] : lines[i];
        }

        return (coversFirst ? indention : "") + string.Join('\n', lines);
    }

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
            var separators = Operators.Iterate(bound[2]!).Take(3).ToList();
            if (separators.Count != 2)
            {
                throw TemplateFault.Value(separators.Count > 2
                    ? "too many values to unpack (expected 2)"
                    : $"not enough values to unpack (expected 2, got {separators.Count})");
            }

            (item, key) = (PythonText.Str(separators[0]), PythonText.Str(separators[1]));
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
        var text = PythonText.Str(value);
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

        var separator = bound[2] is null or NoneValue ? "\n" : PythonText.Str(bound[2]!);
        var pattern = Filters.IsTrue(bound[3], fallback: true) ? HyphenChunks() : PlainChunks();
        var lines = Splitting.Lines(PythonText.Str(value)).Cast<string>().Select(line => string.Join(
            separator, Wrap(pattern.Matches(line), (int)Math.Min(width, int.MaxValue),
                Filters.IsTrue(bound[1], fallback: true))));
        return string.Join(separator, lines);
    }

    private static List<string> Wrap(MatchCollection chunks, int width, bool breaksWords)
    {
        var lines = new List<string>();
        var line = "";
        foreach (var match in chunks.Cast<Match>())
        {
            var chunk = match.Value;
            if (line.Length + chunk.Length > width && string.IsNullOrWhiteSpace(chunk))
            {
                lines.Add(line.TrimEnd());
                line = "";
                continue;
            }

            if (chunk.Length <= width && line.Length + chunk.Length > width)
            {
                lines.Add(line.TrimEnd());
                line = "";
            }

            while (breaksWords && line.Length + chunk.Length > width)
            {
                var room = width - line.Length;
                lines.Add(line + chunk[..room]);
                (line, chunk) = ("", chunk[room..]);
            }

            if (!breaksWords && line.Length > 0 && line.Length + chunk.Length > width)
            {
                lines.Add(line.TrimEnd());
                line = "";
            }

            line += line.Length == 0 && lines.Count > 0 ? chunk.TrimStart() : chunk;
        }

        if (line.TrimEnd().Length > 0)
        {
            lines.Add(line.TrimEnd());
        }

        return lines;
    }

    public static object UrlEncode(RenderContext context, object value, CallArguments arguments)
    {
        if (value is string or Markup || !Operators.IsIterable(value))
        {
            return Quote(PythonText.Str(value), keepsSlash: true);
        }

        var pairs = value is DictValue dict ? new DictView(dict, DictViewKind.Items).Items : Operators.Iterate(value);
        return string.Join('&', pairs.Select(pair => Operators.Iterate(pair).Take(2).ToList()).Select(
            pair => $"{QuoteQuery(pair[0])}={QuoteQuery(pair[1])}"));
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
