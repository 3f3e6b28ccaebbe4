using System.Text;
using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Text.Files;
using LsglangSharp.Runtime.Text.Normalization;

namespace LsglangSharp.Runtime.Tests.Text;

public class NormalizationTests
{
    private static string Nfc(string text) => UnicodeNormalization.Normalize(text, compose: true, compatible: false);

    private static string Nfd(string text) => UnicodeNormalization.Normalize(text, compose: false, compatible: false);

    private static string Apply(string normalizer, string text) => TokenizerSections
        .Normalizer(System.Text.Json.JsonElement.Parse(normalizer), "here")!.Apply(text);

    [Theory]
    [InlineData("", "")]
    [InlineData("plain", "plain")]
    [InlineData("e\u0301", "é")]
    [InlineData("xe\u0301y", "xéy")]
    [InlineData("\u0301", "\u0301")]
    [InlineData("a\u0315\u0300\u05AE\u0300\u0062", "\u00E0\u05AE\u0300\u0315\u0062")]
    [InlineData("e\u0323\u0302", "\u1EC7")]
    [InlineData("é\u0323", "\u1EB9\u0301")]
    [InlineData("\u212B", "\u00C5")]
    [InlineData("\u0958", "\u0915\u093C")]
    [InlineData("\uFB2C", "\u05E9\u05BC\u05C1")]
    [InlineData("\u1100\u1161\u11A8", "\uAC01")]
    [InlineData("\uAC00\u11A8", "\uAC01")]
    [InlineData("\uAC01\u11A8", "\uAC01\u11A8")]
    [InlineData("\u1100\u1100\u1161", "\u1100\uAC00")]
    [InlineData("\u0344", "\u0308\u0301")]
    [InlineData("\U0001D15E", "\U0001D157\U0001D165")]
    [InlineData("\U00011131\U00011127", "\U0001112E")]
    [InlineData("\u0B47\u0300\u0B3E", "\u0B47\u0300\u0B3E")]
    [InlineData("ﬁ½", "ﬁ½")]
    public void Composes(string text, string expected) => Assert.Equal(expected, Nfc(text));

    [Theory]
    [InlineData("é", "e\u0301")]
    [InlineData("\u1EC7", "e\u0323\u0302")]
    [InlineData("\uAC01", "\u1100\u1161\u11A8")]
    [InlineData("\uAC00", "\u1100\u1161")]
    public void Decomposes(string text, string expected) => Assert.Equal(expected, Nfd(text));

    [Fact]
    public void Compatible_forms_replace_look_alikes()
    {
        Assert.Equal("fi1\u20442", UnicodeNormalization.Normalize("ﬁ½", compose: true, compatible: true));
        Assert.Equal("アア\u3099", UnicodeNormalization.Normalize("ｱｱﾞ", compose: false, compatible: true));
        Assert.Equal("é", UnicodeNormalization.Normalize("ｅ\u0301", compose: true, compatible: true));
    }

    [Fact]
    public void Random_texts_hold_the_laws_of_normal_forms()
    {
        var random = new Random(5);
        string[] parts =
        [
            "a", "e", "é", "\u0301", "\u0323", "\u0315", "\u1EC7", "\u1100", "\u1161", "\u11A8", "\uAC00",
            "字", "\u0958", "\u093C", "\U0001D15E", "\U0001F600", "\u3099", "か", "\u0344", "\u05D0", "\u05BC", " ",
        ];
        for (var round = 0; round < 5000; round++)
        {
            var text = string.Concat(random.GetItems(parts, random.Next(10)));
            var other = string.Concat(random.GetItems(parts, random.Next(10)));

            Assert.Equal(Nfc(text), Nfc(Nfc(text)));
            Assert.Equal(Nfd(text), Nfd(Nfc(text)));
            Assert.Equal(Nfc(text), Nfc(Nfd(text)));
            Assert.Equal(Nfc(text + other), Nfc(Nfc(text) + other));
            Assert.Equal(Nfc(text + other), Nfc(text + Nfd(other)));
        }
    }

    [Fact]
    public void Every_character_holds_the_laws_of_normal_forms()
    {
        for (var code = 0; code <= 0x10FFFF; code++)
        {
            if (Rune.IsValid(code))
            {
                var text = char.ConvertFromUtf32(code);
                // A comparison here, because a million assertions take seconds.
                if (Nfc(text) != Nfc(Nfd(text)) || Nfd(text) != Nfd(Nfc(text)))
                {
                    Assert.Fail($"U+{code:X4}");
                }
            }
        }
    }

    [Fact]
    public void A_long_run_of_marks_is_sorted_keeping_the_order_within_a_class()
    {
        const int count = 50_000;
        var marks = string.Concat(Enumerable.Range(0, count).Select(i => i % 2 == 0 ? "\u0301" : "\u0323"));

        var expected = "\u1E05" + new string('\u0323', count / 2 - 1) + new string('\u0301', count / 2);
        Assert.Equal(expected, Nfc("b" + marks));
    }

    [Theory]
    [InlineData("""{"type":"NFC"}""", "e\u0301", "é")]
    [InlineData("""{"type":"NFKD"}""", "ﬁé", "fie\u0301")]
    [InlineData("""{"type":"Lowercase"}""", "ÀİΣ", "ài\u0307σ")]
    [InlineData("""{"type":"Strip","strip_left":true,"strip_right":false}""", " \u3000a ", "a ")]
    [InlineData("""{"type":"Strip"}""", " a ", "a")]
    [InlineData("""{"type":"StripAccents"}""", "e\u0301\U0001D165x", "ex")]
    [InlineData("""{"type":"Prepend","prepend":"▁"}""", "a", "▁a")]
    [InlineData("""{"type":"Prepend","prepend":"▁"}""", "", "")]
    [InlineData("""{"type":"Replace","pattern":{"String":"ab"},"content":"c"}""", "aabb", "acb")]
    [InlineData("""{"type":"Replace","pattern":{"Regex":" {2,}"},"content":"▁"}""", "a   b c", "a▁b c")]
    [InlineData("""{"type":"Replace","pattern":{"Regex":"x*"},"content":"-"}""", "axb", "-a-b-")]
    [InlineData("""{"type":"ByteLevel"}""", "a é", "aĠÃ©")]
    [InlineData("""{"type":"Sequence","normalizers":[{"type":"Lowercase"},{"type":"Strip"}]}""", " B", "b")]
    [InlineData("""{"type":"Sequence","normalizers":[]}""", "B", "B")]
    public void Normalizers_do_what_their_type_says(string normalizer, string text, string expected) =>
        Assert.Equal(expected, Apply(normalizer, text));

    [Fact]
    public void Texts_between_added_tokens_are_normalised_each_on_its_own()
    {
        var json = TinyTokenizer.Json();
        json["normalizer"] = JsonNode.Parse("""{"type":"NFC"}""");
        var tokenizer = TinyTokenizer.Load(json);

        Assert.Equal("e<|end|>\u0301é", tokenizer.Decode(tokenizer.Encode("e<|end|>\u0301e\u0301", false), false));
    }
}
