using System.Globalization;
using System.Numerics;
using System.Text;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>Reads a Python literal, which models write where JSON was meant, and gives it as JSON.</summary>
internal sealed class PythonLiteral
{
    private readonly string _text;
    private readonly bool _isStrict;
    private int _position;
    private int _depth;

    private PythonLiteral(string text, int position, bool isStrict)
    {
        _text = text;
        _position = position;
        _isStrict = isStrict;
    }

    /// <summary>The whole text as one literal in JSON, or null where it is none that JSON can hold.</summary>
    public static string? TryConvert(string text)
    {
        text = text.Trim();
        var end = 0;
        return TryRead(text, ref end) is { } json && end == text.Length ? json : null;
    }

    /// <summary>The literal that starts at a position, which moves to its end and the white space after it.</summary>
    /// <param name="isStrict">Takes no negative numbers and no tuples, which Python parses as expressions.</param>
    public static string? TryRead(string text, ref int position, bool isStrict = false)
    {
        var reader = new PythonLiteral(text, position, isStrict);
        reader.SkipSpace();
        var json = reader.Value();
        reader.SkipSpace();
        position = reader._position;
        return json;
    }

    private char Current => _position < _text.Length ? _text[_position] : '\0';

    private void SkipSpace()
    {
        while (Current is ' ' or '\t' or '\n' or '\r' or '\f')
        {
            _position++;
        }
    }

    private string? Value()
    {
        if (_depth > JsonText.DepthMax)
        {
            return null;
        }

        _depth++;
        var json = Current switch
        {
            '{' => Dict(),
            '[' => Items(']'),
            '(' when !_isStrict => Tuple(),
            '-' when !_isStrict => Negative(),
            '"' or '\'' => Strings(),
            >= '0' and <= '9' or '.' => Number(),
            _ => Word(),
        };
        _depth--;
        return json;
    }

    private string? Word()
    {
        var start = _position;
        while (char.IsAsciiLetter(Current))
        {
            _position++;
        }

        var word = _text[start.._position];
        if (Current is '"' or '\'' && word.ToLowerInvariant() is "r" or "u")
        {
            _position = start;
            return Strings();
        }

        return word switch
        {
            "True" => "true",
            "False" => "false",
            "None" => "null",
            _ => null,
        };
    }

    private string? Negative()
    {
        _position++;
        SkipSpace();
        var number = Current is (>= '0' and <= '9') or '.' ? Number() : null;
        return number is null or "0" ? number : "-" + number;
    }

    private string? Number()
    {
        var start = _position;
        while (char.IsAsciiLetterOrDigit(Current) || Current is '.' or '_'
            || (Current is '+' or '-' && _text[_position - 1] is 'e' or 'E'
                && !_text.AsSpan(start, _position - start).StartsWith("0x", StringComparison.OrdinalIgnoreCase)))
        {
            _position++;
        }

        return NumberToJson(_text[start.._position]);
    }

    private static string? NumberToJson(string raw)
    {
        if (raw.StartsWith('_') || raw.EndsWith('_') || raw.Contains("__", StringComparison.Ordinal))
        {
            return null;
        }

        raw = raw.Replace("_", "", StringComparison.Ordinal);
        if (raw.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
        {
            return BigInteger.TryParse("0" + raw[2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture,
                out var hex) && raw.Length > 2 ? hex.ToString(CultureInfo.InvariantCulture) : null;
        }

        if (raw.All(char.IsAsciiDigit))
        {
            var isZero = raw.All(c => c == '0');
            return isZero ? "0" : raw[0] == '0' ? null : raw;
        }

        return double.TryParse(raw, NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent,
            CultureInfo.InvariantCulture, out var value) && double.IsFinite(value)
            ? Text.Templates.PythonText.Float(value) : null;
    }

    private string? Dict()
    {
        _position++;
        var members = new OrderedDictionary<string, string>();
        for (SkipSpace(); Current != '}'; SkipSpace())
        {
            if (members.Count > 0 && !Skip(','))
            {
                return null;
            }

            SkipSpace();
            if (Current == '}')
            {
                break;
            }

            var key = Value();
            SkipSpace();
            if (key is null || key[0] is '{' or '[' || !Skip(':'))
            {
                return null;
            }

            SkipSpace();
            if (Value() is not { } value)
            {
                return null;
            }

            // Python writes a key that is not text as text.
            members[key[0] == '"' ? key : $"\"{key}\""] = value;
        }

        _position++;
        return $"{{{string.Join(", ", members.Select(member => $"{member.Key}: {member.Value}"))}}}";
    }

    private bool Skip(char c)
    {
        if (Current != c)
        {
            return false;
        }

        _position++;
        return true;
    }

    private string? Items(char close) =>
        ReadItems(close, out _) is { } items ? $"[{string.Join(", ", items)}]" : null;

    private string? Tuple()
    {
        if (ReadItems(')', out var hasComma) is not { } items)
        {
            return null;
        }

        return items.Count == 1 && !hasComma ? items[0] : $"[{string.Join(", ", items)}]";
    }

    private List<string>? ReadItems(char close, out bool hasComma)
    {
        hasComma = false;
        _position++;
        var items = new List<string>();
        for (SkipSpace(); Current != close; SkipSpace())
        {
            if (items.Count > 0 && !Skip(','))
            {
                return null;
            }

            hasComma |= items.Count > 0;
            SkipSpace();
            if (Current == close && items.Count > 0)
            {
                break;
            }

            if (Value() is not { } item)
            {
                return null;
            }

            items.Add(item);
        }

        _position++;
        return items;
    }

    /// <summary>One string, or several in a row, which Python joins.</summary>
    private string? Strings()
    {
        var value = new StringBuilder();
        do
        {
            var isRaw = Current is 'r' or 'R';
            _position += Current is '"' or '\'' ? 0 : 1;
            if (!ReadString(value, isRaw))
            {
                return null;
            }

            SkipSpace();
        }
        while (Current is '"' or '\'');

        var json = new StringBuilder();
        JsonText.AppendString(json, value.ToString());
        return json.ToString();
    }

    private bool ReadString(StringBuilder value, bool isRaw)
    {
        var quote = Current;
        var isTriple = string.CompareOrdinal(_text, _position, new string(quote, 3), 0, 3) == 0;
        var close = new string(quote, isTriple ? 3 : 1);
        _position += close.Length;
        while (_position < _text.Length)
        {
            if (string.CompareOrdinal(_text, _position, close, 0, close.Length) == 0)
            {
                _position += close.Length;
                return true;
            }

            var c = _text[_position++];
            if (c == '\n' && !isTriple)
            {
                return false;
            }

            if (c != '\\')
            {
                value.Append(c);
            }
            else if (isRaw)
            {
                value.Append(c).Append(Current);
                _position++;
            }
            else if (!ReadEscape(value))
            {
                return false;
            }
        }

        return false;
    }

    private bool ReadEscape(StringBuilder value)
    {
        var c = Current;
        _position++;
        var simple = "\\'\"abfnrtv".IndexOf(c);
        if (simple >= 0)
        {
            value.Append("\\'\"\a\b\f\n\r\t\v"[simple]);
        }
        else if (c is 'x' or 'u' or 'U')
        {
            var length = c == 'x' ? 2 : c == 'u' ? 4 : 8;
            if (_position + length > _text.Length || !uint.TryParse(_text.AsSpan(_position, length),
                NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var code) || code > 0x10ffff)
            {
                return false;
            }

            value.Append(code < 0x10000 ? ((char)code).ToString() : char.ConvertFromUtf32((int)code));
            _position += length;
        }
        else if (c is >= '0' and <= '7')
        {
            var code = c - '0';
            for (var i = 0; i < 2 && Current is >= '0' and <= '7'; i++)
            {
                code = code * 8 + Current - '0';
                _position++;
            }

            value.Append((char)code);
        }
        else if (c != '\n')
        {
            // An escape that does not exist stays as it is written.
            value.Append('\\').Append(c);
        }

        return true;
    }
}
