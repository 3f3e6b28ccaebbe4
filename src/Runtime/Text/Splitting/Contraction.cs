namespace LsglangSharp.Runtime.Text.Splitting;

/// <summary>The English endings 's 't 're 've 'm 'll 'd that several patterns name.</summary>
internal static class Contraction
{
    // U+017F, the long s, is an s where case does not count.
    private const char LongS = '\u017F';

    /// <summary>The end of the ending that starts with an apostrophe here, or -1.</summary>
    public static int End(ReadOnlySpan<char> text, int start, bool ignoreCase)
    {
        if (start + 1 >= text.Length || text[start] != '\'')
        {
            return -1;
        }

        var first = Fold(text[start + 1], ignoreCase);
        if (first is 's' or 't' or 'm' or 'd')
        {
            return start + 2;
        }

        var second = start + 2 < text.Length ? Fold(text[start + 2], ignoreCase) : '\0';
        return (first, second) is ('r', 'e') or ('v', 'e') or ('l', 'l') ? start + 3 : -1;
    }

    private static char Fold(char unit, bool ignoreCase) =>
        !ignoreCase ? unit : unit is >= 'A' and <= 'Z' ? (char)(unit | 0x20) : unit == LongS ? 's' : unit;
}
