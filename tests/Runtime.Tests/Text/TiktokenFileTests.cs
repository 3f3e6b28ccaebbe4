using System.Text;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Text;

namespace LsglangSharp.Runtime.Tests.Text;

public class TiktokenFileTests
{
    private static readonly string _bytes =
        string.Concat(Enumerable.Range(0, 256).Select(value => Line([(byte)value], value)));

    private static string Line(byte[] token, int rank) => $"{Convert.ToBase64String(token)} {rank}\n";

    private static Tokenizer Load(string ranks, string? config = null)
    {
        using var files = TinyTokenizer.Write("{}", config);
        File.Delete(files.File);
        File.WriteAllText(Path.Combine(files.Folder, "tiktoken.model"), ranks);
        return Tokenizer.Load(files.Folder);
    }

    [Fact]
    public void Neighbours_merge_in_the_order_of_what_they_merge_to()
    {
        var tokenizer = Load(_bytes + Line("bc"u8.ToArray(), 256) + Line("ab"u8.ToArray(), 257)
            + Line("é"u8.ToArray(), 258));

        Assert.Equal([97, 256], tokenizer.Encode("abc", false));
        Assert.Equal([257, 258], tokenizer.Encode("abé", false));
        Assert.Equal("é"u8.ToArray(), tokenizer.TokenBytes(258).ToArray());
    }

    [Fact]
    public void The_256_ids_after_the_ranks_are_special_tokens_named_by_the_configuration_or_their_id()
    {
        var tokenizer = Load(_bytes, """
            {"added_tokens_decoder":{"257":{"content":"[EOS]","special":true}},"eos_token":"[EOS]"}
            """);

        Assert.Equal(512, tokenizer.VocabularySize);
        Assert.Equal(257, tokenizer.EosTokenId);
        Assert.Equal([256, 257, 97], tokenizer.Encode("<|reserved_token_256|>[EOS]a", false));
        Assert.Equal("a", tokenizer.Decode([257, 97], skipSpecialTokens: true));
    }

    [Theory]
    [InlineData("nonsense\n", "line 257")]
    [InlineData("YQ== 256\n", "line 257")]
    [InlineData("YWI= 300\n", "line 257")]
    [InlineData("YWI= x\n", "line 257")]
    [InlineData("*** 256\n", "line 257")]
    public void A_broken_line_is_named(string line, string expected) => Assert.Contains(
        expected, Assert.Throws<ConfigurationException>(() => Load(_bytes + line)).Message, StringComparison.Ordinal);

    [Fact]
    public void Every_byte_needs_a_token()
    {
        var allButLast = _bytes[.._bytes.LastIndexOf("/w==", StringComparison.Ordinal)];

        var error = Assert.Throws<ConfigurationException>(() => Load(allButLast));

        Assert.Contains("byte 255", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Very_long_tokens_are_refused() => Assert.Throws<ConfigurationException>(() =>
        Load(_bytes + Line(Encoding.UTF8.GetBytes(new string('a', 5000)), 256)));
}
