using System.Text;

namespace LsglangSharp.Runtime.Text.Normalization;

/// <summary>The four normal forms of Unicode (Standard Annex 15), in linear time but for sorting marks.</summary>
internal static class UnicodeNormalization
{
    // Below this character nothing decomposes, combines or composes backwards, in NFC.
    private const char FirstActive = '\u0300';

    /// <summary>Normalises well-formed UTF-16; returns the same string where nothing changes.</summary>
    public static string Normalize(string text, bool compose, bool compatible)
    {
        if (compose && !compatible)
        {
            return ComposeCanonical(text);
        }

        if (Ascii.IsValid(text))
        {
            return text;
        }

        var codes = new List<int>(text.Length);
        var builder = new StringBuilder(text.Length + 16);
        AppendNormal(text, compose, compatible, codes, builder);
        return builder.ToString();
    }

    // Copies what is inert and normalises only the stretches around active characters, each from the inert character
    // before to the one after: neither interacts with anything beyond.
    private static string ComposeCanonical(string text)
    {
        var position = FirstActiveIndex(text, 0);
        if (position < 0)
        {
            return text;
        }

        var builder = new StringBuilder(text.Length + 16);
        var codes = new List<int>();
        var copied = 0;
        while (position >= 0)
        {
            var start = Math.Max(PreviousIndex(text, position), copied);
            var end = position;
            while (end < text.Length && Rune.GetRuneAt(text, end) is var rune && IsActive(rune))
            {
                end += rune.Utf16SequenceLength;
            }

            builder.Append(text, copied, start - copied);
            AppendNormal(text.AsSpan(start, end - start), compose: true, compatible: false, codes, builder);
            copied = end;
            position = FirstActiveIndex(text, end);
        }

        return builder.Append(text, copied, text.Length - copied).ToString();
    }

    private static int FirstActiveIndex(string text, int start)
    {
        var index = start;
        while (index < text.Length)
        {
            var skipped = text.AsSpan(index).IndexOfAnyExceptInRange('\0', (char)(FirstActive - 1));
            if (skipped < 0)
            {
                return -1;
            }

            index += skipped;
            while (index < text.Length && text[index] >= FirstActive)
            {
                var rune = Rune.GetRuneAt(text, index);
                if (IsActive(rune))
                {
                    return index;
                }

                index += rune.Utf16SequenceLength;
            }
        }

        return -1;
    }

    private static bool IsActive(Rune rune) =>
        rune.Value >= FirstActive && NormalizationData.Instance.IsActive(rune.Value);

    private static int PreviousIndex(string text, int index) =>
        index == 0 ? 0 : index > 1 && char.IsLowSurrogate(text[index - 1]) ? index - 2 : index - 1;

    private static void AppendNormal(
        ReadOnlySpan<char> text, bool compose, bool compatible, List<int> codes, StringBuilder target)
    {
        codes.Clear();
        foreach (var rune in text.EnumerateRunes())
        {
            Decompose(rune.Value, compatible, codes);
        }

        SortMarks(codes);
        if (compose)
        {
            Compose(codes);
        }

        Span<char> units = stackalloc char[2];
        foreach (var code in codes)
        {
            target.Append(units[..new Rune(code).EncodeToUtf16(units)]);
        }
    }

    private static void Decompose(int code, bool compatible, List<int> codes)
    {
        if (Hangul.IsSyllable(code))
        {
            Hangul.Decompose(code, codes);
        }
        else if (NormalizationData.Instance.Decomposition(code, compatible) is { } parts)
        {
            codes.AddRange(parts);
        }
        else
        {
            codes.Add(code);
        }
    }

    // Sorts every run of marks by combining class, keeping the order within a class.
    private static void SortMarks(List<int> codes)
    {
        var data = NormalizationData.Instance;
        for (var start = 0; start < codes.Count; start++)
        {
            var end = start;
            var isSorted = true;
            byte previous = 0;
            while (end < codes.Count && data.CombiningClass(codes[end]) is var own && own != 0)
            {
                isSorted &= own >= previous;
                previous = own;
                end++;
            }

            if (!isSorted)
            {
                var sorted = codes.GetRange(start, end - start).OrderBy(data.CombiningClass).ToArray();
                for (var i = 0; i < sorted.Length; i++)
                {
                    codes[start + i] = sorted[i];
                }
            }

            start = end;
        }
    }

    private static void Compose(List<int> codes)
    {
        var data = NormalizationData.Instance;
        var starter = -1;
        var kept = 0;
        // The class of the last character kept after the starter; -1 while there is none.
        var lastClass = -1;
        for (var i = 0; i < codes.Count; i++)
        {
            var code = codes[i];
            var own = data.CombiningClass(code);
            var isBlocked = lastClass >= own && lastClass >= 0;
            if (starter >= 0 && !isBlocked && data.Compose(codes[starter], code) is var composed and >= 0)
            {
                codes[starter] = composed;
                continue;
            }

            if (own == 0)
            {
                starter = kept;
                lastClass = -1;
            }
            else
            {
                lastClass = own;
            }

            codes[kept++] = code;
        }

        codes.RemoveRange(kept, codes.Count - kept);
    }
}
