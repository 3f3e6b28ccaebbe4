namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>The parameters and body that macros and call blocks share.</summary>
internal sealed class MacroBody(string? name, string[] parameters, Expression[] defaults, Body body, int line)
{
    private readonly Variable?[] _parameters = new Variable?[parameters.Length];
    private Variable? _caller;
    private Variable? _keywords;
    private Variable? _rest;
    private ScopeEntry? _entry;
    private FunctionUnit? _function;

    public string? Name { get; } = name;

    public string[] Parameters { get; } = parameters;

    public IEnumerable<Expression> Expressions => defaults;

    public Statement[] Statements => body.Statements;

    public bool TakesCaller => _caller is not null;

    public bool TakesKeywords => _keywords is not null;

    public bool TakesRest => _rest is not null;

    /// <summary>True where <c>caller</c> is written among the parameters.</summary>
    public bool NamesCaller => Array.IndexOf(Parameters, "caller") >= 0;

    public void Bind(Scope scope)
    {
        var inner = scope.InnerFunction();
        _function = inner.Function;
        for (var i = 0; i < Parameters.Length; i++)
        {
            _parameters[i] = inner.Parameter(Parameters[i]);
        }

        if (NamesCaller && Array.IndexOf(Parameters, "caller") < Parameters.Length - defaults.Length
            && Usage.Mentions(body, "caller"))
        {
            throw new ChatTemplateException(TemplateFault.Assertion, "When defining macros or call blocks the special "
                + "\"caller\" argument must be omitted or be given a default.", line);
        }

        _caller = Special(inner, "caller");
        _keywords = Special(inner, "kwargs");
        _rest = Special(inner, "varargs");
        Array.ForEach(defaults, value => value.Collect(inner));
        body.Collect(inner);
        Array.ForEach(defaults, value => value.Bind(inner));
        body.Bind(inner);
        _entry = inner.Entry();
    }

    private Variable? Special(Scope scope, string special) =>
        Array.IndexOf(Parameters, special) < 0 && Usage.Mentions(body, special) ? scope.Parameter(special) : null;

    /// <summary>Renders the body in a new frame; parameters that were not given take their defaults.</summary>
    public string Render(Frame defining, object?[] values, object? caller, DictValue? keywords, TupleValue? rest)
    {
        StackGuard.Check();
        var context = defining.Context;
        var frame = new Frame(context, defining, _function!.SlotCount);
        var outer = context.BeginCapture();
        var line = context.Line;
        _entry!.Enter(frame);
        Set(frame, _caller, caller);
        Set(frame, _keywords, keywords);
        Set(frame, _rest, rest);
        for (var i = 0; i < values.Length; i++)
        {
            frame.Slots[_parameters[i]!.Slot] = values[i];
        }

        for (var i = 0; i < values.Length; i++)
        {
            var fallback = i - (values.Length - defaults.Length);
            frame.Slots[_parameters[i]!.Slot] ??= fallback >= 0
                ? defaults[fallback].Evaluate(frame)
                : new UndefinedValue($"parameter {PythonText.Quote(Parameters[i])} was not provided");
        }

        body.Execute(frame);
        context.Line = line;
        return context.EndCapture(outer);
    }

    private static void Set(Frame frame, Variable? variable, object? value)
    {
        if (variable is not null)
        {
            frame.Slots[variable.Slot] = value;
        }
    }
}

/// <summary>A macro as a value: its body and the frame it was defined in.</summary>
internal sealed class Macro(MacroBody body, Frame defining) : ICallable, IHasAttributes
{
    public string? Name => body.Name;

    public string TypeName => "Macro";

    public object Call(RenderContext context, CallArguments arguments)
    {
        var values = new object?[body.Parameters.Length];
        var given = Math.Min(arguments.Positional.Length, values.Length);
        Array.Copy(arguments.Positional, values, given);
        var keywords = arguments.Keywords is null
            ? [] : new List<KeyValuePair<string, object>>(arguments.Keywords);
        for (var i = given; i < values.Length; i++)
        {
            values[i] = Take(keywords, body.Parameters[i]);
        }

        object? caller = null;
        if (body.TakesCaller)
        {
            caller = Take(keywords, "caller");
            caller = caller is null or NoneValue ? new UndefinedValue("No caller defined") : caller;
        }

        DictValue? rest = null;
        if (body.TakesKeywords)
        {
            rest = new DictValue(keywords.Count);
            foreach (var (name, value) in keywords)
            {
                rest[name] = value;
            }
        }
        else if (keywords.Count > 0)
        {
            throw Unexpected(keywords);
        }

        if (!body.TakesRest && arguments.Positional.Length > values.Length)
        {
            throw TemplateFault.Type($"macro {Label} takes not more than {values.Length} argument(s)");
        }

        return body.Render(
            defining, values, caller, rest, body.TakesRest ? new TupleValue(arguments.Positional[given..]) : null);
    }

    private string Label => Name is null ? "None" : PythonText.Quote(Name);

    private TemplateFault Unexpected(List<KeyValuePair<string, object>> keywords) => TemplateFault.Type(
        keywords.Exists(pair => pair.Key == "caller")
            ? $"macro {Label} was invoked with two values for the special caller argument."
                + " This is most likely a bug."
            : $"macro {Label} takes no keyword argument {PythonText.Quote(keywords[0].Key)}");

    private static object? Take(List<KeyValuePair<string, object>> keywords, string name)
    {
        var index = keywords.FindIndex(pair => pair.Key == name);
        if (index < 0)
        {
            return null;
        }

        var value = keywords[index].Value;
        keywords.RemoveAt(index);
        return value;
    }

    public object? GetAttribute(string name) => name switch
    {
        "name" => Name is null ? NoneValue.Instance : Name,
        "arguments" => new TupleValue([.. body.Parameters]),
        "caller" => Box.Of(body.TakesCaller),
        "catch_kwargs" => Box.Of(body.TakesKeywords),
        "catch_varargs" => Box.Of(body.TakesRest),
        "explicit_caller" => Box.Of(body.NamesCaller),
        _ => null,
    };
}

internal sealed class MacroStatement(MacroBody body, int line) : Statement(line)
{
    private readonly NameTarget _target = new(body.Name!);

    public override IEnumerable<Expression> Expressions => body.Expressions;

    public override IEnumerable<Statement> Children => body.Statements;

    public override Flow Execute(Frame frame)
    {
        _target.Assign(frame, new Macro(body, frame));
        return Flow.Next;
    }

    public override void Collect(Scope scope) => _target.Collect(scope);

    public override void Bind(Scope scope)
    {
        _target.Bind(scope);
        body.Bind(scope);
    }
}

/// <summary>A call with a body, which the callee renders with <c>caller()</c>.</summary>
internal sealed class CallBlock(Call call, MacroBody body, int line) : Statement(line)
{
    public override IEnumerable<Expression> Expressions => body.Expressions.Append(call);

    public override IEnumerable<Statement> Children => body.Statements;

    public override Flow Execute(Frame frame)
    {
        frame.Context.Write(PythonText.Str(call.Evaluate(frame, new Macro(body, frame))));
        return Flow.Next;
    }

    public override void Collect(Scope scope) => call.Collect(scope);

    public override void Bind(Scope scope)
    {
        body.Bind(scope);
        call.Bind(scope);
    }
}

/// <summary>The tag with which training code marks what the assistant wrote: its body has a scope of its own.</summary>
internal sealed class Generation(MacroBody body, int line) : Statement(line)
{
    public override IEnumerable<Statement> Children => body.Statements;

    public override Flow Execute(Frame frame)
    {
        frame.Context.Write(body.Render(frame, [], null, null, null));
        return Flow.Next;
    }

    public override void Collect(Scope scope)
    {
    }

    public override void Bind(Scope scope) => body.Bind(scope);
}

/// <summary>Questions about which names and nodes a template holds.</summary>
internal static class Usage
{
    public static bool Mentions(Body body, string name) =>
        Walk(body.Statements).SelectMany(statement => statement.Expressions).SelectMany(Walk)
            .Any(expression => expression is Name found && found.Text == name);

    public static IEnumerable<Statement> Walk(IEnumerable<Statement> statements)
    {
        var pending = new Stack<Statement>(statements.Reverse());
        while (pending.TryPop(out var statement))
        {
            yield return statement;
            foreach (var child in statement.Children.Reverse())
            {
                pending.Push(child);
            }
        }
    }

    public static IEnumerable<Expression> Walk(Expression expression)
    {
        var pending = new Stack<Expression>([expression]);
        while (pending.TryPop(out var found))
        {
            yield return found;
            foreach (var part in found.Parts)
            {
                pending.Push(part);
            }
        }
    }
}
