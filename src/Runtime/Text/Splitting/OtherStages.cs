using LsglangSharp.Runtime.Text.Bpe;
using LsglangSharp.Runtime.Text.Patterns;

namespace LsglangSharp.Runtime.Text.Splitting;

/// <summary>Puts a space before a piece that does not start with one.</summary>
internal sealed class PrefixSpaceStage : PreTokenizer
{
    public override void Split(ReadOnlySpan<char> piece, bool isTextStart, PieceTarget target) =>
        target.Accept(piece[0] == ' ' ? piece : string.Concat(" ", piece), isTextStart);
}

/// <summary>Writes a piece in GPT-2's alphabet, for stages and models that expect the spelled form.</summary>
internal sealed class ByteSpellingStage : PreTokenizer
{
    public override void Split(ReadOnlySpan<char> piece, bool isTextStart, PieceTarget target) =>
        target.Accept(ByteAlphabet.Spell(piece), isTextStart);
}

/// <summary>When Metaspace puts its mark before a piece.</summary>
internal enum PrependScheme
{
    Always,
    First,
    Never,
}

/// <summary>Writes spaces as a visible mark, puts one in front, and cuts before each.</summary>
internal sealed class MetaspaceStage(string mark, PrependScheme prepend, bool split) : PreTokenizer
{
    private readonly SplitStage _split = new(new LiteralScanner(mark), SplitBehavior.MergedWithNext, invert: false);

    public override void Split(ReadOnlySpan<char> piece, bool isTextStart, PieceTarget target)
    {
        var text = piece.ToString().Replace(" ", mark, StringComparison.Ordinal);
        var wants = prepend == PrependScheme.Always || prepend == PrependScheme.First && isTextStart;
        if (wants && !text.StartsWith(mark, StringComparison.Ordinal))
        {
            text = mark + text;
        }

        if (split)
        {
            _split.Split(text, isTextStart, target);
        }
        else
        {
            target.Accept(text, isTextStart);
        }
    }
}

/// <summary>Matches one character of a set.</summary>
internal sealed class SetScanner(CodePointSet set) : SplitScanner
{
    public override int Match(ReadOnlySpan<char> text, int start, ref int examined)
    {
        examined = Math.Max(examined, start + 1);
        return set.ContainsAt(text, start, out var length) ? start + length : -1;
    }
}
