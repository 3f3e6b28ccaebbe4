namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>Reads operands: literals and names with what follows them, attributes, calls, filters and tests.</summary>
internal sealed class OperandParser(TokenStream tokens, ExpressionParser expressions)
{
    public Expression Parse(bool withFilters = true)
    {
        StackGuard.Check();
        var node = tokens.SkipOperator("-") ? new Unary(Arithmetic.Negate, Parse(withFilters: false))
            : tokens.SkipOperator("+") ? new Unary(Arithmetic.Positive, Parse(withFilters: false))
            : ParsePrimary();
        node = ParsePostfix(node);
        return withFilters ? ParseFilterChain(node) : node;
    }

    private Expression ParsePrimary()
    {
        var token = tokens.Current;
        switch (token.Kind)
        {
            case TokenKind.Name:
                tokens.Next();
                return token.Text switch
                {
                    "true" or "True" => new Constant(Box.True),
                    "false" or "False" => new Constant(Box.False),
                    "none" or "None" => new Constant(NoneValue.Instance),
                    _ => new Name(token.Text),
                };
            case TokenKind.String:
                return ParseString();
            case TokenKind.Number:
                tokens.Next();
                return new Constant(token.Value!);
            case TokenKind.Operator when token.Text == "(":
                tokens.Next();
                var inner = expressions.ParseTuple(isInParentheses: true);
                tokens.ExpectOperator(")");
                return inner;
            case TokenKind.Operator when token.Text == "[":
                tokens.Next();
                return new SequenceLiteral(SequenceKind.List, ParseItems("]"));
            case TokenKind.Operator when token.Text == "{":
                return ParseDict();
            default:
                throw tokens.Error($"unexpected {PythonText.Quote(token.Describe())}");
        }
    }

    private Constant ParseString()
    {
        var text = (string)tokens.Next().Value!;
        while (tokens.Current.Kind == TokenKind.String)
        {
            text += (string)tokens.Next().Value!;
        }

        return new Constant(text);
    }

    private Expression[] ParseItems(string close)
    {
        var items = new List<Expression>();
        while (!tokens.Current.IsOperator(close))
        {
            if (items.Count > 0)
            {
                tokens.ExpectOperator(",");
                if (tokens.Current.IsOperator(close))
                {
                    break;
                }
            }

            items.Add(expressions.Parse());
        }

        tokens.ExpectOperator(close);
        return [.. items];
    }

    private DictLiteral ParseDict()
    {
        tokens.ExpectOperator("{");
        var pairs = new List<KeyValuePair<Expression, Expression>>();
        while (!tokens.Current.IsOperator("}"))
        {
            if (pairs.Count > 0)
            {
                tokens.ExpectOperator(",");
                if (tokens.Current.IsOperator("}"))
                {
                    break;
                }
            }

            var key = expressions.Parse();
            tokens.ExpectOperator(":");
            pairs.Add(new(key, expressions.Parse()));
        }

        tokens.ExpectOperator("}");
        return new DictLiteral([.. pairs]);
    }

    private Expression ParsePostfix(Expression node)
    {
        while (true)
        {
            var token = tokens.Current;
            if (tokens.SkipOperator("."))
            {
                var attribute = tokens.Next();
                node = attribute switch
                {
                    { Kind: TokenKind.Name } => new GetAttribute(node, attribute.Text),
                    { Kind: TokenKind.Number, Value: not double } => new GetItem(node, new Constant(attribute.Value!)),
                    _ => throw tokens.Error("expected name or number", attribute.Line),
                };
            }
            else if (tokens.SkipOperator("["))
            {
                node = ParseSubscript(node);
            }
            else if (token.IsOperator("("))
            {
                node = new Call(node, ParseArguments(), token.Line);
            }
            else
            {
                return node;
            }
        }
    }

    private GetItem ParseSubscript(Expression owner)
    {
        var keys = new List<Expression>();
        while (!tokens.Current.IsOperator("]"))
        {
            if (keys.Count > 0)
            {
                tokens.ExpectOperator(",");
            }

            keys.Add(ParseKey());
        }

        tokens.ExpectOperator("]");
        if (keys.Count > 1 && keys.Exists(key => key is SliceExpression))
        {
            throw tokens.Error("a slice cannot stand among several subscripts");
        }

        return new GetItem(
            owner, keys.Count == 1 ? keys[0] : new SequenceLiteral(SequenceKind.Tuple, [.. keys]));
    }

    private Expression ParseKey()
    {
        var start = tokens.Current.IsOperator(":") ? null : expressions.Parse();
        if (start is not null && !tokens.Current.IsOperator(":"))
        {
            return start;
        }

        tokens.ExpectOperator(":");
        var stop = EndsBound() ? null : expressions.Parse();
        var step = tokens.SkipOperator(":") && !EndsBound() ? expressions.Parse() : null;
        return new SliceExpression(start, stop, step);
    }

    private bool EndsBound() => tokens.Current is { Kind: TokenKind.Operator, Text: ":" or "]" or "," };

    private ArgumentList ParseArguments()
    {
        var line = tokens.Current.Line;
        tokens.ExpectOperator("(");
        var positional = new List<Expression>();
        var keywords = new List<KeyValuePair<string, Expression>>();
        Expression? spread = null;
        Expression? keywordSpread = null;
        var isFirst = true;
        while (!tokens.Current.IsOperator(")"))
        {
            if (!isFirst)
            {
                tokens.ExpectOperator(",");
                if (tokens.Current.IsOperator(")"))
                {
                    break;
                }
            }

            isFirst = false;
            if (tokens.SkipOperator("*"))
            {
                Require(spread is null && keywordSpread is null, line);
                spread = expressions.Parse();
            }
            else if (tokens.SkipOperator("**"))
            {
                Require(keywordSpread is null, line);
                keywordSpread = expressions.Parse();
            }
            else if (tokens.Current.Kind == TokenKind.Name && tokens.Peek.IsOperator("="))
            {
                Require(keywordSpread is null, line);
                var name = tokens.ExpectName();
                tokens.Next();
                keywords.Add(new(name, expressions.Parse()));
            }
            else
            {
                Require(spread is null && keywordSpread is null && keywords.Count == 0, line);
                positional.Add(expressions.Parse());
            }
        }

        tokens.ExpectOperator(")");
        return new ArgumentList([.. positional], [.. keywords], spread, keywordSpread);
    }

    private void Require(bool isValid, int line)
    {
        if (!isValid)
        {
            throw tokens.Error("invalid syntax for function call expression", line);
        }
    }

    private Expression ParseFilterChain(Expression node)
    {
        while (true)
        {
            var token = tokens.Current;
            if (token.IsOperator("|"))
            {
                node = ParseFilters(node);
            }
            else if (tokens.SkipName("is"))
            {
                node = ParseTest(node, token.Line);
            }
            else if (token.IsOperator("("))
            {
                node = new Call(node, ParseArguments(), token.Line);
            }
            else
            {
                return node;
            }
        }
    }

    /// <summary>
    /// One filter after another; <paramref name="startsInline"/> where the first has no bar before it.
    /// </summary>
    public Expression ParseFilters(Expression? node, bool startsInline = false)
    {
        while (startsInline || tokens.SkipOperator("|"))
        {
            startsInline = false;
            var line = tokens.Current.Line;
            var name = ParseDottedName();
            var arguments = tokens.Current.IsOperator("(") ? ParseArguments() : ArgumentList.Empty;
            node = new FilterExpression(node, name, arguments, line);
        }

        return node!;
    }

    private string ParseDottedName()
    {
        var name = tokens.ExpectName();
        while (tokens.SkipOperator("."))
        {
            name += "." + tokens.ExpectName();
        }

        return name;
    }

    private Expression ParseTest(Expression node, int line)
    {
        var isNegated = tokens.SkipName("not");
        var name = ParseDottedName();
        var arguments = ArgumentList.Empty;
        if (tokens.Current.IsOperator("("))
        {
            arguments = ParseArguments();
        }
        else if (StartsTestArgument(tokens.Current))
        {
            if (tokens.Current.IsName("is"))
            {
                throw tokens.Error("You cannot chain multiple tests with is");
            }

            arguments = new ArgumentList([ParsePostfix(ParsePrimary())], [], null, null);
        }

        Expression test = new TestExpression(node, name, arguments, line);
        return isNegated ? new Not(test) : test;
    }

    private static bool StartsTestArgument(Token token) => token.Kind switch
    {
        TokenKind.Name => token.Text is not ("else" or "or" or "and"),
        TokenKind.String or TokenKind.Number => true,
        _ => token is { Kind: TokenKind.Operator, Text: "[" or "{" },
    };
}
