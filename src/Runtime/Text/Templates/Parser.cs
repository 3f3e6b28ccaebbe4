namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>Reads the tags of a template into statements.</summary>
internal sealed class Parser
{
    private readonly TokenStream _tokens;
    private readonly ExpressionParser _expressions;
    private readonly Stack<string> _openTags = [];
    private readonly Stack<string[]> _wantedTags = [];
    private int _loopDepth;

    private Parser(List<Token> tokens)
    {
        _tokens = new TokenStream(tokens);
        _expressions = new ExpressionParser(_tokens);
    }

    /// <summary>True where the template has blocks, which see top-level variables.</summary>
    public bool HasBlocks { get; private set; }

    public static (Body Body, bool HasBlocks) Parse(string source)
    {
        var parser = new Parser(Lexer.Tokenize(source));
        return (parser.ParseBody([]), parser.HasBlocks);
    }

    /// <summary>
    /// Statements up to one of the tags in <paramref name="ends"/>, whose name becomes the current token.
    /// </summary>
    private Body ParseBody(ReadOnlySpan<string> ends)
    {
        StackGuard.Check();
        var statements = new List<Statement>();
        while (true)
        {
            var token = _tokens.Current;
            switch (token.Kind)
            {
                case TokenKind.End when ends.Length == 0:
                    return new Body([.. statements]);
                case TokenKind.End:
                    throw Misplaced("Unexpected end of template.", null, token.Line);
                case TokenKind.Data:
                    _tokens.Next();
                    statements.Add(new Data(token.Text, token.Line));
                    break;
                case TokenKind.VariableBegin:
                    _tokens.Next();
                    statements.Add(new Output(_expressions.ParseTuple(), token.Line));
                    _tokens.Expect(TokenKind.VariableEnd);
                    break;
                default:
                    _tokens.Expect(TokenKind.BlockBegin);
                    if (_tokens.Current.Kind == TokenKind.Name && ends.Contains(_tokens.Current.Text))
                    {
                        return new Body([.. statements]);
                    }

                    statements.AddRange(ParseStatement());
                    _tokens.Expect(TokenKind.BlockEnd);
                    break;
            }
        }
    }

    /// <summary>The body of a tag and the name that ended it.</summary>
    private (Body Body, string End) ParseInner(params ReadOnlySpan<string> ends)
    {
        _tokens.SkipOperator(":");
        _tokens.Expect(TokenKind.BlockEnd);
        _wantedTags.Push(ends.ToArray());
        var body = ParseBody(ends);
        _wantedTags.Pop();
        return (body, _tokens.Next().Text);
    }

    private List<Statement> ParseStatement()
    {
        var token = _tokens.Current;
        if (token.Kind != TokenKind.Name)
        {
            throw _tokens.Error("tag name expected");
        }

        _tokens.Next();
        _openTags.Push(token.Text);
        List<Statement> statements = token.IsName("print") ? ParsePrint(token.Line) : [ParseTag(token)];
        _openTags.Pop();
        return statements;
    }

    private Statement ParseTag(Token tag) => tag.Text switch
    {
        "if" => ParseIf(tag.Line),
        "for" => ParseFor(tag.Line),
        "set" => ParseSet(tag.Line),
        "macro" => ParseMacro(tag.Line),
        "call" => ParseCall(tag.Line),
        "filter" => ParseFilter(tag.Line),
        "with" => ParseWith(tag.Line),
        "block" => ParseBlock(tag.Line),
        "generation" => ParseGeneration(tag.Line),
        "break" => ParseJump(Flow.Break, tag),
        "continue" => ParseJump(Flow.Continue, tag),
        "include" or "import" or "from" or "extends" => throw _tokens.Error(
            $"'{tag.Text}' is not supported: a chat template is one file", tag.Line),
        "autoescape" => ParseAutoescape(tag.Line),
        _ => throw Unknown(tag),
    };

    private ChatTemplateException Unknown(Token tag)
    {
        _openTags.Pop();
        return Misplaced($"Encountered unknown tag {PythonText.Quote(tag.Text)}.", tag.Text, tag.Line);
    }

    /// <summary>Says which tag would have been right in place of one that is not.</summary>
    private ChatTemplateException Misplaced(string message, string? tag, int line)
    {
        if (_wantedTags.TryPeek(out var wanted))
        {
            var list = string.Join(" or ", wanted.Select(PythonText.Quote));
            message += tag is not null && _wantedTags.Any(tags => tags.Contains(tag))
                ? " You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for "
                    + list + "."
                : $" Jinja was looking for the following tags: {list}.";
        }

        return _tokens.Error(_openTags.TryPeek(out var open)
            ? $"{message} The innermost block that needs to be closed is {PythonText.Quote(open)}." : message, line);
    }

    private With ParseAutoescape(int line) =>
        _expressions.Parse() is Constant { Value: false }
            ? new With([], ParseInner("endautoescape").Body, line)
            : throw _tokens.Error("'autoescape' can only be false: a prompt is not HTML", line);

    private List<Statement> ParsePrint(int line)
    {
        var outputs = new List<Statement>();
        while (_tokens.Current.Kind != TokenKind.BlockEnd)
        {
            if (outputs.Count > 0)
            {
                _tokens.ExpectOperator(",");
            }

            outputs.Add(new Output(_expressions.Parse(), line));
        }

        return outputs;
    }

    private Jump ParseJump(Flow flow, Token tag) => _loopDepth > 0
        ? new Jump(flow, tag.Line)
        : throw _tokens.Error($"'{tag.Text}' outside loop", tag.Line);

    private If ParseIf(int line)
    {
        var branches = new List<(Expression, Body)>();
        while (true)
        {
            var test = _expressions.ParseTuple(withConditional: false);
            var (body, end) = ParseInner("elif", "else", "endif");
            branches.Add((test, body));
            switch (end)
            {
                case "elif":
                    continue;
                case "else":
                    return new If([.. branches], ParseInner("endif").Body, line);
                default:
                    return new If([.. branches], null, line);
            }
        }
    }

    private For ParseFor(int line)
    {
        var outerDepth = _loopDepth++;
        var target = ParseTarget(endsWithIn: true);
        _tokens.ExpectName("in");
        var items = _expressions.ParseTuple(withConditional: false, end: "recursive");
        var test = _tokens.SkipName("if") ? _expressions.Parse() : null;
        var isRecursive = _tokens.SkipName("recursive");
        var (body, end) = ParseInner("endfor", "else");

        // The else part of a recursive loop stands in the loop's function, that of another in the surrounding loop.
        _loopDepth = isRecursive ? 0 : outerDepth;
        var otherwise = end == "else" ? ParseInner("endfor").Body : null;
        _loopDepth = outerDepth;
        return new For(target, items, test, body, otherwise, isRecursive, line);
    }

    private Statement ParseSet(int line)
    {
        var target = ParseTarget(allowsNamespace: true);
        if (_tokens.SkipOperator("="))
        {
            return new Assign(target, _expressions.ParseTuple(), line);
        }

        var filter = _tokens.Current.IsOperator("|") ? _expressions.ParseFilters() : null;
        return new AssignBlock(target, filter, ParseInner("endset").Body, line);
    }

    private With ParseWith(int line)
    {
        var assignments = new List<(Target, Expression)>();
        while (_tokens.Current.Kind != TokenKind.BlockEnd)
        {
            if (assignments.Count > 0)
            {
                _tokens.ExpectOperator(",");
            }

            var target = ParseTarget();
            _tokens.ExpectOperator("=");
            assignments.Add((target, _expressions.Parse()));
        }

        return new With([.. assignments], ParseInner("endwith").Body, line);
    }

    private FilterBlock ParseFilter(int line)
    {
        var filter = _expressions.ParseFilters(startsInline: true);
        return new FilterBlock(filter, ParseInner("endfilter").Body, line);
    }

    private Block ParseBlock(int line)
    {
        HasBlocks = true;
        var name = _tokens.ExpectName();
        _tokens.SkipName("scoped");
        _tokens.SkipName("required");
        var block = new Block(ParseFunctionBody("endblock"), line);
        _tokens.SkipName(name);
        return block;
    }

    private MacroStatement ParseMacro(int line)
    {
        var name = _tokens.ExpectName();
        var (parameters, defaults) = ParseSignature();
        return new MacroStatement(
            new MacroBody(name, parameters, defaults, ParseFunctionBody("endmacro"), line), line);
    }

    private CallBlock ParseCall(int line)
    {
        var (parameters, defaults) = _tokens.Current.IsOperator("(") ? ParseSignature() : ([], []);
        var call = _expressions.Parse() as Call ?? throw _tokens.Error("expected call", line);
        return new CallBlock(
            call, new MacroBody(null, parameters, defaults, ParseFunctionBody("endcall"), line), line);
    }

    private Generation ParseGeneration(int line) =>
        new(new MacroBody(null, [], [], ParseFunctionBody("endgeneration"), line), line);

    /// <summary>A body that runs as a function of its own, so that no loop around it can be left from inside.</summary>
    private Body ParseFunctionBody(string end)
    {
        var outerDepth = _loopDepth;
        _loopDepth = 0;
        var (body, _) = ParseInner(end);
        _loopDepth = outerDepth;
        return body;
    }

    private (string[] Parameters, Expression[] Defaults) ParseSignature()
    {
        var parameters = new List<string>();
        var defaults = new List<Expression>();
        _tokens.ExpectOperator("(");
        while (!_tokens.Current.IsOperator(")"))
        {
            if (parameters.Count > 0)
            {
                _tokens.ExpectOperator(",");
            }

            parameters.Add(CheckTarget(_tokens.ExpectName()));
            if (_tokens.SkipOperator("="))
            {
                defaults.Add(_expressions.Parse());
            }
            else if (defaults.Count > 0)
            {
                throw _tokens.Error("non-default argument follows default argument");
            }
        }

        _tokens.ExpectOperator(")");
        if (parameters.Distinct().Count() != parameters.Count)
        {
            throw _tokens.Error("duplicate argument in function definition");
        }

        return ([.. parameters], [.. defaults]);
    }

    private Target ParseTarget(bool endsWithIn = false, bool allowsNamespace = false)
    {
        var targets = new List<Target>();
        var isTuple = false;
        while (true)
        {
            if (targets.Count > 0 && (!_tokens.SkipOperator(",") || EndsTarget(endsWithIn)))
            {
                break;
            }

            targets.Add(ParseSingleTarget(endsWithIn, allowsNamespace));
            isTuple |= _tokens.Current.IsOperator(",");
        }

        return isTuple ? new TupleTarget([.. targets]) : targets[0];
    }

    private bool EndsTarget(bool endsWithIn) =>
        _tokens.Current.Kind is TokenKind.BlockEnd or TokenKind.VariableEnd || _tokens.Current.IsOperator(")")
        || _tokens.Current.IsOperator("=") || (endsWithIn && _tokens.Current.IsName("in"));

    private Target ParseSingleTarget(bool endsWithIn, bool allowsNamespace)
    {
        StackGuard.Check();
        if (_tokens.SkipOperator("("))
        {
            var inner = ParseTarget(endsWithIn, allowsNamespace);
            _tokens.ExpectOperator(")");
            return inner;
        }

        if (_tokens.Current.Kind is TokenKind.Number or TokenKind.String)
        {
            throw _tokens.Error("can't assign to 'const'");
        }

        var name = _tokens.ExpectName();
        if (allowsNamespace && _tokens.SkipOperator("."))
        {
            return new NamespaceTarget(name, _tokens.ExpectName());
        }

        return new NameTarget(CheckTarget(name));
    }

    private string CheckTarget(string name) => name switch
    {
        "true" or "false" or "none" or "True" or "False" or "None" =>
            throw _tokens.Error("can't assign to 'const'"),
        "loop" when _loopDepth > 0 => throw new ChatTemplateException(TemplateFault.Assertion,
            "Can't assign to special loop variable in for-loop target", _tokens.Current.Line),
        _ => name,
    };
}
