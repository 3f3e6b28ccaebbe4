using LsglangSharp.Runtime.Text.Bpe;
using LsglangSharp.Runtime.Text.Decoding;
using LsglangSharp.Runtime.Text.Normalization;
using LsglangSharp.Runtime.Text.Splitting;

namespace LsglangSharp.Runtime.Text.Files;

/// <summary>What a tokenizer is made of, whatever file it came from.</summary>
internal sealed record TokenizerParts
{
    public required Vocabulary Vocabulary { get; init; }

    public required BytePairEncoder Encoder { get; init; }

    public required IReadOnlyList<AddedToken> AddedTokens { get; init; }

    public required Normalizer? Normalizer { get; init; }

    public required PreTokenizer[] Stages { get; init; }

    /// <summary>Ids put before a text when special tokens are asked for.</summary>
    public int[] Before { get; init; } = [];

    /// <summary>Ids put after it.</summary>
    public int[] After { get; init; } = [];

    public required DecoderOptions Decoder { get; init; }
}
