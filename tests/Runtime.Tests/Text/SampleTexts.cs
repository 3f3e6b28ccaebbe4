using System.Text;

namespace LsglangSharp.Runtime.Tests.Text;

/// <summary>Random texts that meet the corners of split patterns.</summary>
internal static class SampleTexts
{
    private static readonly string[] _parts =
    [
        "a", "b", "Z", "Q", "word", "CamelCase", "\u01C5", "\u02B0", "字", "漢字", "か", "カー", "々", "〇", "⺀", "한",
        "й", "\u0301", "\u0903", "\u20DD", "\U00010400", "\U00010428", "\U0001D400", "\U00020000",
        "\U0001F600", "\U000E0100", "\U0001D7CE", "0", "7", "42", "12345", "٣", "Ⅳ", "²", " ", " ", "  ",
        "   ", "\t", "\n", "\r\n", "\r", "\u00A0", "\u3000", "\u2028", "\u0085", "\u200B", "'", "'s", "'S",
        "'ll", "'LL", "'re", "'ſ", "’s", "'", "'d", "'v", ".", ",", "!", "!!", "/", "//", "/\n", "-", "_",
        "(", "#", "<|", "$", "€", "+", "\0", "\u00AD", "\uFEFF", "\uE000", "\uFFFD", "\uFFFF", "\U0010FFFF",
        "ß", "İ", "ﬀ",
    ];

    public static IEnumerable<string> Random(int seed, int count)
    {
        var random = new Random(seed);
        for (var i = 0; i < count; i++)
        {
            yield return Random(random, random.Next(12));
        }
    }

    public static string Random(Random random, int parts)
    {
        var text = new StringBuilder();
        for (var i = 0; i < parts; i++)
        {
            text.Append(random.Next(20) == 0 ? AnyCharacter(random) : _parts[random.Next(_parts.Length)]);
        }

        return text.ToString();
    }

    private static string AnyCharacter(Random random)
    {
        int code;
        do
        {
            code = random.Next(random.Next(2) == 0 ? 0x3000 : 0x110000);
        }
        while (!Rune.IsValid(code));

        return char.ConvertFromUtf32(code);
    }
}
