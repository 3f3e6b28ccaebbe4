namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>Reads expressions, loosest operator first.</summary>
internal sealed class ExpressionParser(TokenStream tokens)
{
    private static readonly string[] Comparisons = ["==", "!=", "<", "<=", ">", ">="];

    public Expression Parse(bool withConditional = true)
    {
        StackGuard.Check();
        return withConditional ? ParseConditional() : ParseOr();
    }

    /// <summary>One expression, or several with commas between as a tuple.</summary>
    public Expression ParseTuple(bool withConditional = true, string? end = null, bool isInParentheses = false)
    {
        var items = new List<Expression>();
        var isTuple = false;
        while (true)
        {
            if (items.Count > 0)
            {
                tokens.ExpectOperator(",");
            }

            if (IsTupleEnd(end))
            {
                break;
            }

            items.Add(Parse(withConditional));
            if (!tokens.Current.IsOperator(","))
            {
                break;
            }

            isTuple = true;
        }

        if (!isTuple && items.Count == 1)
        {
            return items[0];
        }

        if (!isTuple && !isInParentheses)
        {
            throw tokens.Error($"Expected an expression, got {PythonText.Quote(tokens.Current.Describe())}");
        }

        return new SequenceLiteral(SequenceKind.Tuple, [.. items]);
    }

    private bool IsTupleEnd(string? end) =>
        tokens.Current.Kind is TokenKind.VariableEnd or TokenKind.BlockEnd || tokens.Current.IsOperator(")")
        || (end is not null && tokens.Current.IsName(end));

    private Expression ParseConditional()
    {
        var line = tokens.Current.Line;
        var value = ParseOr();
        while (tokens.SkipName("if"))
        {
            var test = ParseOr();
            var otherwise = tokens.SkipName("else") ? Parse() : null;
            value = new Conditional(test, value, otherwise, line);
            line = tokens.Current.Line;
        }

        return value;
    }

    private Expression ParseOr()
    {
        var left = ParseAnd();
        while (tokens.SkipName("or"))
        {
            left = new Logical(isAnd: false, left, ParseAnd());
        }

        return left;
    }

    private Expression ParseAnd()
    {
        var left = ParseNot();
        while (tokens.SkipName("and"))
        {
            left = new Logical(isAnd: true, left, ParseNot());
        }

        return left;
    }

    private Expression ParseNot()
    {
        StackGuard.Check();
        return tokens.SkipName("not") ? new Not(ParseNot()) : ParseComparison();
    }

    private Expression ParseComparison()
    {
        var first = ParseSum();
        var rest = new List<(string, Expression)>();
        while (true)
        {
            var token = tokens.Current;
            if (token.Kind == TokenKind.Operator && Array.IndexOf(Comparisons, token.Text) >= 0)
            {
                tokens.Next();
                rest.Add((token.Text, ParseSum()));
            }
            else if (tokens.SkipName("in"))
            {
                rest.Add(("in", ParseSum()));
            }
            else if (token.IsName("not") && tokens.Peek.IsName("in"))
            {
                tokens.Next();
                tokens.Next();
                rest.Add(("not in", ParseSum()));
            }
            else
            {
                return rest.Count == 0 ? first : new Comparison(first, [.. rest]);
            }
        }
    }

    private Expression ParseSum()
    {
        var left = ParseConcatenation();
        while (true)
        {
            if (tokens.SkipOperator("+"))
            {
                left = new Binary(Arithmetic.Add, left, ParseConcatenation());
            }
            else if (tokens.SkipOperator("-"))
            {
                left = new Binary(Arithmetic.Subtract, left, ParseConcatenation());
            }
            else
            {
                return left;
            }
        }
    }

    private Expression ParseConcatenation()
    {
        var first = ParseProduct();
        if (!tokens.Current.IsOperator("~"))
        {
            return first;
        }

        var operands = new List<Expression> { first };
        while (tokens.SkipOperator("~"))
        {
            operands.Add(ParseProduct());
        }

        return new Concatenation([.. operands]);
    }

    private Expression ParseProduct()
    {
        var left = ParsePower();
        while (true)
        {
            Func<object, object, object>? apply = tokens.Current is { Kind: TokenKind.Operator, Text: var symbol }
                ? symbol switch
                {
                    "*" => Arithmetic.Multiply,
                    "/" => Arithmetic.Divide,
                    "//" => Arithmetic.FloorDivide,
                    "%" => Arithmetic.Modulo,
                    _ => null,
                }
                : null;
            if (apply is null)
            {
                return left;
            }

            tokens.Next();
            left = new Binary(apply, left, ParsePower());
        }
    }

    private Expression ParsePower()
    {
        var left = ParseUnary();
        while (tokens.SkipOperator("**"))
        {
            left = new Binary(Arithmetic.Power, left, ParseUnary());
        }

        return left;
    }

    private Expression ParseUnary(bool withFilters = true)
    {
        StackGuard.Check();
        var node = tokens.SkipOperator("-") ? new Unary(Arithmetic.Negate, ParseUnary(withFilters: false))
            : tokens.SkipOperator("+") ? new Unary(Arithmetic.Positive, ParseUnary(withFilters: false))
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
                var inner = ParseTuple(isInParentheses: true);
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

            items.Add(Parse());
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

            var key = Parse();
            tokens.ExpectOperator(":");
            pairs.Add(new(key, Parse()));
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
        var start = tokens.Current.IsOperator(":") ? null : Parse();
        if (start is not null && !tokens.Current.IsOperator(":"))
        {
            return start;
        }

        tokens.ExpectOperator(":");
        var stop = EndsBound() ? null : Parse();
        var step = tokens.SkipOperator(":") && !EndsBound() ? Parse() : null;
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
                spread = Parse();
            }
            else if (tokens.SkipOperator("**"))
            {
                Require(keywordSpread is null, line);
                keywordSpread = Parse();
            }
            else if (tokens.Current.Kind == TokenKind.Name && tokens.Peek.IsOperator("="))
            {
                Require(keywordSpread is null, line);
                var name = tokens.ExpectName();
                tokens.Next();
                keywords.Add(new(name, Parse()));
            }
            else
            {
                Require(spread is null && keywordSpread is null && keywords.Count == 0, line);
                positional.Add(Parse());
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

    /// <summary>One filter after another; <paramref name="startsInline"/> where the first has no bar before it.</summary>
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
