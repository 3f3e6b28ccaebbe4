using System.Runtime.CompilerServices;
using static LsglangSharp.Runtime.Text.Splitting.CharacterClass;
using static LsglangSharp.Runtime.Text.Splitting.CharacterClasses;

namespace LsglangSharp.Runtime.Text.Splitting;

/// <summary>
/// The pattern of o200k and its relatives, where a word is [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]* followed by
/// [\p{Ll}\p{Lm}\p{Lo}\p{M}]+, or the first part alone, with one other character before and a contraction after it.
/// Kimi's splits runs of Han off and counts them as neither.
/// </summary>
internal sealed class CasedWordScanner(bool slashAfterSymbols, bool splitsHan) : SplitScanner
{
    // The middle classes belong to both parts of a word.
    private enum WordPart
    {
        None,
        Upper,
        Lower,
        Both,
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override int Match(ReadOnlySpan<char> text, int start, ref int examined)
    {
        var end = End(text, start, ref examined);
        examined = Math.Max(examined, Math.Min(end + 1, text.Length));
        return end;
    }

    private int End(ReadOnlySpan<char> text, int start, ref int examined)
    {
        if (splitsHan && HanEnd(text, start) is var han && han > start)
        {
            return han;
        }

        var kind = At(text, start, out var length);
        var rest = start + length;
        var canLead = (kind & (Letter | Number | LineBreak)) == 0;
        if (WordEnd(text, start, canLead ? rest : -1, ref examined) is var word and >= 0)
        {
            return Contraction.End(text, word, ignoreCase: true) is var contraction and >= 0 ? contraction : word;
        }

        if ((kind & Number) != 0)
        {
            return Spaces.NumberEnd(text, rest, most: 3);
        }

        const CharacterClass other = Space | Letter | Number;
        if ((kind & other) == 0 || text[start] == ' ' && rest < text.Length && (At(text, rest, out _) & other) == 0)
        {
            return Spaces.LineBreaksEnd(text, RunEndExcept(text, rest, other), slashAfterSymbols);
        }

        return (kind & Space) != 0 ? Spaces.End(text, start, ref examined) : -1;
    }

    // Both alternatives of a word, each first after a leading character, then without.
    private int WordEnd(ReadOnlySpan<char> text, int start, int led, ref int examined)
    {
        var ledEnd = -1;
        var isLedWhole = false;
        if (led >= 0 && led < text.Length)
        {
            ledEnd = PartsEnd(text, led, out isLedWhole, ref examined);
            if (isLedWhole)
            {
                return ledEnd;
            }
        }

        var end = PartsEnd(text, start, out var isWhole, ref examined);
        return isWhole || ledEnd < 0 ? end : ledEnd;
    }

    // Upper* Lower+, giving back from a greedy first part as far as the second needs: whole. Else Upper+: not whole.
    private int PartsEnd(ReadOnlySpan<char> text, int start, out bool isWhole, ref int examined)
    {
        var end = start;
        var lastBothEnd = -1;
        var part = WordPart.None;
        while (end < text.Length)
        {
            part = PartAt(text, end, out var length);
            if (part is WordPart.None or WordPart.Lower)
            {
                break;
            }

            end += length;
            lastBothEnd = part == WordPart.Both ? end : lastBothEnd;
        }

        examined = Math.Max(examined, Math.Min(end + 1, text.Length));
        if (end < text.Length && part == WordPart.Lower)
        {
            while (end < text.Length && PartAt(text, end, out var length) is WordPart.Lower or WordPart.Both)
            {
                end += length;
            }

            isWhole = true;
            return end;
        }

        isWhole = lastBothEnd >= 0;
        return isWhole ? lastBothEnd : end > start ? end : -1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private WordPart PartAt(ReadOnlySpan<char> text, int index, out int length)
    {
        var kind = At(text, index, out length);
        if ((kind & Lower) != 0)
        {
            return WordPart.Lower;
        }

        if ((kind & Upper) != 0)
        {
            return WordPart.Upper;
        }

        return (kind & (Letter | Mark)) == 0 || splitsHan && Han.Contains(text, index) ? WordPart.None : WordPart.Both;
    }

    private static int HanEnd(ReadOnlySpan<char> text, int start)
    {
        while (start < text.Length && Han.Contains(text, start))
        {
            start += char.IsSurrogate(text[start]) ? 2 : 1;
        }

        return start;
    }
}
