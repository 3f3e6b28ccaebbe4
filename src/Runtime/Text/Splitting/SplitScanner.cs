namespace LsglangSharp.Runtime.Text.Splitting;

/// <summary>Something that matches at a place of a text: a split pattern.</summary>
internal abstract class SplitScanner
{
    /// <summary>
    /// The end of the match that starts here, or -1. Raises <paramref name="examined"/> to one past the last unit that
    /// was looked at, and further where units were looked at again.
    /// </summary>
    public abstract int Match(ReadOnlySpan<char> text, int start, ref int examined);
}

/// <summary>Matches one fixed string.</summary>
internal sealed class LiteralScanner(string literal) : SplitScanner
{
    public override int Match(ReadOnlySpan<char> text, int start, ref int examined)
    {
        examined = Math.Max(examined, start + 1);
        return literal.Length > 0 && text[start..].StartsWith(literal, StringComparison.Ordinal)
            ? start + literal.Length
            : -1;
    }
}
