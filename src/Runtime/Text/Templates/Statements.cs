namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>What follows a statement.</summary>
internal enum Flow
{
    Next,
    Break,
    Continue,
}

/// <summary>A part of a template that does something.</summary>
internal abstract class Statement(int line)
{
    public int Line { get; } = line;

    public abstract Flow Execute(Frame frame);

    /// <summary>Notes the names that the statement reads and sets in the scope it stands in.</summary>
    public abstract void Collect(Scope scope);

    /// <summary>Connects names with variables and opens the scopes inside.</summary>
    public abstract void Bind(Scope scope);

    public virtual IEnumerable<Expression> Expressions => [];

    public virtual IEnumerable<Statement> Children => [];
}

/// <summary>Statements in a row.</summary>
internal sealed class Body(Statement[] statements)
{
    public Statement[] Statements { get; } = statements;

    public Flow Execute(Frame frame)
    {
        StackGuard.Check();
        var context = frame.Context;
        foreach (var statement in Statements)
        {
            context.Line = statement.Line;
            context.Spend();
            var flow = statement.Execute(frame);
            if (flow != Flow.Next)
            {
                return flow;
            }
        }

        return Flow.Next;
    }

    /// <summary>Executes with the output kept apart; null where a loop's break or continue left the body.</summary>
    public (string? Text, Flow Flow) Capture(Frame frame)
    {
        var context = frame.Context;
        var outer = context.BeginCapture();
        var flow = Execute(frame);
        var text = context.EndCapture(outer);
        return (flow == Flow.Next ? text : null, flow);
    }

    public void Collect(Scope scope)
    {
        StackGuard.Check();
        foreach (var statement in Statements)
        {
            statement.Collect(scope);
        }
    }

    public void Bind(Scope scope)
    {
        StackGuard.Check();
        foreach (var statement in Statements)
        {
            statement.Bind(scope);
        }
    }
}

/// <summary>Text between tags.</summary>
internal sealed class Data(string text, int line) : Statement(line)
{
    public override Flow Execute(Frame frame)
    {
        frame.Context.Write(text);
        return Flow.Next;
    }

    public override void Collect(Scope scope)
    {
    }

    public override void Bind(Scope scope)
    {
    }
}

/// <summary>A printed expression.</summary>
internal sealed class Output(Expression value, int line) : Statement(line)
{
    public override IEnumerable<Expression> Expressions => [value];

    public override Flow Execute(Frame frame)
    {
        frame.Context.Write(PythonText.Str(value.Evaluate(frame)));
        return Flow.Next;
    }

    public override void Collect(Scope scope) => value.Collect(scope);

    public override void Bind(Scope scope) => value.Bind(scope);
}

internal sealed class If((Expression Test, Body Body)[] branches, Body? otherwise, int line) : Statement(line)
{
    public override IEnumerable<Expression> Expressions => branches.Select(branch => branch.Test);

    public override IEnumerable<Statement> Children => branches.SelectMany(branch => branch.Body.Statements)
        .Concat(otherwise?.Statements ?? []);

    public override Flow Execute(Frame frame)
    {
        foreach (var (test, body) in branches)
        {
            if (Operators.IsTrue(test.Evaluate(frame)))
            {
                return body.Execute(frame);
            }
        }

        return otherwise?.Execute(frame) ?? Flow.Next;
    }

    public override void Collect(Scope scope)
    {
        branches[0].Test.Collect(scope);
        scope.EnterBranch();
        branches[0].Body.Collect(scope);
        foreach (var (test, body) in branches.Skip(1))
        {
            test.Collect(scope);
            body.Collect(scope);
        }

        otherwise?.Collect(scope);
        scope.LeaveBranch();
    }

    public override void Bind(Scope scope)
    {
        scope.EnterBranch();
        foreach (var (test, body) in branches)
        {
            test.Bind(scope);
            body.Bind(scope);
        }

        otherwise?.Bind(scope);
        scope.LeaveBranch();
    }
}

internal sealed class Jump(Flow flow, int line) : Statement(line)
{
    public override Flow Execute(Frame frame) => flow;

    public override void Collect(Scope scope)
    {
    }

    public override void Bind(Scope scope)
    {
    }
}

internal sealed class Assign(Target target, Expression value, int line) : Statement(line)
{
    public override IEnumerable<Expression> Expressions => [value];

    public override Flow Execute(Frame frame)
    {
        target.Assign(frame, value.Evaluate(frame));
        return Flow.Next;
    }

    public override void Collect(Scope scope)
    {
        value.Collect(scope);
        target.Collect(scope);
    }

    public override void Bind(Scope scope)
    {
        value.Bind(scope);
        target.Bind(scope);
    }
}

/// <summary>A set block: its output becomes the variable's value.</summary>
internal sealed class AssignBlock(Target target, FilterExpression? filter, Body body, int line) : Statement(line)
{
    private ScopeEntry? _entry;

    public override IEnumerable<Expression> Expressions => filter is null ? [] : [filter];

    public override IEnumerable<Statement> Children => body.Statements;

    public override Flow Execute(Frame frame)
    {
        _entry!.Enter(frame);
        var (text, flow) = body.Capture(frame);
        if (text is not null)
        {
            target.Assign(frame, filter is null ? text : filter.Evaluate(frame, text));
        }

        return flow;
    }

    public override void Collect(Scope scope) => target.Collect(scope);

    public override void Bind(Scope scope)
    {
        target.Bind(scope);
        var inner = scope.Inner();
        body.Collect(inner);
        filter?.Collect(inner);
        body.Bind(inner);
        filter?.Bind(inner);
        _entry = inner.Entry();
    }
}

internal sealed class FilterBlock(FilterExpression filter, Body body, int line) : Statement(line)
{
    private ScopeEntry? _entry;

    public override IEnumerable<Expression> Expressions => [filter];

    public override IEnumerable<Statement> Children => body.Statements;

    public override Flow Execute(Frame frame)
    {
        _entry!.Enter(frame);
        var (text, flow) = body.Capture(frame);
        if (text is not null)
        {
            frame.Context.Write(PythonText.Str(filter.Evaluate(frame, text)));
        }

        return flow;
    }

    public override void Collect(Scope scope) => filter.Collect(scope);

    public override void Bind(Scope scope)
    {
        var inner = scope.Inner();
        body.Collect(inner);
        filter.Collect(inner);
        body.Bind(inner);
        filter.Bind(inner);
        _entry = inner.Entry();
    }
}

internal sealed class With((Target Target, Expression Value)[] assignments, Body body, int line) : Statement(line)
{
    private ScopeEntry? _entry;

    public override IEnumerable<Expression> Expressions => assignments.Select(assignment => assignment.Value);

    public override IEnumerable<Statement> Children => body.Statements;

    public override Flow Execute(Frame frame)
    {
        _entry!.Enter(frame);
        foreach (var (target, value) in assignments)
        {
            target.Assign(frame, value.Evaluate(frame));
        }

        return body.Execute(frame);
    }

    public override void Collect(Scope scope)
    {
        foreach (var (_, value) in assignments)
        {
            value.Collect(scope);
        }
    }

    public override void Bind(Scope scope)
    {
        var inner = scope.Inner();
        foreach (var (target, _) in assignments)
        {
            target.CollectAsParameter(inner);
        }

        body.Collect(inner);
        foreach (var (target, value) in assignments)
        {
            value.Bind(scope);
            target.Bind(inner);
        }

        body.Bind(inner);
        _entry = inner.Entry();
    }
}

/// <summary>
/// A block of a template that nothing extends: it is rendered where it stands and sees top-level names only.
/// </summary>
internal sealed class Block(Body body, int line) : Statement(line)
{
    private ScopeEntry? _entry;
    private FunctionUnit? _function;

    public override IEnumerable<Statement> Children => body.Statements;

    public override Flow Execute(Frame frame)
    {
        var inner = new Frame(frame.Context, null, _function!.SlotCount);
        _entry!.Enter(inner);
        return body.Execute(inner);
    }

    public override void Collect(Scope scope)
    {
    }

    public override void Bind(Scope scope)
    {
        _function = new FunctionUnit(null);
        var inner = new Scope(null, _function);
        body.Collect(inner);
        body.Bind(inner);
        _entry = inner.Entry();
    }
}
