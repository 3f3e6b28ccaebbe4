using System.Text;
using LsglangSharp.Runtime.Text;
using LsglangSharp.Runtime.Text.Normalization;
using static LsglangSharp.Runtime.Tests.Text.TinyTokenizer;

namespace LsglangSharp.Runtime.Tests.Text;

public class TokenizerRoundTripTests
{
    private static readonly string[] _patterns =
        [.. Runtime.Text.Splitting.KnownPatterns.Scanners.Keys, @"\w+|[^\w]", "nothing at all", "(?=a)"];

    [Fact]
    public void Byte_level_tokenizers_give_back_every_text()
    {
        foreach (var pattern in _patterns)
        {
            var tokenizer = WithPattern(pattern);
            foreach (var text in SampleTexts.Random(seed: 8, count: 1500))
            {
                var ids = tokenizer.Encode(text, addSpecialTokens: false);

                Assert.Equal(text, tokenizer.Decode(ids, skipSpecialTokens: false));
                Assert.Equal(
                    Encoding.UTF8.GetBytes(text),
                    ids.SelectMany(id => tokenizer.TokenBytes(id).ToArray()).ToArray());
            }
        }
    }

    [SkippableTheory]
    [InlineData("deepseek_v3")]
    [InlineData("llama3_1")]
    [InlineData("gptoss")]
    public void Real_tokenizers_give_back_every_text(string name)
    {
        var tokenizer = TokenizerGoldens.Tokenizer(name);
        foreach (var text in SampleTexts.Random(seed: 9, count: 3000))
        {
            var ids = tokenizer.Encode(text, addSpecialTokens: false);

            Assert.Equal(text, tokenizer.Decode(ids, skipSpecialTokens: false));
        }
    }

    [SkippableTheory]
    [InlineData("qwen3")]
    [InlineData("demo")]
    public void Real_tokenizers_that_normalise_give_back_the_normal_form(string name)
    {
        var tokenizer = TokenizerGoldens.Tokenizer(name);
        foreach (var text in SampleTexts.Random(seed: 10, count: 3000))
        {
            var ids = tokenizer.Encode(text, addSpecialTokens: false);

            var normal = UnicodeNormalization.Normalize(text, compose: true, compatible: false);
            Assert.Equal(normal, tokenizer.Decode(ids, skipSpecialTokens: false));
        }
    }

    [SkippableTheory]
    [InlineData("qwen3")]
    [InlineData("gptoss")]
    public void Any_ids_stream_to_what_they_decode_to(string name)
    {
        var tokenizer = TokenizerGoldens.Tokenizer(name);
        var random = new Random(11);
        for (var round = 0; round < 3000; round++)
        {
            // Low ids are single bytes in both.
            var ids = Enumerable.Range(0, random.Next(12))
                .Select(_ => random.Next(random.Next(2) == 0 ? 256 : tokenizer.VocabularySize + 10)).ToArray();
            var skip = random.Next(2) == 0;
            var stream = new StreamingDetokenizer(tokenizer, skip);

            var text = string.Concat(ids.Select(stream.Push).ToList()) + stream.Flush();

            Assert.Equal(tokenizer.Decode(ids, skip), text);
        }
    }

    private static Tokenizer WithPattern(string pattern)
    {
        var json = Json("a b", "Ġ a", "Ã ©", "å Ń");
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
        return Load(json);
    }
}
