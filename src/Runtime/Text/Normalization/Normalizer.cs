using System.Text;
using LsglangSharp.Runtime.Text.Bpe;
using LsglangSharp.Runtime.Text.Patterns;
using LsglangSharp.Runtime.Text.Splitting;

namespace LsglangSharp.Runtime.Text.Normalization;

/// <summary>One change made to a text before it is split; well-formed UTF-16 in and out.</summary>
internal abstract class Normalizer
{
    public abstract string Apply(string text);
}

/// <summary>One change after the other.</summary>
internal sealed class SequenceNormalizer(IReadOnlyList<Normalizer> parts) : Normalizer
{
    public override string Apply(string text) => parts.Aggregate(text, (current, part) => part.Apply(current));
}

/// <summary>NFC, NFD, NFKC or NFKD.</summary>
internal sealed class UnicodeNormalizer(bool compose, bool compatible) : Normalizer
{
    public override string Apply(string text) => UnicodeNormalization.Normalize(text, compose, compatible);
}

/// <summary>Lower case, character by character.</summary>
internal sealed class LowercaseNormalizer : Normalizer
{
    // The one character whose lower case is two: i and a dot above.
    public override string Apply(string text) =>
        text.Replace("\u0130", "i\u0307", StringComparison.Ordinal).ToLowerInvariant();
}

/// <summary>White space taken off the ends.</summary>
internal sealed class StripNormalizer(bool left, bool right) : Normalizer
{
    public override string Apply(string text) => (left, right) switch
    {
        (true, true) => text.Trim(),
        (true, false) => text.TrimStart(),
        (false, true) => text.TrimEnd(),
        _ => text,
    };
}

/// <summary>All marks taken out.</summary>
internal sealed class StripAccentsNormalizer : Normalizer
{
    public override string Apply(string text)
    {
        var builder = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length;)
        {
            var isMark = (CharacterClasses.At(text, i, out var length) & CharacterClass.Mark) != 0;
            builder.Append(text, i, isMark ? 0 : length);
            i += length;
        }

        return builder.ToString();
    }
}

/// <summary>Something put in front of a text that is not empty.</summary>
internal sealed class PrependNormalizer(string prefix) : Normalizer
{
    public override string Apply(string text) => text.Length == 0 ? text : prefix + text;
}

/// <summary>A fixed string replaced.</summary>
internal sealed class ReplaceNormalizer(string from, string to) : Normalizer
{
    public override string Apply(string text) =>
        from.Length == 0 ? text : text.Replace(from, to, StringComparison.Ordinal);
}

/// <summary>What a regular expression matches replaced.</summary>
internal sealed class PatternReplaceNormalizer(string pattern, string to) : Normalizer
{
    private readonly PatternScanner _scanner = new(pattern);

    public override string Apply(string text)
    {
        var builder = new StringBuilder(text.Length);
        var lastEnd = -1;
        for (var i = 0; i <= text.Length;)
        {
            var examined = 0;
            var end = _scanner.Match(text, i, ref examined);
            if (end > i || end == i && end != lastEnd)
            {
                builder.Append(to);
                lastEnd = i = end;
                continue;
            }

            var length = i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1]) ? 2 : 1;
            builder.Append(text, i, Math.Min(length, text.Length - i));
            i += length;
        }

        return builder.ToString();
    }
}

/// <summary>The text's UTF-8 bytes written in GPT-2's alphabet.</summary>
internal sealed class ByteSpellingNormalizer : Normalizer
{
    public override string Apply(string text) => ByteAlphabet.Spell(text);
}
