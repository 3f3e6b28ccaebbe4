using System.Runtime.CompilerServices;
using static LsglangSharp.Runtime.Text.Splitting.CharacterClass;
using static LsglangSharp.Runtime.Text.Splitting.CharacterClasses;

namespace LsglangSharp.Runtime.Text.Splitting;

/// <summary>\p{N}{1,most}</summary>
internal sealed class NumberScanner(int most) : SplitScanner
{
    public override int Match(ReadOnlySpan<char> text, int start, ref int examined)
    {
        var end = (At(text, start, out var length) & Number) == 0
            ? -1
            : Spaces.NumberEnd(text, start + length, most);
        examined = Math.Max(examined, Math.Min(Math.Max(end, start) + 1, text.Length));
        return end;
    }
}

/// <summary>[一-龥぀-ゟ゠-ヿ]+: runs of the common Han characters and of kana.</summary>
internal sealed class HanKanaScanner : SplitScanner
{
    public override int Match(ReadOnlySpan<char> text, int start, ref int examined)
    {
        var end = start;
        while (end < text.Length && text[end] is (>= '\u4E00' and <= '\u9FA5') or (>= '\u3040' and <= '\u30FF'))
        {
            end++;
        }

        examined = Math.Max(examined, Math.Min(end + 1, text.Length));
        return end > start ? end : -1;
    }
}

/// <summary>
/// DeepSeek's third pattern: ASCII punctuation with [A-Za-z]+ | [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+ |
/// ?[\p{P}\p{S}]+[\r\n]* | spaces. Numbers and controls match nothing.
/// </summary>
internal sealed class DeepSeekWordScanner : SplitScanner
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override int Match(ReadOnlySpan<char> text, int start, ref int examined)
    {
        var end = End(text, start, ref examined);
        examined = Math.Max(examined, Math.Min(Math.Max(end, start) + 1, text.Length));
        return end;
    }

    private static int End(ReadOnlySpan<char> text, int start, ref int examined)
    {
        var kind = At(text, start, out var length);
        var rest = start + length;
        if ((kind & Letter) != 0)
        {
            return RunEnd(text, rest, Letter | Mark);
        }

        if (text[start] < 0x80 && (kind & Symbol) != 0 && rest < text.Length && char.IsAsciiLetter(text[rest]))
        {
            while (rest < text.Length && char.IsAsciiLetter(text[rest]))
            {
                rest++;
            }

            return rest;
        }

        var next = rest < text.Length ? At(text, rest, out _) : None;
        if ((kind & (LineBreak | Symbol)) == 0 && (next & (Letter | Mark)) != 0 || (kind & Mark) != 0)
        {
            return RunEnd(text, rest, Letter | Mark);
        }

        if ((kind & Symbol) != 0 || text[start] == ' ' && (next & Symbol) != 0)
        {
            return Spaces.LineBreaksEnd(text, RunEnd(text, rest, Symbol), slash: false);
        }

        return (kind & Space) != 0 ? Spaces.End(text, start, ref examined) : -1;
    }
}
