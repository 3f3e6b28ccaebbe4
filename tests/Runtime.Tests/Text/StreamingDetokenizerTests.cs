using System.Text;
using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Text;
using static LsglangSharp.Runtime.Tests.Text.TinyTokenizer;

namespace LsglangSharp.Runtime.Tests.Text;

public class StreamingDetokenizerTests
{
    private static readonly Tokenizer _bytes = Load(Json());

    // The ids of single bytes, whatever their order in the file.
    private static readonly Dictionary<byte, int> _ids =
        Enumerable.Range(0, 256).ToDictionary(id => _bytes.TokenBytes(id).ToArray().Single());

    private static int Id(byte value) => _ids[value];

    private static List<string> Chunks(params byte[] bytes)
    {
        var stream = new StreamingDetokenizer(_bytes, skipSpecialTokens: true);
        var chunks = bytes.Select(value => stream.Push(Id(value))).ToList();
        chunks.Add(stream.Flush());
        return chunks;
    }

    [Fact]
    public void A_character_comes_whole_with_its_last_byte()
    {
        Assert.Equal(["a", "", "é", ""], Chunks(0x61, 0xC3, 0xA9));
        Assert.Equal(["", "", "", "\U0001F600", ""], Chunks(0xF0, 0x9F, 0x98, 0x80));
    }

    [Fact]
    public void The_replacement_character_comes_as_soon_as_bytes_cannot_become_a_character()
    {
        Assert.Equal(["\uFFFD", ""], Chunks(0x80));
        Assert.Equal(["\uFFFD", "a", ""], Chunks(0xFF, 0x61));
        Assert.Equal(["", "\uFFFDa", ""], Chunks(0xE4, 0x61));
        Assert.Equal(["", "", "\uFFFD", "é", ""], Chunks(0xE4, 0xBD, 0xC3, 0xA9));
        Assert.Equal(["", "\uFFFD\uFFFD", ""], Chunks(0xE0, 0x80));
    }

    [Fact]
    public void An_unfinished_character_becomes_one_replacement_character_at_the_end()
    {
        Assert.Equal(["", "", "", "\uFFFD"], Chunks(0xF0, 0x9F, 0x98));
        Assert.Equal(["", "", "\uFFFD\uFFFD"], Chunks(0xED, 0xA0));
    }

    [Fact]
    public void It_can_be_used_again_after_the_end()
    {
        var stream = new StreamingDetokenizer(_bytes, skipSpecialTokens: true);

        stream.Push(Id(0xC3));
        Assert.Equal("\uFFFD", stream.Flush());
        Assert.Equal("", stream.Flush());
        Assert.Equal("a", stream.Push(Id(0x61)));
    }

    [Fact]
    public void Special_tokens_are_left_out_or_written()
    {
        var end = _bytes.TokenId(Eos)!.Value;

        Assert.Equal("", new StreamingDetokenizer(_bytes, skipSpecialTokens: true).Push(end));
        Assert.Equal(Eos, new StreamingDetokenizer(_bytes, skipSpecialTokens: false).Push(end));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Random_bytes_stream_to_what_they_decode_to(bool skip)
    {
        var random = new Random(3);
        byte[] likely = [0x61, 0xC3, 0xA9, 0xE4, 0xBD, 0xA0, 0xED, 0xB0, 0xF0, 0x9F, 0x98, 0x80, 0xF4, 0x90, 0xFF];
        for (var round = 0; round < 3000; round++)
        {
            var ids = Enumerable.Range(0, random.Next(12))
                .Select(_ => random.Next(20) == 0 ? 256 : Id(random.Next(3) == 0
                    ? (byte)random.Next(256)
                    : likely[random.Next(likely.Length)])).ToArray();
            var stream = new StreamingDetokenizer(_bytes, skip);
            var chunks = ids.Select(stream.Push).ToList();
            var text = string.Concat(chunks) + stream.Flush();
            var bytes = ids.SelectMany(id => skip && id == 256 ? [] : _bytes.TokenBytes(id).ToArray()).ToArray();

            Assert.Equal(Encoding.UTF8.GetString(bytes), text);
            Assert.Equal(text, _bytes.Decode(ids, skip));
            Assert.All(chunks, chunk => Assert.Equal(chunk, Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(chunk))));
        }
    }

    [Fact]
    public void What_was_emitted_never_changes_with_later_tokens()
    {
        var random = new Random(4);
        byte[] likely = [0x61, 0xC3, 0xA9, 0xE4, 0xBD, 0xED, 0xB0, 0xF0, 0x9F, 0x98, 0xFF];
        for (var round = 0; round < 500; round++)
        {
            var ids = Enumerable.Range(0, 8).Select(_ => Id(likely[random.Next(likely.Length)])).ToArray();
            var stream = new StreamingDetokenizer(_bytes, skipSpecialTokens: true);
            var text = "";
            for (var i = 0; i < ids.Length; i++)
            {
                text += stream.Push(ids[i]);
                foreach (var next in likely)
                {
                    var longer = _bytes.Decode([.. ids[..(i + 1)], Id(next)], true);
                    Assert.StartsWith(text, longer, StringComparison.Ordinal);
                }
            }
        }
    }

    [Fact]
    public void A_run_of_fallback_bytes_waits_until_it_ends()
    {
        var json = CharacterJson(["a", "<0xC3>", "<0xA9>", "<0xFF>"]);
        json["decoder"] = JsonNode.Parse("""
            {"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"}]}
            """);
        var tokenizer = Load(json);

        Assert.Equal(["a", "", "", "éa", ""], Streamed(0, 1, 2, 0));
        Assert.Equal(["", "", "\uFFFD\uFFFD\uFFFD", "\uFFFD", "a", ""], Streamed(1, 2, 3, 1, 0));
        Assert.Equal(["", "\uFFFDa", ""], Streamed(1, 0));
        Assert.Equal(["", "", "é"], Streamed(1, 2));

        List<string> Streamed(params int[] ids)
        {
            var stream = new StreamingDetokenizer(tokenizer, skipSpecialTokens: true);
            return [.. ids.Select(stream.Push).ToList(), stream.Flush()];
        }
    }

    [Fact]
    public void The_start_of_the_output_is_stripped_across_tokens()
    {
        var json = CharacterJson(["a", "▁", "▁a"]);
        json["decoder"] = JsonNode.Parse("""
            {"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
            {"type":"Fuse"},{"type":"Strip","content":" ","start":2,"stop":0}]}
            """);

        Assert.Equal(" a a", Load(json).Decode([1, 1, 2, 2], false));
        Assert.Equal("a  a", Load(json).Decode([2, 1, 2], false));
    }

    [Fact]
    public void Metaspace_drops_the_mark_of_the_first_token_unless_none_was_put()
    {
        var json = CharacterJson(["a", "▁a"]);
        json["decoder"] = JsonNode.Parse("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"}""");
        Assert.Equal("a a", Load(json).Decode([1, 1], false));

        json["decoder"]!["prepend_scheme"] = "never";
        Assert.Equal(" a a", Load(json).Decode([1, 1], false));
    }

    [Fact]
    public void Without_a_decoder_tokens_are_separated_by_spaces()
    {
        var json = CharacterJson(["a", "b"]);
        json["decoder"] = null;

        Assert.Equal("a b a", Load(json).Decode([0, 1, 0], false));
    }
}
