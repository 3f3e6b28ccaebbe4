using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Text;
using static LsglangSharp.Runtime.Tests.Text.TinyTokenizer;

namespace LsglangSharp.Runtime.Tests.Text;

public class TokenizerFileTests
{
    /// <summary>A field, what it is set to, and what the message must name.</summary>
    public static TheoryData<string, string, string> Faults => new()
    {
        { "model", "null", "model" },
        { "model/type", "\"Unigram\"", "Unigram" },
        { "model/vocab", "[]", "vocab" },
        { "model/vocab", "{\"a\":-1}", "'a'" },
        { "model/vocab", "{\"a\":1e9}", "'a'" },
        { "model/vocab", "{\"a\":2000000000}", "'a'" },
        { "model/merges", "{}", "merges" },
        { "model/merges", "[\"ab\"]", "merge 0" },
        { "model/merges", "[\"a b c\"]", "merge 0" },
        { "model/merges", "[[\"a\"]]", "merge 0" },
        { "model/merges", "[[\"a\",\"b\",\"c\"]]", "merge 0" },
        { "model/merges", "[[\"a\",1]]", "merge 0" },
        { "model/merges", "[1]", "merge 0" },
        { "model/merges", "[\"a b\"]", "'ab'" },
        { "model/merges", "[\"a zz\"]", "'zz'" },
        { "model/dropout", "0.5", "dropout" },
        { "model/continuing_subword_prefix", "\"##\"", "continuing_subword_prefix" },
        { "model/end_of_word_suffix", "\"</w>\"", "end_of_word_suffix" },
        { "model/byte_fallback", "1", "byte_fallback" },
        { "model/unk_token", "\"<none>\"", "<none>" },
        { "model/novelty", "{}", "novelty" },
        { "novelty", "1", "novelty" },
        { "normalizer", "{\"type\":\"Precompiled\"}", "Precompiled" },
        { "normalizer", "{}", "normalizer" },
        { "normalizer", "[]", "normalizer" },
        { "normalizer", "{\"type\":\"Replace\",\"content\":\"\",\"pattern\":{}}", "pattern" },
        { "pre_tokenizer", "{\"type\":\"UnicodeScripts\"}", "UnicodeScripts" },
        { "pre_tokenizer", "{\"type\":\"Sequence\"}", "pretokenizers" },
        { "pre_tokenizer", "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\"}", "(" },
        { "pre_tokenizer", "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Odd\"}", "Odd" },
        { "pre_tokenizer", "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"odd\"}", "odd" },
        { "post_processor", "{\"type\":\"Odd\"}", "Odd" },
        { "post_processor", "{\"type\":\"TemplateProcessing\",\"single\":[]}", "single" },
        { "post_processor", "{\"type\":\"BertProcessing\",\"sep\":[\"a\",99999],\"cls\":[\"a\",1]}", "99999" },
        { "decoder", "{\"type\":\"WordPiece\"}", "WordPiece" },
        { "decoder", "{\"type\":\"Strip\",\"content\":\"ab\",\"start\":1,\"stop\":0}", "Strip" },
        { "added_tokens", "{}", "added_tokens" },
        { "added_tokens", "[{\"id\":-1,\"content\":\"a\"}]", "id" },
        { "added_tokens", "[{\"id\":1}]", "content" },
        { "added_tokens", "[{\"id\":1,\"content\":\"a\",\"lstrip\":3}]", "lstrip" },
        { "added_tokens", "[{\"id\":2000000000,\"content\":\"<a>\"}]", "<a>" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void A_fault_is_named_with_the_file(string field, string value, string expected)
    {
        var json = Json();
        var path = field.Split('/');
        var parent = path.Length == 2 ? json[path[0]]!.AsObject() : json;
        parent[path[^1]] = JsonNode.Parse(value);
        using var files = Write(json.ToJsonString());

        var error = Assert.Throws<ConfigurationException>(() => Tokenizer.Load(files.Folder));

        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        if (expected != "99999")
        {
            Assert.Contains(files.File, error.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[")]
    [InlineData("{\"version\":\"1.0\"}")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\\ud800\":0},\"merges\":[]}}")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"merges\":[]}}")]
    [InlineData("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}")]
    public void A_broken_file_is_an_error_that_names_it(string text)
    {
        using var files = Write(text);

        var error = Assert.Throws<ConfigurationException>(() => Tokenizer.Load(files.Folder));

        Assert.Contains(files.File, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("{\"eos_token\":3}")]
    [InlineData("{\"chat_template\":3}")]
    [InlineData("{\"chat_template\":[{\"name\":\"a\"}]}")]
    [InlineData("{\"added_tokens_decoder\":{\"x\":{\"content\":\"a\"}}}")]
    public void A_broken_configuration_is_an_error_that_names_it(string config)
    {
        using var files = Write(Json().ToJsonString(), config);

        var error = Assert.Throws<ConfigurationException>(() => Tokenizer.Load(files.Folder));

        Assert.Contains("tokenizer_config.json", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Stages_without_number_are_refused()
    {
        var json = Json();
        var digits = Enumerable.Range(0, 10_000).Select(_ => JsonNode.Parse("""{"type":"Digits"}"""));
        var stages = new JsonArray([.. digits]);
        json["pre_tokenizer"] = new JsonObject { ["type"] = "Sequence", ["pretokenizers"] = stages };
        using var files = Write(json.ToJsonString());

        var error = Assert.Throws<ConfigurationException>(() => Tokenizer.Load(files.Folder));

        Assert.Contains("10000 stages", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_folder_or_file_is_named()
    {
        using var files = Write("{}");
        File.Delete(files.File);

        var noFile = Assert.Throws<ConfigurationException>(() => Tokenizer.Load(files.Folder));
        var noFolder = Assert.Throws<ConfigurationException>(() => Tokenizer.Load("/no/where"));

        Assert.Contains("no tokenizer.json", noFile.Message, StringComparison.Ordinal);
        Assert.Contains("no such folder", noFolder.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_files_load_or_say_why_not()
    {
        var json = Json("a b", "ab c");
        json["normalizer"] = JsonNode.Parse("""
            {"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Prepend","prepend":"x"}]}
            """);
        json["post_processor"] = JsonNode.Parse("""
            {"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"S"}},{"Sequence":{"id":"A"}}],
            "special_tokens":{"S":{"ids":[5]}}}
            """);
        json["decoder"] = JsonNode.Parse("""
            {"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"}]}
            """);
        var original = System.Text.Encoding.UTF8.GetBytes(json.ToJsonString());
        var random = new Random(13);
        var refused = 0;
        for (var round = 0; round < 1000; round++)
        {
            using var files = Write(Damaged(original, random));
            try
            {
                var tokenizer = Tokenizer.Load(files.Folder);
                tokenizer.Decode(tokenizer.Encode("abc é\U0001F600 <|end|> 12", true), true);
            }
            catch (ConfigurationException)
            {
                refused++;
            }
        }

        Assert.InRange(refused, 1, 999);
    }

    private static byte[] Damaged(byte[] original, Random random)
    {
        var bytes = original.ToList();
        for (var i = random.Next(3); i >= 0; i--)
        {
            // The vocabulary is most of the file; the rest is more interesting.
            var at = random.Next(2) == 0 ? random.Next(bytes.Count) : bytes.Count - 1 - random.Next(100);
            switch (random.Next(4))
            {
                case 0:
                    bytes.RemoveRange(at, random.Next(Math.Min(20, bytes.Count - at)));
                    break;
                case 1:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    bytes.InsertRange(at, bytes.GetRange(at, Math.Min(random.Next(30), bytes.Count - at)));
                    break;
                default:
                    bytes[at] = "{}[]\",:01ntf-"u8[random.Next(13)];
                    break;
            }
        }

        return [.. bytes];
    }
}
