namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>A part of a template that has a value.</summary>
internal abstract class Expression
{
    public abstract object Evaluate(Frame frame);

    /// <summary>The parts of this one, in the order in which they are evaluated.</summary>
    public virtual IEnumerable<Expression> Parts => [];

    /// <summary>Notes which names the expression reads.</summary>
    public virtual void Collect(Scope scope)
    {
        StackGuard.Check();
        foreach (var part in Parts)
        {
            part.Collect(scope);
        }
    }

    /// <summary>Connects names with variables, after all names of the scope were collected.</summary>
    public virtual void Bind(Scope scope)
    {
        StackGuard.Check();
        foreach (var part in Parts)
        {
            part.Bind(scope);
        }
    }
}

internal sealed class Constant(object value) : Expression
{
    public object Value { get; } = value;

    public override object Evaluate(Frame frame) => Value;
}

internal sealed class Name(string text) : Expression
{
    private int _hops;
    private int _slot;

    public string Text { get; } = text;

    public override object Evaluate(Frame frame) =>
        ScopeEntry.Up(frame, _hops).Slots[_slot] ?? UndefinedValue.Variable(Text);

    public override void Collect(Scope scope) => scope.Load(Text);

    public override void Bind(Scope scope)
    {
        // Names in places that Jinja does not analyse, such as the filter of a set block, are collected late.
        scope.Load(Text);
        var variable = scope.Find(Text)!;
        (_hops, _slot) = (scope.Function.HopsTo(variable.Function), variable.Slot);
    }
}

internal enum SequenceKind
{
    List,
    Tuple,
}

internal sealed class SequenceLiteral(SequenceKind kind, Expression[] items) : Expression
{
    public SequenceKind Kind { get; } = kind;

    public Expression[] Items { get; } = items;

    public override IEnumerable<Expression> Parts => Items;

    public override object Evaluate(Frame frame)
    {
        StackGuard.Check();
        var values = new object[Items.Length];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = Items[i].Evaluate(frame);
        }

        return Kind == SequenceKind.List ? new ListValue(new List<object>(values)) : new TupleValue(values);
    }
}

internal sealed class DictLiteral(KeyValuePair<Expression, Expression>[] pairs) : Expression
{
    public override IEnumerable<Expression> Parts => pairs.SelectMany(pair => new[] { pair.Key, pair.Value });

    public override object Evaluate(Frame frame)
    {
        StackGuard.Check();
        var dict = new DictValue(pairs.Length);
        foreach (var (key, value) in pairs)
        {
            dict[key.Evaluate(frame)] = value.Evaluate(frame);
        }

        return dict;
    }
}

internal sealed class Conditional(Expression test, Expression then, Expression? otherwise, int line) : Expression
{
    public override IEnumerable<Expression> Parts => otherwise is null ? [test, then] : [test, then, otherwise];

    public override object Evaluate(Frame frame)
    {
        StackGuard.Check();
        return Operators.IsTrue(test.Evaluate(frame)) ? then.Evaluate(frame)
            : otherwise?.Evaluate(frame) ?? new UndefinedValue(
                $"the inline if-expression on line {line} evaluated to false and no else section was defined.");
    }

    public override void Bind(Scope scope)
    {
        scope.EnterBranch();
        base.Bind(scope);
        scope.LeaveBranch();
    }
}

/// <summary><c>and</c> or <c>or</c>: the value of the operand that decides.</summary>
internal sealed class Logical(bool isAnd, Expression left, Expression right) : Expression
{
    public override IEnumerable<Expression> Parts => [left, right];

    public override object Evaluate(Frame frame)
    {
        StackGuard.Check();
        var value = left.Evaluate(frame);
        return Operators.IsTrue(value) == isAnd ? right.Evaluate(frame) : value;
    }
}

internal sealed class Not(Expression operand) : Expression
{
    public override IEnumerable<Expression> Parts => [operand];

    public override object Evaluate(Frame frame)
    {
        StackGuard.Check();
        return Box.Of(!Operators.IsTrue(operand.Evaluate(frame)));
    }
}

internal sealed class Unary(Func<object, object> apply, Expression operand) : Expression
{
    public override IEnumerable<Expression> Parts => [operand];

    public override object Evaluate(Frame frame)
    {
        StackGuard.Check();
        return apply(operand.Evaluate(frame));
    }
}

internal sealed class Binary(Func<object, object, object> apply, Expression left, Expression right) : Expression
{
    public override IEnumerable<Expression> Parts => [left, right];

    public override object Evaluate(Frame frame)
    {
        StackGuard.Check();
        var value = apply(left.Evaluate(frame), right.Evaluate(frame));
        frame.Context.SpendOn(value);
        return value;
    }
}

/// <summary>A chain of comparisons, each with its neighbour.</summary>
internal sealed class Comparison(Expression first, (string Symbol, Expression Operand)[] rest) : Expression
{
    public override IEnumerable<Expression> Parts => rest.Select(link => link.Operand).Prepend(first);

    public override object Evaluate(Frame frame)
    {
        StackGuard.Check();
        var left = first.Evaluate(frame);
        foreach (var (symbol, operand) in rest)
        {
            var right = operand.Evaluate(frame);
            if (!Holds(symbol, left, right))
            {
                return Box.False;
            }

            left = right;
        }

        return Box.True;
    }

    public static bool Holds(string symbol, object left, object right) => symbol switch
    {
        "==" => Operators.AreEqual(left, right),
        "!=" => !Operators.AreEqual(left, right),
        "in" => Operators.Contains(right, left),
        "not in" => !Operators.Contains(right, left),
        _ => Operators.Ordered(left, right, symbol),
    };
}

/// <summary><c>~</c>: the text of all operands, joined.</summary>
internal sealed class Concatenation(Expression[] operands) : Expression
{
    public override IEnumerable<Expression> Parts => operands;

    public override object Evaluate(Frame frame)
    {
        StackGuard.Check();
        var texts = new string[operands.Length];
        var length = 0L;
        for (var i = 0; i < texts.Length; i++)
        {
            texts[i] = PythonText.Str(operands[i].Evaluate(frame));
            length += texts[i].Length;
        }

        RenderContext.CheckLength(length);
        var text = string.Concat(texts);
        frame.Context.SpendOn(text);
        return text;
    }
}

internal sealed class GetAttribute(Expression owner, string name) : Expression
{
    public Expression Owner { get; } = owner;

    public string Attribute { get; } = name;

    public override IEnumerable<Expression> Parts => [Owner];

    public override object Evaluate(Frame frame)
    {
        StackGuard.Check();
        return Attributes.Get(Owner.Evaluate(frame), Attribute);
    }
}

internal sealed class GetItem(Expression owner, Expression key) : Expression
{
    public Expression Owner { get; } = owner;

    public Expression Key { get; } = key;

    public override IEnumerable<Expression> Parts => [Owner, Key];

    public override object Evaluate(Frame frame)
    {
        StackGuard.Check();
        return Attributes.GetItem(Owner.Evaluate(frame), Key.Evaluate(frame));
    }
}

/// <summary>The bounds in square brackets; its value is understood by subscripts only.</summary>
internal sealed class SliceExpression(Expression? start, Expression? stop, Expression? step) : Expression
{
    public override IEnumerable<Expression> Parts => new[] { start, stop, step }.OfType<Expression>();

    public override object Evaluate(Frame frame) => new SliceValue(
        start?.Evaluate(frame) ?? NoneValue.Instance,
        stop?.Evaluate(frame) ?? NoneValue.Instance,
        step?.Evaluate(frame) ?? NoneValue.Instance);
}
