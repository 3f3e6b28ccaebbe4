namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>Reads expressions, loosest operator first.</summary>
internal sealed class ExpressionParser
{
    private static readonly string[] Comparisons = ["==", "!=", "<", "<=", ">", ">="];

    private readonly TokenStream _tokens;
    private readonly OperandParser _operands;

    public ExpressionParser(TokenStream tokens)
    {
        _tokens = tokens;
        _operands = new OperandParser(tokens, this);
    }

    /// <summary>One filter after another; <paramref name="startsInline"/> where the first has no bar before it.</summary>
    public FilterExpression ParseFilters(bool startsInline = false) =>
        (FilterExpression)_operands.ParseFilters(null, startsInline);

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
                _tokens.ExpectOperator(",");
            }

            if (IsTupleEnd(end))
            {
                break;
            }

            items.Add(Parse(withConditional));
            if (!_tokens.Current.IsOperator(","))
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
            throw _tokens.Error($"Expected an expression, got {PythonText.Quote(_tokens.Current.Describe())}");
        }

        return new SequenceLiteral(SequenceKind.Tuple, [.. items]);
    }

    private bool IsTupleEnd(string? end) =>
        _tokens.Current.Kind is TokenKind.VariableEnd or TokenKind.BlockEnd || _tokens.Current.IsOperator(")")
        || (end is not null && _tokens.Current.IsName(end));

    private Expression ParseConditional()
    {
        var line = _tokens.Current.Line;
        var value = ParseOr();
        while (_tokens.SkipName("if"))
        {
            var test = ParseOr();
            var otherwise = _tokens.SkipName("else") ? Parse() : null;
            value = new Conditional(test, value, otherwise, line);
            line = _tokens.Current.Line;
        }

        return value;
    }

    private Expression ParseOr()
    {
        var left = ParseAnd();
        while (_tokens.SkipName("or"))
        {
            left = new Logical(isAnd: false, left, ParseAnd());
        }

        return left;
    }

    private Expression ParseAnd()
    {
        var left = ParseNot();
        while (_tokens.SkipName("and"))
        {
            left = new Logical(isAnd: true, left, ParseNot());
        }

        return left;
    }

    private Expression ParseNot()
    {
        StackGuard.Check();
        return _tokens.SkipName("not") ? new Not(ParseNot()) : ParseComparison();
    }

    private Expression ParseComparison()
    {
        var first = ParseSum();
        var rest = new List<(string, Expression)>();
        while (true)
        {
            var token = _tokens.Current;
            if (token.Kind == TokenKind.Operator && Array.IndexOf(Comparisons, token.Text) >= 0)
            {
                _tokens.Next();
                rest.Add((token.Text, ParseSum()));
            }
            else if (_tokens.SkipName("in"))
            {
                rest.Add(("in", ParseSum()));
            }
            else if (token.IsName("not") && _tokens.Peek.IsName("in"))
            {
                _tokens.Next();
                _tokens.Next();
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
            if (_tokens.SkipOperator("+"))
            {
                left = new Binary(Arithmetic.Add, left, ParseConcatenation());
            }
            else if (_tokens.SkipOperator("-"))
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
        if (!_tokens.Current.IsOperator("~"))
        {
            return first;
        }

        var operands = new List<Expression> { first };
        while (_tokens.SkipOperator("~"))
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
            Func<object, object, object>? apply = _tokens.Current is { Kind: TokenKind.Operator, Text: var symbol }
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

            _tokens.Next();
            left = new Binary(apply, left, ParsePower());
        }
    }

    private Expression ParsePower()
    {
        var left = _operands.Parse();
        while (_tokens.SkipOperator("**"))
        {
            left = new Binary(Arithmetic.Power, left, _operands.Parse());
        }

        return left;
    }
}
