using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Text;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Text.Bpe;
using LsglangSharp.Runtime.Text.Decoding;
using LsglangSharp.Runtime.Text.Splitting;

namespace LsglangSharp.Runtime.Text.Files;

/// <summary>
/// Reads tiktoken.model as the Kimi models have it: lines of base64 and rank, neighbours that merge in the order of
/// what they merge to, 256 special tokens after them, and Kimi's split pattern, which the file does not hold.
/// </summary>
internal static class TiktokenFile
{
    private const int SpecialCount = 256;
    private const int TokenLengthMax = 4096;

    public static TokenizerParts Load(string path, IReadOnlyList<AddedToken> named)
    {
        byte[] text;
        try
        {
            text = File.ReadAllBytes(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"{path}: cannot be read: {error.Message}", error);
        }

        var vocabulary = ReadRanks(text, path);
        var options = new BytePairOptions { IsByteLevel = true, IgnoreMerges = true };
        return new TokenizerParts
        {
            Vocabulary = vocabulary,
            Encoder = new BytePairEncoder(vocabulary, Merges(vocabulary), options),
            AddedTokens = SpecialTokens(vocabulary.Count, named),
            Normalizer = null,
            Stages = [new SplitStage(KnownPatterns.Scanner(KnownPatterns.Kimi), SplitBehavior.Isolated, invert: false)],
            Decoder = new DecoderOptions { IsByteLevel = true },
        };
    }

    // Tokens are kept as tokenizer.json spells them, so that everything else is the same.
    private static Vocabulary ReadRanks(ReadOnlySpan<byte> text, string path)
    {
        var vocabulary = new Vocabulary();
        Span<byte> token = stackalloc byte[TokenLengthMax];
        Span<byte> spelling = stackalloc byte[2 * TokenLengthMax];
        var lineNumber = 0;
        foreach (var range in text.Split((byte)'\n'))
        {
            lineNumber++;
            var line = text[range].TrimEnd((byte)'\r');
            if (line.IsEmpty)
            {
                continue;
            }

            var space = line.IndexOf((byte)' ');
            var isToken = space > 0
                && Base64.DecodeFromUtf8(line[..space], token, out _, out var length) == OperationStatus.Done
                && length > 0
                && int.TryParse(line[(space + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var rank)
                && rank == vocabulary.Count
                && TryAdd(vocabulary, spelling[..ByteAlphabet.Encode(token[..length], spelling)], rank);
            if (!isToken)
            {
                throw new ConfigurationException(
                    $"{path}: line {lineNumber} is not a new token in base64 and the rank {vocabulary.Count}");
            }
        }

        Span<byte> single = stackalloc byte[2];
        for (var value = 0; value < 256; value++)
        {
            var raw = (byte)value;
            if (vocabulary.IdOf(single[..ByteAlphabet.Encode(new ReadOnlySpan<byte>(in raw), single)]) < 0)
            {
                throw new ConfigurationException($"{path}: there is no token for the byte {value}");
            }
        }

        vocabulary.Seal();
        return vocabulary;
    }

    private static bool TryAdd(Vocabulary vocabulary, ReadOnlySpan<byte> token, int rank)
    {
        vocabulary.Add(token, rank);
        return vocabulary.Count == rank + 1;
    }

    // Every way to put a token together from two others.
    private static MergeTable Merges(Vocabulary vocabulary)
    {
        var merges = new List<(int Left, int Right, int Merged)>();
        for (var id = 0; id < vocabulary.Count; id++)
        {
            var token = vocabulary.Text(id);
            for (var cut = 1; cut < token.Length; cut++)
            {
                // Not within a character of the spelling.
                if ((token[cut] & 0xC0) != 0x80 && vocabulary.IdOf(token[..cut]) is var left and >= 0
                    && vocabulary.IdOf(token[cut..]) is var right and >= 0)
                {
                    merges.Add((left, right, id));
                }
            }
        }

        var table = new MergeTable(merges.Count);
        foreach (var (left, right, merged) in merges)
        {
            table.Add(left, right, rank: merged, merged);
        }

        return table;
    }

    private static List<AddedToken> SpecialTokens(int first, IReadOnlyList<AddedToken> named)
    {
        var names = named.ToDictionary(token => token.Id, token => token.Content);
        return [.. Enumerable.Range(first, SpecialCount).Select(id => new AddedToken(
            names.GetValueOrDefault(id, string.Create(CultureInfo.InvariantCulture, $"<|reserved_token_{id}|>")), id)
        {
            IsSpecial = true,
        })];
    }
}
