using System.Text.Json;
using LsglangSharp.Runtime.Text;
using LsglangSharp.Runtime.Text.Patterns;
using LsglangSharp.Runtime.Text.Splitting;
using static LsglangSharp.Runtime.Tests.Text.TinyTokenizer;

namespace LsglangSharp.Runtime.Tests.Text;

public class TokenizerLinearityTests
{
    // A heap of n entries has log n levels: doubling a text may add a little over twice the work. A quadratic step
    // anywhere would make it four times.
    private const double GrowthMax = 2.4;

    private static readonly string[] _units =
    [
        "a", "A", "aA", "字", "か", "あ字", " ", "\n", "\t", " \n", "\n ", "\r\n", "1", "12a", "!", "!\n", "'",
        "'s", "a ", "a  ", "é", "e\u0301", "\u0301", "\u0301A", "\U0001F600", "\U00020000", "<|", "<|end|",
        "<|end|>", "a<|end|>", "ab", "abc", "\u02B0A", "A\u02B0", "/", "\0", " \u200B", "_a", "\u00A0x", "字A",
    ];

    [Fact]
    public void Work_grows_with_the_length_of_any_repetition_for_every_known_pattern()
    {
        foreach (var pattern in KnownPatterns.Scanners.Keys)
        {
            var json = Json("a a", "aa aa", "aaaa aaaa", "Ġ Ġ", "ĠĠ ĠĠ", "a b", "å Ń", "åŃ Ĺ");
            json["pre_tokenizer"] = new System.Text.Json.Nodes.JsonObject
            {
                ["type"] = "Sequence",
                ["pretokenizers"] = new System.Text.Json.Nodes.JsonArray(
                    new System.Text.Json.Nodes.JsonObject
                    {
                        ["type"] = "Split",
                        ["pattern"] = new System.Text.Json.Nodes.JsonObject { ["Regex"] = pattern },
                        ["behavior"] = "Isolated",
                        ["invert"] = false,
                    },
                    ByteLevel(useRegex: false)),
            };
            foreach (var unit in _units)
            {
                AssertLinear(Load(json), unit, length: 8_000, pattern);
            }
        }
    }

    [Fact]
    public void Work_grows_with_the_length_of_any_repetition_in_the_general_matcher()
    {
        string[] patterns = [.. KnownPatterns.Scanners.Keys, @"\w+|[^\w\s]+", @"[^\s]+|\s+(?!\S)|\s+"];
        foreach (var scanner in patterns.Select(text => new PatternScanner(text)))
        {
            foreach (var unit in _units)
            {
                var once = Steps(scanner, Repeated(unit, 4_000));
                var twice = Steps(scanner, Repeated(unit, 8_000));

                var label = JsonSerializer.Serialize(unit);
                Assert.True(twice <= GrowthMax * once + 1000, $"{label}: {twice} after {once}");
            }
        }
    }

    [SkippableTheory]
    [InlineData("qwen3")]
    [InlineData("deepseek_v3")]
    [InlineData("llama3_1")]
    [InlineData("gptoss")]
    public void Work_grows_with_the_length_of_any_repetition_for_real_tokenizers(string name)
    {
        foreach (var unit in _units)
        {
            AssertLinear(TokenizerGoldens.Tokenizer(name), unit, length: 50_000, name);
        }
    }

    [SkippableFact]
    public void Megabytes_without_a_space_are_encoded()
    {
        var tokenizer = TokenizerGoldens.Tokenizer("qwen3");
        var random = new Random(12);
        var han = string.Concat(Enumerable.Range(0, 400_000).Select(_ => (char)random.Next(0x4E00, 0x9FA5)));

        foreach (var text in new[] { new string('a', 1_000_000), new string(' ', 1_000_000) + "x", han })
        {
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text, false), false));
        }
    }

    private static void AssertLinear(Tokenizer tokenizer, string unit, int length, string label)
    {
        var once = Work(tokenizer, Repeated(unit, length));
        var twice = Work(tokenizer, Repeated(unit, 2 * length));

        Assert.True(
            twice <= GrowthMax * once + 1000,
            $"{label}: {JsonSerializer.Serialize(unit)}: twice the length takes {twice} steps, once {once}");
        Assert.True(twice <= 400L * length, $"{label}: {unit}: {twice} steps for {2 * length} units");
    }

    private static long Steps(PatternScanner scanner, string text)
    {
        long steps = 0;
        for (var i = 0; i < text.Length;)
        {
            var examined = i;
            var end = scanner.Match(text, i, ref examined);
            steps += examined - i;
            i = end > i ? end : i + 1;
        }

        return steps;
    }

    private static string Repeated(string unit, int length) =>
        string.Concat(Enumerable.Repeat(unit, length / unit.Length));

    private static long Work(Tokenizer tokenizer, string text)
    {
        var before = tokenizer.Work;
        tokenizer.Encode(text, addSpecialTokens: false);
        return tokenizer.Work - before;
    }
}
