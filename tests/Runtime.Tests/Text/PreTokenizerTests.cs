using System.Text.Json.Nodes;
using static LsglangSharp.Runtime.Tests.Text.TinyTokenizer;

namespace LsglangSharp.Runtime.Tests.Text;

public class PreTokenizerTests
{
    // A tokenizer that takes every piece whole shows the pieces. '▁' and 'Ġ' are text like any other.
    private static string Pieces(string preTokenizer, string text)
    {
        var pieces = Enumerable.Range(0, text.Length).SelectMany(start =>
            Enumerable.Range(1, text.Length - start).Select(length => text.Substring(start, length)));
        var all = pieces.Concat(pieces.Select(piece => " " + piece))
            .SelectMany(piece => new[] { piece, piece.Replace(' ', '▁'), "▁" + piece.Replace(' ', '▁') })
            .SelectMany(piece => new[] { piece, piece.Replace(' ', 'Ġ') }).Distinct().ToArray();
        var json = CharacterJson(all);
        json["model"]!["ignore_merges"] = true;
        json["pre_tokenizer"] = JsonNode.Parse(preTokenizer);
        return string.Join('|', Tokens(Load(json), text));
    }

    private static string Split(string pattern, string behavior, bool invert = false) => new JsonObject
    {
        ["type"] = "Split",
        ["pattern"] = new JsonObject { ["Regex"] = pattern },
        ["behavior"] = behavior,
        ["invert"] = invert,
    }.ToJsonString();

    [Theory]
    [InlineData("Removed", false, "the|final|countdown")]
    [InlineData("Isolated", false, "the|-|final|-|-|countdown")]
    [InlineData("MergedWithPrevious", false, "the-|final-|-|countdown")]
    [InlineData("MergedWithNext", false, "the|-final|-|-countdown")]
    [InlineData("Contiguous", false, "the|-|final|--|countdown")]
    [InlineData("Removed", true, "-|-|-")]
    [InlineData("Isolated", true, "the|-|final|-|-|countdown")]
    [InlineData("MergedWithPrevious", true, "the|-final|-|-countdown")]
    [InlineData("MergedWithNext", true, "the-|final-|-|countdown")]
    [InlineData("Contiguous", true, "the|-|final|--|countdown")]
    public void Splits_with_every_behavior(string behavior, bool invert, string expected) =>
        Assert.Equal(expected, Pieces(Split("-", behavior, invert), "the-final--countdown"));

    [Fact]
    public void Splits_at_strings_too() => Assert.Equal(
        "a|.|b|.|.c",
        Pieces("""
            {"type":"Sequence","pretokenizers":[
            {"type":"Split","pattern":{"String":"b."},"behavior":"MergedWithPrevious","invert":false},
            {"type":"Split","pattern":{"String":".c"},"behavior":"Isolated","invert":false},
            {"type":"Split","pattern":{"Regex":"^\\.$|b"},"behavior":"Isolated","invert":false},
            {"type":"Split","pattern":{"String":"a"},"behavior":"Isolated","invert":false}]}
            """, "a.b..c"));

    [Fact]
    public void Splits_at_matches_of_no_length() => Assert.Equal(
        "1|234|567|a|12",
        Pieces(Split(@"(?=(?:\d{3})+(?!\d))|(?<=\d)(?=a)|(?<=a)", "Isolated"), "1234567a12"));

    [Theory]
    [InlineData("""{"type":"Digits","individual_digits":true}""", "a12 3", "a|1|2| |3")]
    [InlineData("""{"type":"Digits","individual_digits":false}""", "a12 3", "a|12| |3")]
    [InlineData("""{"type":"Whitespace"}""", "a1! b", "a1|!|b")]
    [InlineData("""{"type":"WhitespaceSplit"}""", "a1! b", "a1!|b")]
    [InlineData("""{"type":"Punctuation"}""", "a!?b", "a|!|?|b")]
    [InlineData("""{"type":"Punctuation","behavior":"Contiguous"}""", "a!?b", "a|!?|b")]
    [InlineData("""{"type":"BertPreTokenizer"}""", "a! b", "a|!|b")]
    [InlineData("""{"type":"CharDelimiterSplit","delimiter":"-"}""", "a-b", "a|b")]
    [InlineData("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"always"}""", "a b", "▁a|▁b")]
    [InlineData("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"never"}""", "a b", "a|▁b")]
    [InlineData("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false}""", "a b", "▁a▁b")]
    [InlineData("""{"type":"Metaspace","replacement":"▁","add_prefix_space":true}""", " a b", "▁a|▁b")]
    public void Cuts_as_each_type_says(string preTokenizer, string text, string expected) =>
        Assert.Equal(expected, Pieces(preTokenizer, text));

    [Fact]
    public void A_byte_level_stage_before_others_spells_the_text_first() => Assert.Equal(
        "a|Ġ|b",
        Pieces("""
            {"type":"Sequence","pretokenizers":[{"type":"ByteLevel","add_prefix_space":false,"use_regex":false},
            {"type":"Split","pattern":{"String":"Ġ"},"behavior":"Isolated","invert":false}]}
            """, "a b"));

    [Fact]
    public void A_byte_level_stage_may_put_a_space_in_front()
    {
        var json = Json("Ġ a");
        json["pre_tokenizer"] = ByteLevel(useRegex: true, addPrefixSpace: true);

        Assert.Equal(["Ġa", "Ġa"], Tokens(Load(json), "a a"));
        Assert.Equal(["Ġa"], Tokens(Load(json), " a"));
    }
}
