using System.Text.Json.Nodes;
using static LsglangSharp.Runtime.Tests.Text.TinyTokenizer;

namespace LsglangSharp.Runtime.Tests.Text;

public class AddedTokenTests
{
    private static JsonObject With(params JsonObject[] tokens)
    {
        var json = Json();
        json["added_tokens"] = new JsonArray([.. tokens]);
        return json;
    }

    private static JsonObject Token(string content, int id, string? flag = null)
    {
        var token = Added(content, id);
        if (flag is not null)
        {
            token[flag] = true;
        }

        return token;
    }

    [Fact]
    public void The_leftmost_is_found_and_there_the_longest()
    {
        var tokenizer = Load(With(Token("<a>", 300), Token("<a><b>", 301), Token("a><", 302), Token("<b>", 303)));

        Assert.Equal([301], tokenizer.Encode("<a><b>", false));
        Assert.Equal(["x", "<a>", "<", "b", "<a>"], Tokens(tokenizer, "x<a><b<a>"));
        Assert.Equal(["a><", "b", ">"], Tokens(tokenizer, "a><b>"));
        Assert.Equal(["<", "<", "<a>"], Tokens(tokenizer, "<<<a>"));
    }

    [Fact]
    public void Stripping_takes_white_space_along()
    {
        var left = Load(With(Token("<m>", 300, "lstrip")));
        var right = Load(With(Token("<m>", 300, "rstrip")));

        Assert.Equal(["a", "<m>", "Ġ", "b"], Tokens(left, "a \t\u3000<m> b"));
        Assert.Equal(["a", "Ġ", "<m>", "b"], Tokens(right, "a <m> \n b"));
        // What the token before has taken is not taken again.
        Assert.Equal(["<m>", "<m>"], Tokens(right, "<m> <m>"));
        Assert.Equal(["<m>", "<m>"], Tokens(left, " <m> <m>"));
    }

    [Fact]
    public void A_single_word_is_not_found_inside_others()
    {
        var tokenizer = Load(With(Token("at", 300, "single_word")));

        Assert.Equal(["at", "Ġ", "c", "a", "t", ",", "at", "!", "a", "t", "e"], Tokens(tokenizer, "at cat,at!ate"));
        Assert.Equal(["a", "t", "_"], Tokens(tokenizer, "at_"));
    }

    [Fact]
    public void Normalized_tokens_are_found_in_normalised_text_and_others_in_the_text_as_it_came()
    {
        var raw = With(Token("HI", 300));
        raw["normalizer"] = JsonNode.Parse("""{"type":"Lowercase"}""");
        var normalized = With(Token("HI", 300, "normalized"));
        normalized["normalizer"] = JsonNode.Parse("""{"type":"Lowercase"}""");

        Assert.Equal(["HI", "h", "i"], Tokens(Load(raw), "HIhi"));
        Assert.Equal(["HI", "HI", "HI"], Tokens(Load(normalized), "HIhihI"));
    }

    [Fact]
    public void Special_tokens_in_a_text_can_be_left_plain()
    {
        var json = With(Added("<s>", 300, special: true), Token("<t>", 301));

        Assert.Equal([300, 301], Load(json).Encode("<s><t>", false));
        Assert.Equal(["<", "s", ">", "<t>"],
            Load(json).Encode("<s><t>", false, parseSpecialTokens: false).Select(Load(json).TokenText));
    }

    [Fact]
    public void A_token_of_the_vocabulary_keeps_its_id_there()
    {
        var json = With(Token("!", 300));

        Assert.Equal([33], Load(json).Encode("!", false).Select(id => (int)Load(json).TokenBytes(id)[0]));
        Assert.NotEqual(300, Load(json).TokenId("!"));
    }

    [Fact]
    public void Special_tokens_are_left_out_of_decoded_text_and_do_not_part_characters()
    {
        var tokenizer = Load(With(Added("<s>", 300, special: true), Token("<t>", 301)));
        var bytes = tokenizer.Encode("é", false);

        Assert.Equal("é<t>", tokenizer.Decode([300, bytes[0], 300, bytes[1], 301], skipSpecialTokens: true));
        Assert.Equal("<s>\uFFFD<s>\uFFFD", tokenizer.Decode([300, bytes[0], 300, bytes[1]], skipSpecialTokens: false));
    }
}
