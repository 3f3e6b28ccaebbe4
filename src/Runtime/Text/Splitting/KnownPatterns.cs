using LsglangSharp.Runtime.Text.Patterns;

namespace LsglangSharp.Runtime.Text.Splitting;

/// <summary>The split patterns that have a scanner of their own, by their text.</summary>
internal static class KnownPatterns
{
    public const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    public const string Qwen2 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*" +
        @"|\s*[\r\n]+|\s+(?!\S)|\s+";

    public const string Qwen35 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" +
        @"|\s*[\r\n]+|\s+(?!\S)|\s+";

    public const string Llama3 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" +
        @"|\s*[\r\n]+|\s+(?!\S)|\s+";

    public const string O200k =
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?" +
        @"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?" +
        @"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    public const string Kimi =
        @"[\p{Han}]+" +
        @"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+" +
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)?" +
        @"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*" +
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)?" +
        @"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    public const string DeepSeekNumbers = @"\p{N}{1,3}";

    public const string DeepSeekHanKana = "[一-龥぀-ゟ゠-ヿ]+";

    public const string DeepSeekWords =
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+" +
        "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";

    /// <summary>The known patterns, each with its scanner.</summary>
    public static IReadOnlyDictionary<string, SplitScanner> Scanners { get; } = new Dictionary<string, SplitScanner>
    {
        [Gpt2] = new Gpt2Scanner(),
        [Qwen2] = new LetterRunScanner(digitsMax: 1, marksInWords: false),
        [Qwen35] = new LetterRunScanner(digitsMax: 1, marksInWords: true),
        [Llama3] = new LetterRunScanner(digitsMax: 3, marksInWords: false),
        [O200k] = new CasedWordScanner(slashAfterSymbols: true, splitsHan: false),
        [Kimi] = new CasedWordScanner(slashAfterSymbols: false, splitsHan: true),
        [DeepSeekNumbers] = new NumberScanner(most: 3),
        [@"\p{N}"] = new NumberScanner(most: 1),
        [DeepSeekHanKana] = new HanKanaScanner(),
        [DeepSeekWords] = new DeepSeekWordScanner(),
    };

    /// <summary>The scanner for a pattern, its own or the general one.</summary>
    public static SplitScanner Scanner(string pattern) =>
        Scanners.TryGetValue(pattern, out var known) ? known : new PatternScanner(pattern);
}
