using System.Runtime.CompilerServices;
using System.Text;
using LsglangSharp.Runtime.Text.Bpe;

namespace LsglangSharp.Runtime.Text.Decoding;

/// <summary>How tokens become text again, as the decoder section of a tokenizer file says.</summary>
internal sealed record DecoderOptions
{
    /// <summary>Tokens spell bytes in GPT-2's alphabet.</summary>
    public bool IsByteLevel { get; init; }

    /// <summary>Tokens &lt;0xNN&gt; are bytes; a run of them is text if it is UTF-8 as a whole.</summary>
    public bool ByteFallback { get; init; }

    /// <summary>Changes to the text of each token; the flag says whether it is the first of the output.</summary>
    public IReadOnlyList<Func<string, bool, string>> Changes { get; init; } = [];

    /// <summary>Stands between tokens.</summary>
    public string Separator { get; init; } = "";

    /// <summary>Taken off the start of the whole output, at most StripCount times.</summary>
    public char Stripped { get; init; }

    public int StripCount { get; init; }

    /// <summary>The first token differs from later ones.</summary>
    public bool HasFirstForm { get; init; }
}

/// <summary>The bytes that every token contributes to decoded text, in one block.</summary>
internal sealed class TokenBytes
{
    private readonly int[] _starts;
    private readonly bool[] _isByte;
    private byte[] _bytes;

    public TokenBytes(
        Vocabulary vocabulary, IReadOnlyDictionary<int, AddedToken> added, int idEnd, DecoderOptions options)
    {
        Options = options;
        _starts = new int[idEnd + 1];
        _isByte = new bool[idEnd];
        _bytes = new byte[8 * idEnd + 16];
        Fill(vocabulary, added, idEnd);
    }

    public DecoderOptions Options { get; }

    public ReadOnlySpan<byte> this[int id] => _bytes.AsSpan(_starts[id], _starts[id + 1] - _starts[id]);

    /// <summary>True for tokens that are one byte of a run of fallback bytes.</summary>
    public bool IsFallbackByte(int id) => _isByte[id];

    /// <summary>The bytes of a token as the first of the output.</summary>
    public byte[] First(ReadOnlySpan<byte> text) => Changed(text, isFirst: true);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Fill(Vocabulary vocabulary, IReadOnlyDictionary<int, AddedToken> added, int idEnd)
    {
        var end = 0;
        for (var id = 0; id < idEnd; id++)
        {
            _starts[id] = end;
            var text = added.TryGetValue(id, out var token)
                ? Encoding.UTF8.GetBytes(token.Content)
                : vocabulary.Text(id);
            if (end + text.Length > _bytes.Length)
            {
                Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, end + text.Length));
            }

            end += Write(text, id, end);
        }

        _starts[idEnd] = end;
    }

    private int Write(ReadOnlySpan<byte> text, int id, int end)
    {
        if (Options.ByteFallback && TryFallbackByte(text, out var value))
        {
            _isByte[id] = true;
            _bytes[end] = value;
            return 1;
        }

        if (Options.IsByteLevel && ByteAlphabet.TryDecode(text, _bytes.AsSpan(end), out var written))
        {
            return written;
        }

        if (Options.Changes.Count == 0)
        {
            text.CopyTo(_bytes.AsSpan(end));
            return text.Length;
        }

        var changed = Changed(text, isFirst: false);
        if (end + changed.Length > _bytes.Length)
        {
            Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, end + changed.Length));
        }

        changed.CopyTo(_bytes, end);
        return changed.Length;
    }

    private byte[] Changed(ReadOnlySpan<byte> text, bool isFirst)
    {
        var changed = Encoding.UTF8.GetString(text);
        foreach (var change in Options.Changes)
        {
            changed = change(changed, isFirst);
        }

        return Encoding.UTF8.GetBytes(changed);
    }

    private static bool TryFallbackByte(ReadOnlySpan<byte> text, out byte value)
    {
        value = 0;
        return text.Length == 6 && text.StartsWith("<0x"u8) && text[5] == '>'
            && byte.TryParse(text.Slice(3, 2), System.Globalization.NumberStyles.AllowHexSpecifier,
                System.Globalization.CultureInfo.InvariantCulture, out value);
    }
}
