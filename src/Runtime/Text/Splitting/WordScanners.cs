using System.Runtime.CompilerServices;
using static LsglangSharp.Runtime.Text.Splitting.CharacterClass;
using static LsglangSharp.Runtime.Text.Splitting.CharacterClasses;

namespace LsglangSharp.Runtime.Text.Splitting;

/// <summary>Parts that the split patterns share.</summary>
internal static class Spaces
{
    /// <summary>
    /// \s*[\r\n]+ | \s+(?!\S) | \s+ at a space: up to the last line break of the run; else all of the run but the space
    /// that the next word takes along.
    /// </summary>
    public static int End(ReadOnlySpan<char> text, int start, ref int examined)
    {
        var end = start;
        var lineEnd = -1;
        while (end < text.Length && At(text, end, out _) is var kind && (kind & Space) != 0)
        {
            end++;
            lineEnd = (kind & LineBreak) != 0 ? end : lineEnd;
        }

        examined = Math.Max(examined, Math.Min(end + 1, text.Length));
        if (lineEnd >= 0)
        {
            return lineEnd;
        }

        return end == text.Length || end == start + 1 ? end : end - 1;
    }

    /// <summary>[\r\n]* or [\r\n/]*</summary>
    public static int LineBreaksEnd(ReadOnlySpan<char> text, int start, bool slash)
    {
        while (start < text.Length && (text[start] is '\r' or '\n' || slash && text[start] == '/'))
        {
            start++;
        }

        return start;
    }

    /// <summary>\p{N}{1,most} after a first number.</summary>
    public static int NumberEnd(ReadOnlySpan<char> text, int end, int most)
    {
        for (var count = 1; count < most && end < text.Length; count++)
        {
            if ((At(text, end, out var length) & Number) == 0)
            {
                break;
            }

            end += length;
        }

        return end;
    }
}

/// <summary>
/// The pattern of Qwen 2 and 3 (one digit) and Llama 3 (three):
/// (?i:'s|'t|'re|'ve|'m|'ll|'d) | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N}{1,n} | ?[^\s\p{L}\p{N}]+[\r\n]* | spaces. With marks
/// in words (Qwen 3.5), the word is [\p{L}\p{M}]+ and the symbols are [^\s\p{L}\p{M}\p{N}]+.
/// </summary>
internal sealed class LetterRunScanner(int digitsMax, bool marksInWords) : SplitScanner
{
    private readonly CharacterClass _word = marksInWords ? Letter | Mark : Letter;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override int Match(ReadOnlySpan<char> text, int start, ref int examined)
    {
        var end = End(text, start, ref examined);
        examined = Math.Max(examined, Math.Min(end + 1, text.Length));
        return end;
    }

    private int End(ReadOnlySpan<char> text, int start, ref int examined)
    {
        var kind = At(text, start, out var length);
        if ((kind & Letter) != 0)
        {
            return RunEnd(text, start + length, _word);
        }

        if (text[start] == '\'' && Contraction.End(text, start, ignoreCase: true) is var contraction and >= 0)
        {
            return contraction;
        }

        var rest = start + length;
        var next = rest < text.Length ? At(text, rest, out _) : None;
        if ((kind & (Number | LineBreak)) == 0 && (next & _word) != 0)
        {
            return RunEnd(text, rest, _word);
        }

        if ((kind & Number) != 0)
        {
            return Spaces.NumberEnd(text, rest, digitsMax);
        }

        if ((kind & _word) != 0)
        {
            return RunEnd(text, rest, _word);
        }

        var other = Space | Number | _word | Letter;
        if ((kind & other) == 0 || text[start] == ' ' && rest < text.Length && (next & other) == 0)
        {
            return Spaces.LineBreaksEnd(text, RunEndExcept(text, rest, other), slash: false);
        }

        return Spaces.End(text, start, ref examined);
    }
}

/// <summary>GPT-2's: 's|'t|'re|'ve|'m|'ll|'d | ?\p{L}+ | ?\p{N}+ | ?[^\s\p{L}\p{N}]+ | \s+(?!\S) | \s+</summary>
internal sealed class Gpt2Scanner : SplitScanner
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override int Match(ReadOnlySpan<char> text, int start, ref int examined)
    {
        var end = End(text, start, ref examined);
        examined = Math.Max(examined, Math.Min(end + 1, text.Length));
        return end;
    }

    private static int End(ReadOnlySpan<char> text, int start, ref int examined)
    {
        if (Contraction.End(text, start, ignoreCase: false) is var contraction and >= 0)
        {
            return contraction;
        }

        var first = start + (text[start] == ' ' && start + 1 < text.Length ? 1 : 0);
        var kind = At(text, first, out var length);
        if ((kind & Space) == 0)
        {
            var end = first + length;
            return (kind & Letter) != 0 ? RunEnd(text, end, Letter)
                : (kind & Number) != 0 ? RunEnd(text, end, Number)
                : RunEndExcept(text, end, Space | Letter | Number);
        }

        var run = RunEnd(text, start, Space);
        examined = Math.Max(examined, Math.Min(run + 1, text.Length));
        return run == text.Length || run == start + 1 ? run : run - 1;
    }
}
