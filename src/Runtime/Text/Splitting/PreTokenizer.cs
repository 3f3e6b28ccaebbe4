using LsglangSharp.Runtime.Text.Bpe;

namespace LsglangSharp.Runtime.Text.Splitting;

/// <summary>One stage of cutting a text into the pieces that are encoded each on its own.</summary>
internal abstract class PreTokenizer
{
    /// <summary>Hands each part of the piece to the target, with whether it is the start of the text.</summary>
    public abstract void Split(ReadOnlySpan<char> piece, bool isTextStart, PieceTarget target);
}

/// <summary>Where a stage hands its parts to: the next stage, or the encoder.</summary>
internal readonly struct PieceTarget(PreTokenizer[] stages, int stage, BytePairEncoder encoder, EncodeSession session)
{
    public MergeScratch Scratch => session.Scratch;

    public void Accept(ReadOnlySpan<char> piece, bool isTextStart)
    {
        if (piece.IsEmpty)
        {
            return;
        }

        if (stage == stages.Length)
        {
            encoder.Encode(piece, session.Ids, session.Scratch);
        }
        else
        {
            stages[stage].Split(piece, isTextStart, new PieceTarget(stages, stage + 1, encoder, session));
        }
    }
}

/// <summary>What one encoding writes to and works in.</summary>
internal sealed class EncodeSession
{
    private const int KeptIdsMax = 1 << 18;

    public IdBuffer Ids { get; } = new();

    public MergeScratch Scratch { get; } = new();

    /// <summary>True where keeping the session for the next encoding would hold on to much memory.</summary>
    public bool IsLarge => Scratch.IsLarge || Ids.Capacity > KeptIdsMax;
}
