using System.Text;
using LsglangSharp.Api.Http;

namespace LsglangSharp.Api.Tests.Serving;

/// <summary>A tokenizer in which every byte is a token, so that tests can write tokens and text side by side.</summary>
internal sealed class ByteText : IModelText
{
    /// <summary>The one special token, beyond the bytes.</summary>
    public const int Eos = 256;

    public const int Vocabulary = 257;

    public int[] Encode(
        string text,
        bool addSpecialTokens) => [.. Encoding.UTF8.GetBytes(text).Select(value => (int)value)];

    public string Decode(ReadOnlySpan<int> tokens, bool skipSpecialTokens)
    {
        var bytes = new List<byte>();
        foreach (var token in tokens)
        {
            bytes.AddRange(token == Eos ? skipSpecialTokens ? [] : "<eos>"u8 : [(byte)token]);
        }

        return Encoding.UTF8.GetString([.. bytes]);
    }

    public byte[] BytesOf(int token) => token == Eos ? [.. "<eos>"u8] : [(byte)token];
}
