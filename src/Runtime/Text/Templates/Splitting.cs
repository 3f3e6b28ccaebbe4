namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>How Python's strings are taken apart.</summary>
internal static class Splitting
{
    public static object Split(string text, CallArguments arguments, string name, bool fromRight)
    {
        var bound = arguments.Bind(name, 0, "sep", "maxsplit");
        var most = bound[1] is null ? -1 : StringMethods.Width(bound[1]!);
        most = most < 0 ? long.MaxValue : most;
        var parts = bound[0] is null or NoneValue
            ? fromRight ? WordsFromRight(text, most) : Words(text, most)
            : At(text, StringMethods.TextArgument(bound[0], "must be str or None"), most, fromRight);
        return new ListValue(parts);
    }

    private static List<object> Words(string text, long most)
    {
        var parts = new List<object>();
        for (var i = 0; ;)
        {
            while (i < text.Length && PythonText.IsSpace(text[i]))
            {
                i++;
            }

            if (i == text.Length)
            {
                return parts;
            }

            if (parts.Count == most)
            {
                parts.Add(text[i..]);
                return parts;
            }

            var start = i;
            while (i < text.Length && !PythonText.IsSpace(text[i]))
            {
                i++;
            }

            parts.Add(text[start..i]);
        }
    }

    private static List<object> WordsFromRight(string text, long most)
    {
        var parts = new List<object>();
        for (var end = text.Length; ;)
        {
            while (end > 0 && PythonText.IsSpace(text[end - 1]))
            {
                end--;
            }

            if (end == 0)
            {
                break;
            }

            if (parts.Count == most)
            {
                parts.Add(text[..end]);
                break;
            }

            var last = end;
            while (end > 0 && !PythonText.IsSpace(text[end - 1]))
            {
                end--;
            }

            parts.Add(text[end..last]);
        }

        parts.Reverse();
        return parts;
    }

    private static List<object> At(string text, string separator, long most, bool fromRight)
    {
        if (separator.Length == 0)
        {
            throw TemplateFault.Value("empty separator");
        }

        var parts = new List<object>();
        if (!fromRight)
        {
            var start = 0;
            for (int index; parts.Count < most
                && (index = text.IndexOf(separator, start, StringComparison.Ordinal)) >= 0;)
            {
                parts.Add(text[start..index]);
                start = index + separator.Length;
            }

            parts.Add(text[start..]);
            return parts;
        }

        var end = text.Length;
        while (parts.Count < most && end >= separator.Length
            && text.AsSpan(0, end).LastIndexOf(separator) is >= 0 and var index)
        {
            parts.Add(text[(index + separator.Length)..end]);
            end = index;
        }

        parts.Add(text[..end]);
        parts.Reverse();
        return parts;
    }

    public static object SplitLines(string text, CallArguments arguments)
    {
        var keepsEnds = arguments.Bind("splitlines", 0, "keepends")[0] is { } given && Operators.IsTrue(given);
        return new ListValue(Lines(text, keepsEnds));
    }

    public static List<object> Lines(string text, bool keepsEnds = false)
    {
        var lines = new List<object>();
        for (var start = 0; start < text.Length;)
        {
            var end = start;
            while (end < text.Length && !IsLineEnd(text[end]))
            {
                end++;
            }

            var next = end == text.Length ? end
                : text[end] == '\r' && end + 1 < text.Length && text[end + 1] == '\n' ? end + 2 : end + 1;
            lines.Add(text[start..(keepsEnds ? next : end)]);
            start = next;
        }

        return lines;
    }

    private static bool IsLineEnd(char c) =>
        c is '\n' or '\r' or '\v' or '\f' or (>= '\x1c' and <= '\x1e') or '\x85' or '\u2028' or '\u2029';
}
