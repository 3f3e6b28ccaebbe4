using System.Text;
using LsglangSharp.Runtime.Text;
using LsglangSharp.Support;

namespace LsglangSharp.Benchmarks;

/// <summary>
/// Texts of any length to encode. Prose and mixed text are drawn from the words of a vocabulary, whose ids are about in
/// the order of frequency, with a probability that falls as one over the rank; code is this repository's.
/// </summary>
internal static class SampleTexts
{
    private const int Seed = 20;

    /// <summary>English-like: words, some put together from two, with commas, full stops and paragraphs.</summary>
    public static string Prose(Tokenizer tokenizer, int bytes)
    {
        var random = new Random(Seed);
        var words = Words(tokenizer, token => IsWord(token, char.IsAsciiLetterLower));
        var text = new StringBuilder();
        while (text.Length < bytes)
        {
            text.Append(Draw(words, random));
            if (random.Next(5) == 0)
            {
                text.Append(Draw(words, random).AsSpan(1));
            }

            text.Append(random.Next(30) switch
            {
                0 => ".\n\n",
                1 or 2 => ".",
                3 or 4 => ",",
                5 => "'s",
                _ => "",
            });
        }

        return text.ToString();
    }

    /// <summary>The C# of this repository, from the start again where it is too short.</summary>
    public static string Code(int bytes)
    {
        var files = Directory.EnumerateFiles(Path.Combine(Repository.Root, "src"), "*.cs", SearchOption.AllDirectories);
        var all = string.Concat(files.Order(StringComparer.Ordinal).Select(File.ReadAllText));
        var text = new StringBuilder();
        while (text.Length < bytes)
        {
            text.Append(all);
        }

        return text.ToString(0, bytes);
    }

    /// <summary>Han, kana and Hangul with English words, numbers and punctuation between.</summary>
    public static string Mixed(Tokenizer tokenizer, int bytes)
    {
        var random = new Random(Seed);
        var east = Words(tokenizer, token => token.Length > 0 && token.All(IsEastern));
        if (east.Count < 1000)
        {
            // A vocabulary without them: any characters of the common ranges.
            var codes = Enumerable.Range(0x4E00, 3000).Concat(Enumerable.Range(0x3041, 150));
            east = [.. codes.Select(code => ((char)code).ToString())];
        }

        var english = Words(tokenizer, token => IsWord(token, char.IsAsciiLetter));
        var text = new StringBuilder();
        var length = 0;
        while (length < bytes)
        {
            var part = random.Next(20) switch
            {
                0 => "。",
                1 => "，",
                2 => Draw(english, random) + " ",
                3 => random.Next(10_000).ToString(System.Globalization.CultureInfo.InvariantCulture),
                4 when random.Next(5) == 0 => "\n",
                _ => Draw(east, random),
            };
            text.Append(part);
            length += Encoding.UTF8.GetByteCount(part);
        }

        return text.ToString();
    }

    private static bool IsWord(string token, Func<char, bool> isLetter) =>
        token.Length > 2 && token[0] == ' ' && token.Skip(1).All(isLetter);

    private static bool IsEastern(char unit) => unit is >= '\u3040' and <= '\uD7A3';

    private static List<string> Words(Tokenizer tokenizer, Func<string, bool> wanted) =>
        [.. Enumerable.Range(0, tokenizer.VocabularySize).Where(id => !tokenizer.IsSpecial(id))
            .Select(id => tokenizer.Decode([id], skipSpecialTokens: false)).Where(wanted)];

    // Rank r with a probability of about 1/r.
    private static string Draw(List<string> words, Random random) =>
        words[(int)Math.Pow(words.Count, random.NextDouble()) - 1];
}
