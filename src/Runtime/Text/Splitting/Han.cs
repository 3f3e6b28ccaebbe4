using LsglangSharp.Runtime.Text.Patterns;

namespace LsglangSharp.Runtime.Text.Splitting;

/// <summary>\p{Han}</summary>
internal static class Han
{
    private static readonly CodePointSet _set = CodePointSet.Parse(ScriptRanges.ByName["Han"]);

    public static bool Contains(ReadOnlySpan<char> text, int index) =>
        text[index] >= '\u2E80' && _set.ContainsAt(text, index, out _);
}
