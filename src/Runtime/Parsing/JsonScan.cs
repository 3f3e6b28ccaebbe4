namespace LsglangSharp.Runtime.Parsing;

/// <summary>Finds where JSON ends in text that goes on after it.</summary>
internal static class JsonScan
{
    /// <summary>The index after the bracket that closes the one at <paramref name="start"/>, or -1.</summary>
    public static int End(string text, int start)
    {
        var scanner = new BracketScanner();
        for (var i = start; i < text.Length; i++)
        {
            if (scanner.Push(text[i]))
            {
                return i + 1;
            }
        }

        return -1;
    }
}

/// <summary>Counts brackets outside of strings as text arrives.</summary>
internal sealed class BracketScanner(bool hasSingleQuotes = false)
{
    private int _depth;
    private char _quote;
    private bool _isEscaped;

    /// <summary>True for the character that closes the outermost bracket.</summary>
    public bool Push(char c)
    {
        if (_quote != '\0')
        {
            _quote = !_isEscaped && c == _quote ? '\0' : _quote;
            _isEscaped = !_isEscaped && c == '\\';
            return false;
        }

        if (c == '"' || (hasSingleQuotes && c == '\''))
        {
            _quote = c;
            return false;
        }

        _depth += c is '{' or '[' or '(' ? 1 : c is '}' or ']' or ')' ? -1 : 0;
        return _depth <= 0;
    }
}
