namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>A loop, with its condition, its else part and, where it is recursive, its function.</summary>
internal sealed class For(
    Target target,
    Expression items,
    Expression? test,
    Body body,
    Body? otherwise,
    bool isRecursive,
    int line) : Statement(line)
{
    private readonly bool _usesLoop = isRecursive || Usage.Mentions(body, "loop");
    private FunctionUnit? _function;
    private ScopeEntry? _bodyEntry;
    private ScopeEntry? _elseEntry;
    private ScopeEntry? _testEntry;
    private Target? _testTarget;
    private int _loopSlot;

    public Expression Items { get; } = items;

    public override IEnumerable<Expression> Expressions => test is null ? [Items] : [Items, test];

    public override IEnumerable<Statement> Children => body.Statements.Concat(otherwise?.Statements ?? []);

    public override Flow Execute(Frame frame)
    {
        var values = Items.Evaluate(frame);
        if (!isRecursive)
        {
            return Run(frame, values, null);
        }

        frame.Context.Write(Recurse(frame, values, 0));
        return Flow.Next;
    }

    /// <summary>Renders the loop over other items, one level deeper: what <c>loop(items)</c> does.</summary>
    private string Recurse(Frame outer, object values, int depth)
    {
        StackGuard.Check();
        var frame = new Frame(outer.Context, outer, _function!.SlotCount);
        var context = frame.Context;
        var saved = context.BeginCapture();
        Run(frame, values, new LoopRecursion(next => Recurse(outer, next, depth + 1), depth));
        return context.EndCapture(saved);
    }

    private Flow Run(Frame frame, object values, LoopRecursion? recursion)
    {
        if (!Operators.IsIterable(values))
        {
            throw TemplateFault.Type($"'{Operators.TypeName(values)}' object is not iterable");
        }

        var source = test is null ? Operators.Iterate(values) : Accepted(frame, Operators.Iterate(values));
        var loop = _usesLoop
            ? new LoopContext(source, test is null ? Operators.Length(values) : null, recursion) : null;
        var isElse = true;
        foreach (var value in loop?.Turns() ?? source)
        {
            frame.Context.Spend();
            if (loop is not null)
            {
                frame.Slots[_loopSlot] = loop;
            }

            target.Assign(frame, value);
            _bodyEntry!.Enter(frame);
            var flow = body.Execute(frame);
            if (flow == Flow.Break)
            {
                break;
            }

            // Jinja notes that the loop ran at the end of a turn, which a continue does not reach.
            isElse &= flow == Flow.Continue;
        }

        if (!isElse || otherwise is null)
        {
            return Flow.Next;
        }

        _elseEntry!.Enter(frame);
        return otherwise.Execute(frame);
    }

    private IEnumerable<object> Accepted(Frame frame, IEnumerable<object> values)
    {
        _testEntry!.Enter(frame);
        foreach (var value in values)
        {
            frame.Context.Spend();
            _testTarget!.Assign(frame, value);
            if (Operators.IsTrue(test!.Evaluate(frame)))
            {
                yield return value;
            }
        }
    }

    public override void Collect(Scope scope) => Items.Collect(scope);

    public override void Bind(Scope scope)
    {
        Items.Bind(scope);
        var outer = isRecursive ? scope.InnerFunction() : scope;
        _function = outer.Function;

        var inner = outer.Inner();
        if (_usesLoop)
        {
            _loopSlot = inner.Parameter("loop").Slot;
        }

        target.CollectAsParameter(inner);
        body.Collect(inner);
        target.Bind(inner);
        body.Bind(inner);
        _bodyEntry = inner.Entry();
        if (otherwise is not null)
        {
            var elseScope = outer.Inner();
            otherwise.Collect(elseScope);
            otherwise.Bind(elseScope);
            _elseEntry = elseScope.Entry();
        }

        if (test is not null)
        {
            BindTest(outer.Inner());
        }
    }

    /// <summary>The condition has its own copy of the target: the loop may look one item ahead of the body.</summary>
    private void BindTest(Scope scope)
    {
        _testTarget = target.Copy();
        _testTarget.CollectAsParameter(scope);
        test!.Collect(scope);
        _testTarget.Bind(scope);
        test.Bind(scope);
        _testEntry = scope.Entry();
    }
}
