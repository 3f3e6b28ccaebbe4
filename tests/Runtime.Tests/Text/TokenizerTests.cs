using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Text;
using static LsglangSharp.Runtime.Tests.Text.TinyTokenizer;

namespace LsglangSharp.Runtime.Tests.Text;

public class TokenizerTests
{
    [Fact]
    public void Merges_the_lowest_rank_first_and_the_leftmost_of_equals()
    {
        var tokenizer = Load(Json("b c", "a b", "a a"));

        Assert.Equal(["a", "bc"], Tokens(tokenizer, "abc"));
        Assert.Equal(["ab", "d"], Tokens(tokenizer, "abd"));
        Assert.Equal(["aa", "aa", "a"], Tokens(tokenizer, "aaaaa"));
    }

    [Fact]
    public void Long_pieces_merge_as_short_ones_do()
    {
        var tokenizer = Load(Json("a b", "ab c", "c a", "b b", "abc abc"));
        var random = new Random(1);

        for (var round = 0; round < 200; round++)
        {
            var text = string.Concat(Enumerable.Range(0, 20 + random.Next(60)).Select(_ => "abc"[random.Next(3)]));
            Assert.Equal(Expected(text), Tokens(tokenizer, text));
        }

        static List<string> Expected(string text)
        {
            var symbols = text.Select(unit => unit.ToString()).ToList();
            foreach (var (left, right) in new[] { ("a", "b"), ("ab", "c"), ("c", "a"), ("b", "b"), ("abc", "abc") })
            {
                // No merge makes a pair of a lower rank here, so that one pass for each rank is the definition.
                for (var i = 0; i + 1 < symbols.Count; i++)
                {
                    if (symbols[i] == left && symbols[i + 1] == right)
                    {
                        symbols[i] += right;
                        symbols.RemoveAt(i + 1);
                    }
                }
            }

            return symbols;
        }
    }

    [Fact]
    public void Both_spellings_of_merges_and_any_order_of_fields_are_the_same()
    {
        var merges = new[] { "h e", "l l", "he ll" };
        var pairs = Json(merges);
        pairs["model"]!["merges"] = new JsonArray([.. merges.Select(merge =>
            (JsonNode)new JsonArray([.. merge.Split(' ').Select(token => JsonValue.Create(token))]))]);
        var reversed = new JsonObject(pairs["model"]!.AsObject().Reverse()
            .Select(field => KeyValuePair.Create(field.Key, field.Value?.DeepClone())));
        var early = Json(merges);
        early["model"] = reversed;

        foreach (var json in new[] { Json(merges), pairs, early })
        {
            Assert.Equal(["hell", "o", "Ġ", "hell"], Tokens(Load(json), "hello hell"));
        }
    }

    [Fact]
    public void Escaped_strings_of_the_file_are_read()
    {
        var json = Json("Ġ é", "\" \\").ToJsonString().Replace("Ġ", "\\u0120", StringComparison.Ordinal);
        using var files = Write(json);

        Assert.Equal(["\"\\"], Tokens(Tokenizer.Load(files.Folder), "\"\\"));
    }

    [Fact]
    public void Ignore_merges_takes_a_piece_of_the_vocabulary_whole()
    {
        var json = Json("a b", "b c", "ab cd");
        json["model"]!["vocab"]!["cd"] = 900;
        json["model"]!["vocab"]!["Ġbc"] = 901;
        json["model"]!["vocab"]!["abcd"] = 902;

        Assert.Equal(["ab", "c", "d", "Ġ", "bc"], Tokens(Load(json), "abcd bc"));
        json["model"]!["ignore_merges"] = true;
        Assert.Equal(["abcd", "Ġbc"], Tokens(Load(json), "abcd bc"));
    }

    [Fact]
    public void Bytes_without_a_token_are_dropped_or_become_the_unknown_token()
    {
        var json = CharacterJson(["a", "b", "<unk>"]);
        Assert.Equal(["a", "b"], Tokens(Load(json), "axyb"));

        json["model"]!["unk_token"] = "<unk>";
        Assert.Equal(["a", "<unk>", "<unk>", "b", "<unk>"], Tokens(Load(json), "axybé"));

        json["model"]!["fuse_unk"] = true;
        Assert.Equal(["a", "<unk>", "b", "<unk>"], Tokens(Load(json), "axybé"));
    }

    [Fact]
    public void Byte_fallback_spells_unknown_characters_in_bytes()
    {
        var json = CharacterJson(["a", "▁", "<0xC3>", "<0xA9>", "▁a", "<unk>"], "▁ a");
        json["model"]!["byte_fallback"] = true;
        json["model"]!["unk_token"] = "<unk>";
        json["normalizer"] = JsonNode.Parse("""
            {"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},
            {"type":"Replace","pattern":{"String":" "},"content":"▁"}]}
            """);
        json["decoder"] = JsonNode.Parse("""
            {"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
            {"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}
            """);
        var tokenizer = Load(json);

        Assert.Equal(["▁a", "<0xC3>", "<0xA9>", "▁a"], Tokens(tokenizer, "aé a"));
        Assert.Equal(["▁", "<unk>"], Tokens(tokenizer, "x"));
        Assert.Equal("aé a", tokenizer.Decode(tokenizer.Encode("aé a", false), false));
        Assert.Equal("\uFFFDa", tokenizer.Decode([2, 0], false));
        // A run of bytes is text as a whole or not at all.
        Assert.Equal("a\uFFFD\uFFFD\uFFFDa", tokenizer.Decode([0, 2, 3, 2, 0], false));
        Assert.Equal([0xC3], tokenizer.TokenBytes(2).ToArray());
    }

    [Fact]
    public void Half_surrogates_are_encoded_as_the_replacement_character()
    {
        var tokenizer = Load(Json());

        Assert.Equal(
            tokenizer.Encode("a\uFFFDb\U0001F600\uFFFD", false),
            tokenizer.Encode("a\uD83Db\U0001F600\uDE00", false));
    }

    [Fact]
    public void Post_processors_put_tokens_around_a_text_only_when_asked()
    {
        var json = Json();
        json["post_processor"] = JsonNode.Parse("""
            {"type":"Sequence","processors":[{"type":"ByteLevel"},{"type":"TemplateProcessing",
            "single":[{"SpecialToken":{"id":"S","type_id":0}},{"Sequence":{"id":"A","type_id":0}},
            {"SpecialToken":{"id":"E","type_id":0}}],"pair":[],
            "special_tokens":{"S":{"id":"S","ids":[5,6]},"E":{"id":"E","ids":[7]}}}]}
            """);
        var tokenizer = Load(json);

        Assert.Equal([5, 6, 64, 7], tokenizer.Encode("@", true));
        Assert.Equal([64], tokenizer.Encode("@", false));
        Assert.Equal([5, 6, 7], tokenizer.Encode("", true));
    }

    [Fact]
    public void Tokens_have_ids_texts_and_bytes()
    {
        var tokenizer = Load(Json("Ġ é", "Ã ©"));

        Assert.Equal(259, tokenizer.VocabularySize);
        Assert.Equal(257, tokenizer.TokenId("Ã©"));
        Assert.Equal("Ã©", tokenizer.TokenText(257));
        Assert.Equal("é"u8.ToArray(), tokenizer.TokenBytes(257).ToArray());
        Assert.Equal(258, tokenizer.TokenId(Eos));
        Assert.Equal("<|end|>"u8.ToArray(), tokenizer.TokenBytes(258).ToArray());
        Assert.True(tokenizer.IsSpecial(258));
        Assert.False(tokenizer.IsSpecial(257));
        Assert.Equal([258], tokenizer.SpecialTokenIds);
        Assert.Null(tokenizer.TokenId("nothing"));
        Assert.Equal("", tokenizer.TokenText(10_000));
        Assert.Equal(0, tokenizer.TokenBytes(-1).Length);
        Assert.Equal("", tokenizer.Decode([10_000, -3], false));
    }

    [Fact]
    public void The_configuration_names_tokens_as_strings_or_objects()
    {
        var tokenizer = Load(Json(), """
            {"eos_token":{"__type":"AddedToken","content":"<|end|>"},"pad_token":"!","bos_token":null,
            "unk_token":"gone","added_tokens_decoder":{"256":{"content":"<|end|>","special":true},
            "300":{"content":"<extra>","special":true}}}
            """);

        Assert.Equal(Eos, tokenizer.EosToken);
        Assert.Equal(256, tokenizer.EosTokenId);
        Assert.Equal(0x21, tokenizer.Encode("!", false)[0]);
        Assert.Equal(tokenizer.TokenId("!"), tokenizer.PadTokenId);
        Assert.Null(tokenizer.BosToken);
        Assert.Equal("gone", tokenizer.UnkToken);
        Assert.Null(tokenizer.UnkTokenId);
        Assert.Equal([300], tokenizer.Encode("<extra>", false));
        Assert.Equal(301, tokenizer.VocabularySize);
    }

    [Fact]
    public void The_configuration_may_name_more_tokens_but_not_other_ones()
    {
        var tokenizer = Load(Json("a b"), """
            {"added_tokens_decoder":{"3":{"content":"<other>","special":true},"900":{"content":"ab","special":true},
            "257":{"content":"<|renamed|>","special":true}}}
            """);

        Assert.Null(tokenizer.TokenId("<other>"));
        Assert.Null(tokenizer.TokenId("<|renamed|>"));
        Assert.Equal(256, tokenizer.TokenId("ab"));
        Assert.True(tokenizer.IsSpecial(256));
        Assert.Throws<ConfigurationException>(() =>
            Load(Json(), """{"added_tokens_decoder":{"2000000000":{"content":"<far>"}}}"""));
    }

    [Fact]
    public void The_template_is_a_string_or_the_default_of_a_list_and_a_file_beside_wins()
    {
        Assert.Null(Load(Json()).ChatTemplateSource);
        Assert.Equal("{{ a }}", Load(Json(), """{"chat_template":"{{ a }}"}""").ChatTemplateSource);

        const string list =
            """{"chat_template":[{"name":"tool_use","template":"T"},{"name":"default","template":"D"}]}""";
        Assert.Equal("D", Load(Json(), list).ChatTemplateSource);
        Assert.Equal("T", Load(Json(), list).ChatTemplates["tool_use"]);

        using var files = Write(Json().ToJsonString(), list);
        File.WriteAllText(Path.Combine(files.Folder, "chat_template.jinja"), "F");
        Directory.CreateDirectory(Path.Combine(files.Folder, "additional_chat_templates"));
        File.WriteAllText(Path.Combine(files.Folder, "additional_chat_templates", "rag.jinja"), "R");
        var tokenizer = Tokenizer.Load(files.Folder);
        Assert.Equal("F", tokenizer.ChatTemplateSource);
        Assert.Equal("T", tokenizer.ChatTemplates["tool_use"]);
        Assert.Equal("R", tokenizer.ChatTemplates["rag"]);
    }

    [Fact]
    public void Threads_share_a_tokenizer()
    {
        var tokenizer = Load(Json("a b", "b c", "c a", "ab c"));
        var texts = Enumerable.Range(0, 500).Select(i => $"abc{i}cab bca{i % 7} abcabc").ToArray();
        var alone = Load(Json("a b", "b c", "c a", "ab c"));
        var expected = texts.Select(text => alone.Encode(text, false)).ToArray();

        Parallel.For(0, 8, thread =>
        {
            for (var i = 0; i < texts.Length; i++)
            {
                Assert.Equal(expected[i], tokenizer.Encode(texts[i], false));
            }
        });
    }
}
