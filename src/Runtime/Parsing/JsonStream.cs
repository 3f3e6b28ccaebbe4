using System.Globalization;
using System.Text;

namespace LsglangSharp.Runtime.Parsing;

internal enum JsonProgress
{
    Open,
    Done,
    Broken,
}

/// <summary>
/// Reads one JSON value character by character and writes it again in Python's spelling, never more than what
/// later characters cannot change: a key only with its value, a number or literal only when it has ended.
/// </summary>
internal sealed class JsonStream
{
    private enum Expect
    {
        Value,
        FirstItem,
        FirstKey,
        Key,
        Colon,
        CommaOrEnd,
        InString,
        InEscape,
        InScalar,
        Nothing,
    }

    private readonly Stack<char> _containers = [];
    private readonly StringBuilder _output = new();
    private readonly StringBuilder _scalar = new();
    private readonly StringBuilder _escape = new();

    // What is written before the next value: separators, its key, and the outermost bracket.
    private string _pending = "";
    private StringBuilder? _key;
    private char _highSurrogate;
    private Expect _expect = Expect.Value;
    private bool _isString;

    /// <summary>True once the value cannot be empty, zero, false or null any more.</summary>
    public bool HasContent { get; private set; }

    /// <summary>Takes what was written since the last call.</summary>
    public string Take()
    {
        var text = _output.ToString();
        _output.Clear();
        return text;
    }

    /// <summary>
    /// Reads a character. A number or literal ends with the character after it, which is not consumed:
    /// <paramref name="isConsumed"/> is then false and the character belongs to whoever reads on.
    /// </summary>
    public JsonProgress Push(char c, out bool isConsumed)
    {
        isConsumed = true;
        if (_expect == Expect.InScalar && !IsScalarPart(c))
        {
            if (!EndScalar())
            {
                return JsonProgress.Broken;
            }

            if (_containers.Count == 0)
            {
                isConsumed = false;
                return JsonProgress.Done;
            }
        }

        return Step(c) ? _expect == Expect.Nothing ? JsonProgress.Done : JsonProgress.Open : JsonProgress.Broken;
    }

    private static bool IsScalarPart(char c) => char.IsAsciiLetterOrDigit(c) || c is '+' or '-' or '.';

    private bool Step(char c)
    {
        switch (_expect)
        {
            case Expect.InString:
                return StepString(c);
            case Expect.InEscape:
                return StepEscape(c);
            case Expect.InScalar:
                _scalar.Append(c);
                return true;
        }

        if (c is ' ' or '\n' or '\r' or '\t')
        {
            return true;
        }

        switch (_expect)
        {
            case Expect.FirstItem when c == ']':
            case Expect.FirstKey when c == '}':
                return EndContainer(c);
            case Expect.Value or Expect.FirstItem:
                return StartValue(c);
            case Expect.FirstKey or Expect.Key when c == '"':
                _key = new StringBuilder("\"");
                _expect = Expect.InString;
                return true;
            case Expect.Colon when c == ':':
                _expect = Expect.Value;
                return true;
            case Expect.CommaOrEnd when c == ',':
                _pending = ", ";
                _expect = _containers.Peek() == '{' ? Expect.Key : Expect.Value;
                return true;
            case Expect.CommaOrEnd:
                return EndContainer(c);
            default:
                return false;
        }
    }

    private bool StartValue(char c)
    {
        switch (c)
        {
            case '{' or '[':
                return StartContainer(c);
            case '"':
                _isString = true;
                _expect = Expect.InString;
                _pending += "\"";
                if (_containers.Count > 0)
                {
                    FlushPending();
                }

                return true;
            default:
                _scalar.Clear().Append(c);
                _expect = Expect.InScalar;
                return IsScalarPart(c);
        }
    }

    private bool StartContainer(char c)
    {
        // The outermost bracket waits for content: an empty value may give way to another one.
        _pending += c;
        if (_containers.Count > 0)
        {
            FlushPending();
        }

        _containers.Push(c);
        _expect = c == '{' ? Expect.FirstKey : Expect.FirstItem;
        return _containers.Count <= JsonText.DepthMax;
    }

    private bool EndContainer(char c)
    {
        if (c is not (']' or '}') || _containers.Peek() != (c == '}' ? '{' : '['))
        {
            return false;
        }

        _containers.Pop();
        _output.Append(_pending).Append(c);
        _pending = "";
        EndValue();
        return true;
    }

    private void EndValue() => _expect = _containers.Count == 0 ? Expect.Nothing : Expect.CommaOrEnd;

    private void FlushPending()
    {
        _output.Append(_pending);
        _pending = "";
        HasContent = true;
    }

    private bool StepString(char c)
    {
        if (c == '\\')
        {
            _escape.Clear();
            _expect = Expect.InEscape;
            return true;
        }

        if (c < ' ')
        {
            return false;
        }

        if (c != '"')
        {
            Add(c);
            return true;
        }

        EndSurrogate();
        if (_key is not null)
        {
            _pending += _key.Append("\": ");
            _key = null;
            _expect = Expect.Colon;
            return true;
        }

        _output.Append(_pending).Append('"');
        _pending = "";
        _isString = false;
        EndValue();
        return true;
    }

    private bool StepEscape(char c)
    {
        _escape.Append(c);
        if (_escape[0] == 'u')
        {
            if (_escape.Length > 1 && !char.IsAsciiHexDigit(c))
            {
                return false;
            }

            if (_escape.Length == 5)
            {
                _expect = Expect.InString;
                var code = _escape.ToString(1, 4);
                Add((char)int.Parse(code, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture));
            }

            return true;
        }

        var value = JsonText.SimpleEscape(c);
        _expect = Expect.InString;
        Add(value);
        return value != '\0';
    }

    /// <summary>Adds a character of a string; the first half of a pair waits for the second.</summary>
    private void Add(char c)
    {
        if (_highSurrogate != '\0' && char.IsLowSurrogate(c))
        {
            Target().Append(_highSurrogate).Append(c);
            _highSurrogate = '\0';
            return;
        }

        EndSurrogate();
        if (char.IsHighSurrogate(c))
        {
            _highSurrogate = c;
        }
        else
        {
            JsonText.AppendChar(Target(), c, isPaired: false);
        }
    }

    private void EndSurrogate()
    {
        if (_highSurrogate != '\0')
        {
            JsonText.AppendChar(Target(), _highSurrogate, isPaired: false);
            _highSurrogate = '\0';
        }
    }

    private StringBuilder Target()
    {
        if (_key is not null)
        {
            return _key;
        }

        if (_pending.Length > 0)
        {
            FlushPending();
        }

        return _output;
    }

    private bool EndScalar()
    {
        var raw = _scalar.ToString();
        if (raw is not ("true" or "false" or "null") && !IsNumber(raw))
        {
            return false;
        }

        var text = raw is "true" or "false" or "null" ? raw : JsonText.Number(raw);
        _output.Append(_pending).Append(text);
        _pending = "";
        HasContent |= _containers.Count > 0 || text is not ("false" or "null" or "0" or "0.0" or "-0.0");
        EndValue();
        return true;
    }

    private static bool IsNumber(string raw)
    {
        var i = raw.StartsWith('-') ? 1 : 0;
        var start = i;
        i = SkipDigits(raw, i);
        if (i == start || (raw[start] == '0' && i > start + 1))
        {
            return false;
        }

        if (i < raw.Length && raw[i] == '.')
        {
            start = ++i;
            i = SkipDigits(raw, i);
            if (i == start)
            {
                return false;
            }
        }

        if (i < raw.Length && raw[i] is 'e' or 'E')
        {
            i += i + 1 < raw.Length && raw[i + 1] is '+' or '-' ? 2 : 1;
            start = i;
            i = SkipDigits(raw, i);
            return i == raw.Length && i > start;
        }

        return i == raw.Length;
    }

    private static int SkipDigits(string raw, int i)
    {
        while (i < raw.Length && char.IsAsciiDigit(raw[i]))
        {
            i++;
        }

        return i;
    }

    /// <summary>
    /// Ends a value that broke off: literals are completed, half keys dropped, strings and brackets closed.
    /// </summary>
    public void Complete()
    {
        if (_expect == Expect.Nothing)
        {
            return;
        }

        if (_expect == Expect.InScalar)
        {
            CompleteScalar();
        }
        else if (_isString)
        {
            EndSurrogate();
            _output.Append(_pending).Append('"');
            _pending = "";
        }
        else if (_pending.Length > 0 && _pending[0] is '{' or '[')
        {
            // Nothing of the outermost container was written yet.
            _output.Append(_pending[0]);
        }

        while (_containers.TryPop(out var open))
        {
            _output.Append(open == '{' ? '}' : ']');
        }

        _expect = Expect.Nothing;
    }

    private void CompleteScalar()
    {
        var raw = _scalar.ToString();
        var literal = Array.Find(["true", "false", "null"], word => word.StartsWith(raw, StringComparison.Ordinal));
        while (literal is null && raw.Length > 0 && !IsNumber(raw))
        {
            raw = raw[..^1];
        }

        if (literal is not null || raw.Length > 0)
        {
            _output.Append(_pending).Append(literal ?? JsonText.Number(raw));
        }
        else if (_pending.Length > 0 && _pending[0] is '{' or '[')
        {
            _output.Append(_pending[0]);
        }

        _pending = "";
    }
}
