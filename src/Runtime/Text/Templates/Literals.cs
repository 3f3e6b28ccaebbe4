using System.Globalization;
using System.Numerics;
using System.Text;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>Reads the numbers and strings of expressions in Python's spelling.</summary>
internal static class Literals
{
    /// <summary>A number at a position, which moves behind it: a long, a BigInteger or a double.</summary>
    public static object ReadNumber(string source, ref int position, int line)
    {
        var start = position;
        var isAfterDot = start > 0 && source[start - 1] == '.';
        if (!isAfterDot && TryReadFloat(source, start, out var end))
        {
            position = end;
            return double.Parse(
                source[start..end].Replace("_", "", StringComparison.Ordinal), CultureInfo.InvariantCulture);
        }

        return Box.Of(ReadInteger(source, ref position, line));
    }

    /// <summary>A string at a position, which moves behind its closing quote; escapes are resolved.</summary>
    public static string ReadString(string source, ref int position, int line)
    {
        var quote = source[position];
        var start = position + 1;
        var end = start;
        while (end < source.Length && source[end] != quote)
        {
            end += source[end] == '\\' ? 2 : 1;
        }

        if (end >= source.Length)
        {
            throw Error($"unexpected char {PythonText.Quote(quote.ToString())} at {position}", line);
        }

        position = end + 1;
        var text = source[start..end];
        return text.Contains('\\') ? Unescape(text, line) : text;
    }

    private static bool TryReadFloat(string source, int start, out int end)
    {
        end = ScanDigits(source, start, 10);
        var hasFraction = end + 1 < source.Length && source[end] == '.' && char.IsAsciiDigit(source[end + 1]);
        if (hasFraction)
        {
            end = ScanDigits(source, end + 1, 10);
        }

        if (end < source.Length && source[end] is 'e' or 'E')
        {
            var digits = end + 1 < source.Length && source[end + 1] is '+' or '-' ? end + 2 : end + 1;
            if (digits < source.Length && char.IsAsciiDigit(source[digits]))
            {
                end = ScanDigits(source, digits, 10);
                return true;
            }
        }

        return hasFraction;
    }

    private static BigInteger ReadInteger(string source, ref int position, int line)
    {
        var radix = source[position] != '0' || position + 1 >= source.Length ? 10
            : char.ToLowerInvariant(source[position + 1]) switch { 'b' => 2, 'o' => 8, 'x' => 16, _ => 0 };
        if (radix is 2 or 8 or 16)
        {
            var start = position + 2 < source.Length && source[position + 2] == '_' ? position + 3 : position + 2;
            var end = ScanDigits(source, start, radix);
            if (end > start)
            {
                position = end;
                return Digits(source.AsSpan(start, end - start), radix, line);
            }
        }

        // A zero may be followed by further zeros only: the rest is another number.
        var first = position;
        position = ScanDigits(source, first, radix == 10 ? 10 : 1);
        return Digits(source.AsSpan(first, position - first), 10, line);
    }

    private static BigInteger Digits(ReadOnlySpan<char> digits, int radix, int line)
    {
        const int DigitCountMax = 4300;
        if (digits.Length > DigitCountMax)
        {
            throw Error($"Exceeds the limit ({DigitCountMax} digits) for integer string conversion", line);
        }

        var value = BigInteger.Zero;
        foreach (var digit in digits)
        {
            value = digit == '_' ? value : value * radix + Convert.ToInt32(digit.ToString(), 16);
        }

        return value;
    }

    /// <summary>The end of a run of digits, single underscores between them included.</summary>
    private static int ScanDigits(string source, int start, int radix)
    {
        var end = start;
        while (end < source.Length
            && (IsDigit(source[end], radix)
                || (source[end] == '_' && end > start && end + 1 < source.Length
                    && IsDigit(source[end + 1], radix))))
        {
            end++;
        }

        return end;
    }

    private static bool IsDigit(char c, int radix) =>
        radix == 16 ? char.IsAsciiHexDigit(c) : c >= '0' && c < '0' + radix;

    private static string Unescape(string text, int line)
    {
        var builder = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\')
            {
                builder.Append(text[i]);
                continue;
            }

            var c = text[++i];
            var simple = "\\'\"abfnrtv".IndexOf(c);
            if (simple >= 0)
            {
                builder.Append("\\'\"\a\b\f\n\r\t\v"[simple]);
            }
            else if (c is 'x' or 'u' or 'U')
            {
                i += AppendCode(builder, text, i + 1, c == 'x' ? 2 : c == 'u' ? 4 : 8, line);
            }
            else if (c is >= '0' and <= '7')
            {
                var digits = text.AsSpan(i, Math.Min(3, text.Length - i));
                var count = digits.IndexOfAnyExceptInRange('0', '7') is var stop && stop < 0 ? digits.Length : stop;
                builder.Append((char)Convert.ToInt32(digits[..count].ToString(), 8));
                i += count - 1;
            }
            else if (c != '\n')
            {
                builder.Append('\\').Append(c);
            }
        }

        return builder.ToString();
    }

    private static int AppendCode(StringBuilder builder, string text, int start, int length, int line)
    {
        if (start + length > text.Length
            || !uint.TryParse(text.AsSpan(start, length), NumberStyles.AllowHexSpecifier,
                CultureInfo.InvariantCulture, out var code)
            || code > 0x10ffff)
        {
            throw Error($"truncated \\{(length == 2 ? "xXX" : length == 4 ? "uXXXX" : "UXXXXXXXX")} escape", line);
        }

        builder.Append(code < 0x10000 ? ((char)code).ToString() : char.ConvertFromUtf32((int)code));
        return length;
    }

    private static ChatTemplateException Error(string message, int line) => new(TemplateFault.Syntax, message, line);
}
