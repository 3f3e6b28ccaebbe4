using System.Globalization;
using System.Text;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>Splits a template into tokens with <c>trim_blocks</c> and <c>lstrip_blocks</c> on.</summary>
internal sealed class Lexer
{
    private static readonly string[] Operators =
    [
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
        ">", "<", "=", ".", ":", "|", ",", ";",
    ];

    private readonly string _source;
    private readonly List<Token> _tokens = [];
    private readonly Stack<char> _brackets = [];
    private int _position;
    private int _line = 1;

    // True where the last tag ended with a line's end, so that white space after it starts a line.
    private bool _isLineStart = true;

    private Lexer(string source)
    {
        source = NormalizeNewlines(source);
        _source = source.EndsWith('\n') ? source[..^1] : source;
    }

    public static List<Token> Tokenize(string source)
    {
        var lexer = new Lexer(source);
        lexer.ReadTemplate();
        return lexer._tokens;
    }

    private static string NormalizeNewlines(string text) =>
        text.Contains('\r')
            ? text.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n') : text;

    private void ReadTemplate()
    {
        while (_position < _source.Length)
        {
            var tag = FindTag();
            if (tag < 0)
            {
                AddData(_source[_position..]);
                break;
            }

            var kind = _source[tag + 1];
            var sign = tag + 2 < _source.Length && _source[tag + 2] is '-' or '+' ? _source[tag + 2] : '\0';
            var data = _source[_position..tag];
            AddData(Strip(data, sign, kind == '{'), data);
            _position = tag + (sign == '\0' ? 2 : 3);
            switch (kind)
            {
                case '#':
                    SkipComment();
                    break;
                case '{':
                    ReadTag(TokenKind.VariableBegin, TokenKind.VariableEnd, '}');
                    break;
                default:
                    ReadBlock();
                    break;
            }

            _isLineStart = _position > 0 && _source[_position - 1] == '\n';
        }

        _tokens.Add(new Token(TokenKind.End, "", _line));
    }

    private int FindTag()
    {
        for (var i = _position; i + 1 < _source.Length; i++)
        {
            i = _source.IndexOf('{', i);
            if (i < 0 || i + 1 >= _source.Length)
            {
                return -1;
            }

            if (_source[i + 1] is '{' or '%' or '#')
            {
                return i;
            }
        }

        return -1;
    }

    private void AddData(string data, string? original = null)
    {
        if (data.Length > 0)
        {
            _tokens.Add(new Token(TokenKind.Data, data, _line));
        }

        CountLines(original ?? data);
    }

    private void CountLines(ReadOnlySpan<char> text) => _line += text.Count('\n');

    /// <summary>What is left of the text before a tag.</summary>
    private string Strip(string data, char sign, bool isVariable)
    {
        if (sign == '-')
        {
            var end = data.Length;
            while (end > 0 && PythonText.IsSpace(data[end - 1]))
            {
                end--;
            }

            return data[..end];
        }

        if (sign == '+' || isVariable)
        {
            return data;
        }

        var lineStart = data.LastIndexOf('\n') + 1;
        return (lineStart > 0 || _isLineStart) && IsBlank(data.AsSpan(lineStart)) ? data[..lineStart] : data;
    }

    private static bool IsBlank(ReadOnlySpan<char> text)
    {
        foreach (var c in text)
        {
            if (!PythonText.IsSpace(c))
            {
                return false;
            }
        }

        return true;
    }

    private void SkipComment()
    {
        var end = _source.IndexOf("#}", _position, StringComparison.Ordinal);
        if (end < 0)
        {
            throw Error("Missing end of comment tag");
        }

        var start = _position;
        var sign = end > _position ? _source[end - 1] : '\0';
        _position = end + 2;
        EndTag(sign, trimsNewline: true);
        CountLines(_source.AsSpan(start, _position - start));
    }

    /// <summary>Skips the white space that belongs to a tag's end.</summary>
    private void EndTag(char sign, bool trimsNewline)
    {
        if (sign == '-')
        {
            SkipSpace();
        }
        else if (sign != '+' && trimsNewline && _position < _source.Length && _source[_position] == '\n')
        {
            _position++;
        }
    }

    private void SkipSpace()
    {
        while (_position < _source.Length && PythonText.IsSpace(_source[_position]))
        {
            _position++;
        }
    }

    private void ReadBlock()
    {
        var start = _position;
        if (ReadWord("raw") && ReadRawEnd(allowsPlus: false, trimsNewline: false))
        {
            CountLines(_source.AsSpan(start, _position - start));
            ReadRaw();
            return;
        }

        _position = start;
        ReadTag(TokenKind.BlockBegin, TokenKind.BlockEnd, '%');
    }

    private bool ReadWord(string word)
    {
        SkipSpace();
        if (string.CompareOrdinal(_source, _position, word, 0, word.Length) != 0)
        {
            return false;
        }

        _position += word.Length;
        SkipSpace();
        return true;
    }

    private bool ReadRawEnd(bool allowsPlus, bool trimsNewline)
    {
        var sign = _position < _source.Length ? _source[_position] : '\0';
        sign = sign == '-' || (allowsPlus && sign == '+') ? sign : '\0';
        var close = _position + (sign == '\0' ? 0 : 1);
        if (string.CompareOrdinal(_source, close, "%}", 0, 2) != 0)
        {
            return false;
        }

        _position = close + 2;
        EndTag(sign, trimsNewline);
        return true;
    }

    private void ReadRaw()
    {
        var start = _position;
        for (var tag = start; (tag = _source.IndexOf("{%", tag, StringComparison.Ordinal)) >= 0; tag += 2)
        {
            var sign = tag + 2 < _source.Length && _source[tag + 2] is '-' or '+' ? _source[tag + 2] : '\0';
            _position = tag + (sign == '\0' ? 2 : 3);
            if (ReadWord("endraw") && ReadRawEnd(allowsPlus: true, trimsNewline: true))
            {
                var data = _source[start..tag];
                _isLineStart = start > 0 && _source[start - 1] == '\n';
                AddData(Strip(data, sign, isVariable: false), data);
                CountLines(_source.AsSpan(tag, _position - tag));
                return;
            }
        }

        throw Error("Missing end of raw directive");
    }

    private void ReadTag(TokenKind begin, TokenKind end, char close)
    {
        _tokens.Add(new Token(begin, "", _line));
        _brackets.Clear();
        while (true)
        {
            if (_brackets.Count == 0 && TryReadEnd(end, close))
            {
                return;
            }

            if (_position >= _source.Length)
            {
                return;
            }

            var start = _position;
            if (PythonText.IsSpace(_source[_position]))
            {
                SkipSpace();
                CountLines(_source.AsSpan(start, _position - start));
            }
            else
            {
                ReadToken();
            }
        }
    }

    private bool TryReadEnd(TokenKind kind, char close)
    {
        var sign = _position < _source.Length ? _source[_position] : '\0';
        sign = sign == '-' || (sign == '+' && kind == TokenKind.BlockEnd) ? sign : '\0';
        var at = _position + (sign == '\0' ? 0 : 1);
        if (at + 1 >= _source.Length || _source[at] != close || _source[at + 1] != '}')
        {
            return false;
        }

        _tokens.Add(new Token(kind, "", _line));
        var start = _position;
        _position = at + 2;
        EndTag(sign, trimsNewline: kind == TokenKind.BlockEnd);
        CountLines(_source.AsSpan(start, _position - start));
        return true;
    }

    private void ReadToken()
    {
        var c = _source[_position];
        if (char.IsAsciiDigit(c))
        {
            ReadNumber();
        }
        else if (c == '_' || char.IsLetterOrDigit(c) || char.IsSurrogate(c))
        {
            ReadName();
        }
        else if (c is '"' or '\'')
        {
            ReadString();
        }
        else
        {
            ReadOperator(c);
        }
    }

    private void ReadName()
    {
        var start = _position;
        while (_position < _source.Length && Rune.TryGetRuneAt(_source, _position, out var rune)
            && (rune.Value == '_' || IsNamePart(rune)))
        {
            _position += rune.Utf16SequenceLength;
        }

        if (_position == start)
        {
            throw Error($"unexpected char {PythonText.Quote(_source.Substring(start, 1))} at {start}");
        }

        var name = _source[start.._position];
        if (Rune.TryGetRuneAt(name, 0, out var first) && first.Value != '_' && !Rune.IsLetter(first))
        {
            throw Error("Invalid character in identifier");
        }

        _tokens.Add(new Token(TokenKind.Name, name, _line));
    }

    private static bool IsNamePart(Rune rune) => Rune.IsLetterOrDigit(rune) || Rune.GetUnicodeCategory(rune) is
        UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber;

    private void ReadOperator(char c)
    {
        var symbol = Array.Find(
            Operators, candidate => string.CompareOrdinal(_source, _position, candidate, 0, candidate.Length) == 0)
            ?? throw Error($"unexpected char {PythonText.Quote(c.ToString())} at {_position}");
        if (c is '(' or '[' or '{')
        {
            _brackets.Push(c == '(' ? ')' : c == '[' ? ']' : '}');
        }
        else if (c is ')' or ']' or '}')
        {
            if (!_brackets.TryPop(out var expected))
            {
                throw Error($"unexpected '{c}'");
            }

            if (expected != c)
            {
                throw Error($"unexpected '{c}', expected '{expected}'");
            }
        }

        _position += symbol.Length;
        _tokens.Add(new Token(TokenKind.Operator, symbol, _line));
    }

    private void ReadNumber()
    {
        var start = _position;
        var value = Literals.ReadNumber(_source, ref _position, _line);
        _tokens.Add(new Token(TokenKind.Number, _source[start.._position], _line, value));
    }

    private void ReadString()
    {
        var start = _position;
        var value = Literals.ReadString(_source, ref _position, _line);
        _tokens.Add(new Token(TokenKind.String, value, _line, value));
        CountLines(_source.AsSpan(start, _position - start));
    }

    private ChatTemplateException Error(string message) => new(TemplateFault.Syntax, message, _line);
}
