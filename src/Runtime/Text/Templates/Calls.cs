namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>The expressions of an argument list.</summary>
internal sealed class ArgumentList(
    Expression[] positional,
    KeyValuePair<string, Expression>[] keywords,
    Expression? spread,
    Expression? keywordSpread)
{
    public static readonly ArgumentList Empty = new([], [], null, null);

    public Expression[] Positional { get; } = positional;

    public IEnumerable<Expression> Parts =>
        Positional.Concat(keywords.Select(pair => pair.Value))
            .Concat(new[] { spread, keywordSpread }.OfType<Expression>());

    public CallArguments Evaluate(Frame frame)
    {
        if (Positional.Length == 0 && keywords.Length == 0 && spread is null && keywordSpread is null)
        {
            return CallArguments.None;
        }

        var values = new object[Positional.Length];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = Positional[i].Evaluate(frame);
        }

        List<KeyValuePair<string, object>>? named = null;
        foreach (var (name, value) in keywords)
        {
            (named ??= []).Add(new(name, value.Evaluate(frame)));
        }

        if (spread is not null)
        {
            values = [.. values, .. Operators.Iterate(spread.Evaluate(frame))];
        }

        if (keywordSpread is not null)
        {
            var dict = keywordSpread.Evaluate(frame) as DictValue
                ?? throw TemplateFault.Type("argument after ** must be a mapping");
            (named ??= []).AddRange(dict.Pairs.Select(
                pair => new KeyValuePair<string, object>(PythonText.Str(pair.Key), pair.Value)));
        }

        return new CallArguments(values, named);
    }
}

internal sealed class Call(Expression target, ArgumentList arguments, int line) : Expression
{
    public override IEnumerable<Expression> Parts => arguments.Parts.Prepend(target);

    public override object Evaluate(Frame frame) => Evaluate(frame, null);

    /// <summary>Evaluates the call with the body of a call block as <c>caller</c>.</summary>
    public object Evaluate(Frame frame, Macro? caller)
    {
        StackGuard.Check();
        var context = frame.Context;
        var callee = target.Evaluate(frame);
        var given = arguments.Evaluate(frame);
        if (caller is not null)
        {
            given = new CallArguments(given.Positional, [.. given.Keywords ?? [], new("caller", caller)]);
        }

        context.Spend();
        context.Line = line;
        var value = Invoke(context, callee, given);
        context.Line = line;
        context.SpendOn(value);
        return value;
    }

    public static object Invoke(RenderContext context, object callee, CallArguments arguments) => callee switch
    {
        ICallable callable => callable.Call(context, arguments),
        UndefinedValue undefined => throw undefined.Fault,
        _ => throw TemplateFault.Type($"'{Operators.TypeName(callee)}' object is not callable"),
    };
}

/// <summary>An expression that a filter changes; without one (null) it is the text of a block.</summary>
internal sealed class FilterExpression(Expression? input, string name, ArgumentList arguments, int line) : Expression
{
    private readonly Filter? _filter = Filters.Find(name);

    public Expression? Input { get; } = input;

    public override IEnumerable<Expression> Parts =>
        Input is null ? arguments.Parts : arguments.Parts.Prepend(Input);

    public override object Evaluate(Frame frame) => Evaluate(frame, null);

    public override void Bind(Scope scope)
    {
        if (_filter is null && !scope.IsConditional)
        {
            throw new ChatTemplateException(
                TemplateFault.Assertion, $"No filter named {PythonText.Quote(name)}.", line);
        }

        base.Bind(scope);
    }

    public object Evaluate(Frame frame, string? block)
    {
        StackGuard.Check();
        var value = Input switch
        {
            null => block!,
            FilterExpression inner => inner.Evaluate(frame, block),
            _ => Input.Evaluate(frame),
        };
        var context = frame.Context;
        context.Spend();
        context.Line = line;
        if (_filter is null)
        {
            throw TemplateFault.Runtime($"No filter named {PythonText.Quote(name)} found.");
        }

        var result = _filter(context, value, arguments.Evaluate(frame));
        context.SpendOn(result);
        return result;
    }
}

internal sealed class TestExpression(Expression input, string name, ArgumentList arguments, int line) : Expression
{
    private readonly Test? _test = Tests.Find(name);

    public Expression Input { get; } = input;

    public override IEnumerable<Expression> Parts => arguments.Parts.Prepend(Input);

    public override void Bind(Scope scope)
    {
        if (_test is null && !scope.IsConditional)
        {
            throw new ChatTemplateException(
                TemplateFault.Assertion, $"No test named {PythonText.Quote(name)}.", line);
        }

        base.Bind(scope);
    }

    public override object Evaluate(Frame frame)
    {
        StackGuard.Check();
        if (_test is null)
        {
            throw TemplateFault.Runtime($"No test named {PythonText.Quote(name)} found.");
        }

        return Box.Of(_test(frame.Context, Input.Evaluate(frame), arguments.Evaluate(frame)));
    }
}
