namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>The tokens of a template with a place in them.</summary>
internal sealed class TokenStream(List<Token> tokens)
{
    private int _position;

    public Token Current => tokens[_position];

    public Token Peek => tokens[Math.Min(_position + 1, tokens.Count - 1)];

    /// <summary>Moves on and gives the token that was current.</summary>
    public Token Next() => _position < tokens.Count - 1 ? tokens[_position++] : Current;

    public bool SkipName(string name) => Skip(Current.IsName(name));

    public bool SkipOperator(string symbol) => Skip(Current.IsOperator(symbol));

    private bool Skip(bool isMatch)
    {
        if (isMatch)
        {
            Next();
        }

        return isMatch;
    }

    public Token Expect(TokenKind kind) =>
        Current.Kind == kind ? Next() : throw Unexpected(new Token(kind, "", 0).Describe());

    public string ExpectName() => Current.Kind == TokenKind.Name ? Next().Text : throw Unexpected("name");

    public void ExpectName(string name)
    {
        if (!SkipName(name))
        {
            throw Unexpected(name);
        }
    }

    public void ExpectOperator(string symbol)
    {
        if (!SkipOperator(symbol))
        {
            throw Unexpected(symbol);
        }
    }

    public ChatTemplateException Error(string message, int? line = null) =>
        new(TemplateFault.Syntax, message, line ?? Current.Line);

    private ChatTemplateException Unexpected(string expected) => Error(Current.Kind == TokenKind.End
        ? $"unexpected end of template, expected {PythonText.Quote(expected)}."
        : $"expected token {PythonText.Quote(expected)}, got {PythonText.Quote(Current.Describe())}");
}
