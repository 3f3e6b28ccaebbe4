using System.Collections.Frozen;
using System.Globalization;
using System.Text;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>The methods of Python's strings.</summary>
internal static class StringMethods
{
    private delegate object Method(string self, CallArguments arguments);

    private static readonly FrozenDictionary<string, Method> Methods = new Dictionary<string, Method>
    {
        ["capitalize"] = (self, _) => Capitalize(self),
        ["casefold"] = (self, _) => Lower(self).Replace("ß", "ss", StringComparison.Ordinal),
        ["center"] = (self, arguments) => Pad(self, arguments, "center"),
        ["count"] = (self, arguments) => Box.Of(Count(self, arguments)),
        ["endswith"] = (self, arguments) => HasAffix(self, arguments, "endswith", isStart: false),
        ["expandtabs"] = (self, arguments) => ExpandTabs(self, arguments),
        ["find"] = (self, arguments) => Box.Of(Search(self, arguments, "find", isLast: false)),
        ["format"] = FormatTemplate.Format,
        ["format_map"] = FormatTemplate.FormatMap,
        ["index"] = (self, arguments) => Box.Of(Found(Search(self, arguments, "index", isLast: false))),
        ["isalnum"] = (self, _) => All(self, rune => Rune.IsLetter(rune) || IsNumeric(rune)),
        ["isalpha"] = (self, _) => All(self, Rune.IsLetter),
        ["isascii"] = (self, _) => Box.Of(Ascii.IsValid(self)),
        ["isdecimal"] = (self, _) => All(self, Rune.IsDigit),
        ["isdigit"] = (self, _) => All(self, IsDigit),
        ["isidentifier"] = (self, _) => Box.Of(IsIdentifier(self)),
        ["islower"] = (self, _) => Box.Of(HasCase(self, isUpper: false)),
        ["isnumeric"] = (self, _) => All(self, IsNumeric),
        ["isprintable"] = (self, _) => Box.Of(self.EnumerateRunes().All(PythonText.IsPrintable)),
        ["isspace"] = (self, _) => Box.Of(self.Length > 0 && self.All(PythonText.IsSpace)),
        ["istitle"] = (self, _) => Box.Of(IsTitle(self)),
        ["isupper"] = (self, _) => Box.Of(HasCase(self, isUpper: true)),
        ["join"] = Join,
        ["ljust"] = (self, arguments) => Pad(self, arguments, "ljust"),
        ["lower"] = (self, _) => Lower(self),
        ["lstrip"] = (self, arguments) => Strip(self, arguments, "lstrip", left: true, right: false),
        ["partition"] = (self, arguments) => Partition(self, arguments, isLast: false),
        ["removeprefix"] = (self, arguments) => Remove(self, arguments, isStart: true),
        ["removesuffix"] = (self, arguments) => Remove(self, arguments, isStart: false),
        ["replace"] = ReplaceMethod,
        ["rfind"] = (self, arguments) => Box.Of(Search(self, arguments, "rfind", isLast: true)),
        ["rindex"] = (self, arguments) => Box.Of(Found(Search(self, arguments, "rindex", isLast: true))),
        ["rjust"] = (self, arguments) => Pad(self, arguments, "rjust"),
        ["rpartition"] = (self, arguments) => Partition(self, arguments, isLast: true),
        ["rsplit"] = (self, arguments) => Splitting.Split(self, arguments, "rsplit", fromRight: true),
        ["rstrip"] = (self, arguments) => Strip(self, arguments, "rstrip", left: false, right: true),
        ["split"] = (self, arguments) => Splitting.Split(self, arguments, "split", fromRight: false),
        ["splitlines"] = Splitting.SplitLines,
        ["startswith"] = (self, arguments) => HasAffix(self, arguments, "startswith", isStart: true),
        ["strip"] = (self, arguments) => Strip(self, arguments, "strip", left: true, right: true),
        ["swapcase"] = (self, _) => string.Concat(self.EnumerateRunes().Select(
            rune => Rune.IsUpper(rune) ? Rune.ToLowerInvariant(rune).ToString() : Upper(rune.ToString()))),
        ["title"] = (self, _) => Title(self),
        ["upper"] = (self, _) => Upper(self),
        ["zfill"] = ZeroFill,
    }.ToFrozenDictionary();

    public static Function? Find(string self, string name, bool isMarkup)
    {
        if (!Methods.TryGetValue(name, out var method))
        {
            return null;
        }

        return new Function(name, (_, arguments) =>
            method(self, arguments) is var result && isMarkup && result is string text ? new Markup(text) : result);
    }

    // Letters whose upper case is more than one letter; the framework maps letters one to one.
    private static readonly FrozenDictionary<char, string> Expansions = new Dictionary<char, string>
    {
        ['ß'] = "SS", ['ŉ'] = "ʼN", ['ǰ'] = "J̌", ['ΐ'] = "Ϊ́", ['ΰ'] = "Ϋ́", ['և'] = "ԵՒ", ['ẖ'] = "H̱", ['ẗ'] = "T̈",
        ['ẘ'] = "W̊", ['ẙ'] = "Y̊", ['ẚ'] = "Aʾ", ['ﬀ'] = "FF", ['ﬁ'] = "FI", ['ﬂ'] = "FL", ['ﬃ'] = "FFI",
        ['ﬄ'] = "FFL", ['ﬅ'] = "ST", ['ﬆ'] = "ST",
    }.ToFrozenDictionary();

    public static string Upper(string text)
    {
        var upper = text.ToUpperInvariant();
        return Ascii.IsValid(text) || !upper.Any(Expansions.ContainsKey)
            ? upper
            : string.Concat(upper.Select(c => Expansions.TryGetValue(c, out var longer) ? longer : c.ToString()));
    }

    public static string Lower(string text)
    {
        if (!text.Contains('Σ') && !text.Contains('İ'))
        {
            return text.ToLowerInvariant();
        }

        var builder = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            var endsWord = text[i] == 'Σ' && i > 0 && char.IsLetter(text[i - 1])
                && (i + 1 == text.Length || !char.IsLetter(text[i + 1]));
            builder.Append(endsWord ? "ς" : text[i] == 'İ' ? "i\u0307" : text[i..(i + 1)].ToLowerInvariant());
        }

        return builder.ToString();
    }

    public static string Capitalize(string text)
    {
        if (text.Length == 0)
        {
            return text;
        }

        var first = char.IsHighSurrogate(text[0]) && text.Length > 1 ? 2 : 1;
        var head = text[0] is 'ß' ? "Ss" : Upper(text[..first]);
        return head + Lower(text[first..]);
    }

    private static string Title(string text)
    {
        var builder = new StringBuilder(text.Length);
        var isInWord = false;
        foreach (var rune in text.EnumerateRunes())
        {
            var letter = rune.ToString();
            builder.Append(isInWord ? Lower(letter) : Upper(letter));
            isInWord = Rune.IsLetter(rune);
        }

        return builder.ToString();
    }

    private static bool IsTitle(string text)
    {
        var (isInWord, hasLetter) = (false, false);
        foreach (var rune in text.EnumerateRunes())
        {
            var isCased = Rune.IsUpper(rune) || Rune.IsLower(rune);
            if (isCased && Rune.IsUpper(rune) == isInWord)
            {
                return false;
            }

            isInWord = isCased;
            hasLetter |= isCased;
        }

        return hasLetter;
    }

    public static bool HasCase(string text, bool isUpper) =>
        text.EnumerateRunes().Any(rune => isUpper ? Rune.IsUpper(rune) : Rune.IsLower(rune))
        && !text.EnumerateRunes().Any(rune => isUpper ? Rune.IsLower(rune) : Rune.IsUpper(rune));

    private static object All(string text, Func<Rune, bool> test) =>
        Box.Of(text.Length > 0 && text.EnumerateRunes().All(test));

    private static bool IsNumeric(Rune rune) => Rune.GetUnicodeCategory(rune) is
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber;

    private static bool IsDigit(Rune rune) => Rune.IsDigit(rune)
        || rune.Value is 0xb2 or 0xb3 or 0xb9 or 0x2070 or (>= 0x2074 and <= 0x2079) or (>= 0x2080 and <= 0x2089)
            or (>= 0x2460 and <= 0x2468);

    private static bool IsIdentifier(string text) => text.Length > 0 && !char.IsDigit(text[0])
        && text.EnumerateRunes().All(rune => rune.Value == '_' || Rune.IsLetterOrDigit(rune));

    public static string TextArgument(object? value, string what) =>
        Operators.AsText(value ?? NoneValue.Instance) ?? throw TemplateFault.Type(
            $"{what} must be str, not {Operators.TypeName(value ?? NoneValue.Instance)}");

    private static string Strip(string text, CallArguments arguments, string name, bool left, bool right)
    {
        var chars = arguments.Bind(name, 0, "chars")[0];
        return Strip(text, StripSet(chars, name), left, right);
    }

    /// <summary>The characters to strip; null stands for white space.</summary>
    public static string? StripSet(object? chars, string name) => chars is null or NoneValue ? null
        : Operators.AsText(chars) ?? throw TemplateFault.Type($"{name} arg must be None or str");

    public static string Strip(string text, string? chars, bool left = true, bool right = true)
    {
        var (start, end) = (0, text.Length);
        while (left && start < end && IsStripped(text[start], chars))
        {
            start++;
        }

        while (right && end > start && IsStripped(text[end - 1], chars))
        {
            end--;
        }

        return text[start..end];
    }

    private static bool IsStripped(char c, string? chars) => chars?.Contains(c) ?? PythonText.IsSpace(c);

    /// <summary>The part of the text between the start and end arguments, and where it starts in UTF-16.</summary>
    private static (string Part, int Offset)? Window(string text, object? start, object? end)
    {
        var length = PythonText.Length(text);
        var from = Bound(start, 0, length);
        var to = Bound(end, length, length);
        if (from > to || (start is not null && from > length))
        {
            return null;
        }

        var (first, last) = length == text.Length
            ? ((int)from, (int)to) : (PythonText.IndexOf(text, (int)from), PythonText.IndexOf(text, (int)to));
        return (text[first..last], first);
    }

    private static long Bound(object? value, long fallback, long length)
    {
        if (value is null or NoneValue)
        {
            return fallback;
        }

        return Operators.TryIndex(value, out var index)
            ? Math.Clamp(index < 0 ? index + length : index, 0, length)
            : throw TemplateFault.Type("slice indices must be integers or None or have an __index__ method");
    }

    private static long Search(string text, CallArguments arguments, string name, bool isLast)
    {
        var bound = arguments.Bind(name, 1, "sub", "start", "end");
        var wanted = TextArgument(bound[0], $"{name}() argument 1");
        if (Window(text, bound[1], bound[2]) is not { } window)
        {
            return -1;
        }

        var index = isLast
            ? window.Part.LastIndexOf(wanted, StringComparison.Ordinal)
            : window.Part.IndexOf(wanted, StringComparison.Ordinal);
        return index < 0 ? -1 : PythonText.PositionOf(text, window.Offset + index);
    }

    private static long Found(long position) =>
        position >= 0 ? position : throw TemplateFault.Value("substring not found");

    private static long Count(string text, CallArguments arguments)
    {
        var bound = arguments.Bind("count", 1, "sub", "start", "end");
        var wanted = TextArgument(bound[0], "count() argument 1");
        if (Window(text, bound[1], bound[2]) is not { } window)
        {
            return 0;
        }

        return wanted.Length == 0 ? PythonText.Length(window.Part) + 1 : window.Part.AsSpan().Count(wanted);
    }

    private static object HasAffix(string text, CallArguments arguments, string name, bool isStart)
    {
        var bound = arguments.Bind(name, 1, "prefix", "start", "end");
        var affixes = bound[0] is TupleValue tuple ? tuple.Items : [bound[0]!];
        if (Window(text, bound[1], bound[2]) is not { } window)
        {
            return Box.False;
        }

        foreach (var affix in affixes)
        {
            var wanted = Operators.AsText(affix) ?? throw TemplateFault.Type(bound[0] is TupleValue
                ? $"tuple for {name} must only contain str, not {Operators.TypeName(affix)}"
                : $"{name} first arg must be str or a tuple of str, not {Operators.TypeName(affix)}");
            if (isStart
                ? window.Part.StartsWith(wanted, StringComparison.Ordinal)
                : window.Part.EndsWith(wanted, StringComparison.Ordinal))
            {
                return Box.True;
            }
        }

        return Box.False;
    }

    private static string Remove(string text, CallArguments arguments, bool isStart)
    {
        var name = isStart ? "removeprefix" : "removesuffix";
        var affix = TextArgument(arguments.Bind(name, 1, "affix")[0], $"{name}() argument");
        return isStart
            ? text.StartsWith(affix, StringComparison.Ordinal) ? text[affix.Length..] : text
            : text.EndsWith(affix, StringComparison.Ordinal) ? text[..^affix.Length] : text;
    }

    private static TupleValue Partition(string text, CallArguments arguments, bool isLast)
    {
        var separator = TextArgument(
            arguments.Bind(isLast ? "rpartition" : "partition", 1, "sep")[0], "must be str");
        if (separator.Length == 0)
        {
            throw TemplateFault.Value("empty separator");
        }

        var index = isLast
            ? text.LastIndexOf(separator, StringComparison.Ordinal) : text.IndexOf(separator, StringComparison.Ordinal);
        return index >= 0 ? new TupleValue([text[..index], separator, text[(index + separator.Length)..]])
            : isLast ? new TupleValue(["", "", text]) : new TupleValue([text, "", ""]);
    }

    private static string ReplaceMethod(string text, CallArguments arguments)
    {
        var bound = arguments.Bind("replace", 2, "old", "new", "count");
        var count = -1L;
        if (bound[2] is not null && !Operators.TryIndex(bound[2]!, out count))
        {
            throw TemplateFault.Type(
                $"'{Operators.TypeName(bound[2]!)}' object cannot be interpreted as an integer");
        }

        var old = TextArgument(bound[0], "replace() argument 1");
        return Replace(text, old, TextArgument(bound[1], "replace() argument 2"), count);
    }

    /// <summary>Replaces the first <paramref name="count"/> places, or all where it is negative.</summary>
    public static string Replace(string text, string old, string replacement, long count = -1)
    {
        var places = old.Length == 0 ? PythonText.Length(text) + 1 : text.AsSpan().Count(old);
        places = count < 0 ? places : (int)Math.Min(places, count);
        RenderContext.CheckLength(text.Length + (double)places * (replacement.Length - old.Length));
        if (places == 0)
        {
            return text;
        }

        if (count < 0 && old.Length > 0)
        {
            return text.Replace(old, replacement, StringComparison.Ordinal);
        }

        var builder = new StringBuilder();
        var position = 0;
        for (; places > 0; places--)
        {
            var index = old.Length == 0 ? position : text.IndexOf(old, position, StringComparison.Ordinal);
            builder.Append(text, position, index - position).Append(replacement);
            position = index + old.Length;
            if (old.Length == 0 && position < text.Length)
            {
                var length = char.IsHighSurrogate(text[position]) && position + 1 < text.Length ? 2 : 1;
                builder.Append(text, position, length);
                position += length;
            }
        }

        return builder.Append(text, position, text.Length - position).ToString();
    }

    private static string Join(string separator, CallArguments arguments)
    {
        var index = 0;
        var texts = new List<string>();
        foreach (var item in Operators.Iterate(arguments.Bind("join", 1, "iterable")[0]!))
        {
            texts.Add(Operators.AsText(item) ?? throw TemplateFault.Type(
                $"sequence item {index}: expected str instance, {Operators.TypeName(item)} found"));
            index++;
        }

        RenderContext.CheckLength(texts.Sum(text => (double)text.Length) + (double)separator.Length * index);
        return string.Join(separator, texts);
    }

    private static string Pad(string text, CallArguments arguments, string name)
    {
        var bound = arguments.Bind(name, 1, "width", "fillchar");
        var fill = bound[1] is null ? " " : TextArgument(bound[1], "The fill character");
        if (PythonText.Length(fill) != 1)
        {
            throw TemplateFault.Type("The fill character must be exactly one character long");
        }

        return Pad(text, Width(bound[0]!), fill, name);
    }

    public static long Width(object value) => Operators.TryIndex(value, out var width) ? width
        : throw TemplateFault.Type($"'{Operators.TypeName(value)}' object cannot be interpreted as an integer");

    public static string Pad(string text, long width, string fill, string how)
    {
        var missing = width - PythonText.Length(text);
        if (missing <= 0)
        {
            return text;
        }

        RenderContext.CheckLength((double)missing * fill.Length + text.Length);

        // The center method puts an odd fill character left in an odd width, a format specification never.
        var left = how switch
        {
            "ljust" => 0,
            "rjust" => missing,
            "center" => missing / 2 + (missing & width & 1),
            _ => missing / 2,
        };
        return new StringBuilder().Insert(0, fill, (int)left).Append(text)
            .Insert((int)left * fill.Length + text.Length, fill, (int)(missing - left)).ToString();
    }

    private static object ZeroFill(string text, CallArguments arguments)
    {
        var width = Width(arguments.Bind("zfill", 1, "width")[0]!);
        var sign = text.Length > 0 && text[0] is '+' or '-' ? text[..1] : "";
        return sign + Pad(text[sign.Length..], width - sign.Length, "0", "rjust");
    }

    private static string ExpandTabs(string text, CallArguments arguments)
    {
        var size = arguments.Bind("expandtabs", 0, "tabsize")[0] is { } given ? Width(given) : 8;
        var builder = new StringBuilder();
        var column = 0L;
        foreach (var c in text)
        {
            if (c == '\t')
            {
                var count = size > 0 ? size - column % size : 0;
                RenderContext.CheckLength(builder.Length + (double)count);
                builder.Append(' ', (int)count);
                column += count;
            }
            else
            {
                builder.Append(c);
                column = c is '\n' or '\r' ? 0 : char.IsLowSurrogate(c) ? column : column + 1;
            }
        }

        return builder.ToString();
    }
}
