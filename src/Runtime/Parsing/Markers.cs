namespace LsglangSharp.Runtime.Parsing;

/// <summary>Finds markers in text that is not complete yet.</summary>
internal static class Markers
{
    /// <summary>The first place of any marker and which one; the longer one where two start together.</summary>
    public static (int Index, string Marker)? First(string text, params ReadOnlySpan<string> markers)
    {
        (int Index, string Marker)? first = null;
        foreach (var marker in markers)
        {
            var index = text.IndexOf(marker, StringComparison.Ordinal);
            if (index >= 0 && (first is not { } found || index < found.Index
                || (index == found.Index && marker.Length > found.Marker.Length)))
            {
                first = (index, marker);
            }
        }

        return first;
    }

    /// <summary>The length of the longest tail that could grow into a marker.</summary>
    public static int OpenTail(string text, params ReadOnlySpan<string> markers)
    {
        var longest = 0;
        foreach (var marker in markers)
        {
            for (var length = Math.Min(marker.Length - 1, text.Length); length > longest; length--)
            {
                if (text.AsSpan(text.Length - length).SequenceEqual(marker.AsSpan(0, length)))
                {
                    longest = length;
                    break;
                }
            }
        }

        return longest;
    }
}
