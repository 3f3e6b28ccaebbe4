using System.Text;

namespace LsglangSharp.Runtime.Text.Bpe;

/// <summary>
/// GPT-2's alphabet: each byte is written as one printable character, its own where Latin-1 has a printable one, else
/// one of U+0100 to U+0143 in order.
/// </summary>
internal static class ByteAlphabet
{
    private const int CharacterCount = 0x144;
    private static readonly char[] _characters = new char[256];
    private static readonly short[] _bytes = new short[CharacterCount];

    static ByteAlphabet()
    {
        Array.Fill(_bytes, (short)-1);
        var next = 0x100;
        for (var value = 0; value < 256; value++)
        {
            var isPrintable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            _characters[value] = (char)(isPrintable ? value : next++);
            _bytes[_characters[value]] = (short)value;
        }
    }

    public static char Character(byte value) => _characters[value];

    /// <summary>Writes the bytes that a token spells; false where it has characters outside the alphabet.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> token, Span<byte> target, out int written)
    {
        written = 0;
        for (var i = 0; i < token.Length; i++)
        {
            int code = token[i];
            if (code >= 0x80)
            {
                if (code is < 0xC2 or > 0xC5 || i + 1 >= token.Length)
                {
                    return false;
                }

                code = (code & 0x1F) << 6 | token[++i] & 0x3F;
            }

            if (code >= CharacterCount || _bytes[code] < 0)
            {
                return false;
            }

            target[written++] = (byte)_bytes[code];
        }

        return true;
    }

    /// <summary>The UTF-8 of the characters that spell these bytes.</summary>
    public static int Encode(ReadOnlySpan<byte> bytes, Span<byte> target)
    {
        var written = 0;
        foreach (var value in bytes)
        {
            var character = _characters[value];
            if (character < 0x80)
            {
                target[written++] = (byte)character;
            }
            else
            {
                target[written++] = (byte)(0xC0 | character >> 6);
                target[written++] = (byte)(0x80 | character & 0x3F);
            }
        }

        return written;
    }

    /// <summary>The text whose characters spell the UTF-8 bytes of this text.</summary>
    public static string Spell(ReadOnlySpan<char> text)
    {
        var bytes = new byte[Encoding.UTF8.GetByteCount(text)];
        Encoding.UTF8.GetBytes(text, bytes);
        return string.Create(bytes.Length, bytes, static (target, source) =>
        {
            for (var i = 0; i < source.Length; i++)
            {
                target[i] = _characters[source[i]];
            }
        });
    }
}
