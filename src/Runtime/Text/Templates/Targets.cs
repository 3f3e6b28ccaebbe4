namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>What an assignment or a loop writes to.</summary>
internal abstract class Target
{
    public abstract void Assign(Frame frame, object value);

    public abstract void Collect(Scope scope);

    public abstract void CollectAsParameter(Scope scope);

    public abstract void Bind(Scope scope);

    /// <summary>The same target, to be bound in another scope.</summary>
    public abstract Target Copy();
}

internal sealed class NameTarget(string name) : Target
{
    private int _slot;
    private bool _isExported;

    public string Name { get; } = name;

    public override void Assign(Frame frame, object value)
    {
        frame.Slots[_slot] = value;
        if (_isExported && frame.Context.Exports is { } exports)
        {
            exports[Name] = value;
        }
    }

    public override void Collect(Scope scope) => scope.Store(Name);

    public override void CollectAsParameter(Scope scope) => scope.Parameter(Name);

    public override void Bind(Scope scope)
    {
        _slot = scope.Find(Name)!.Slot;
        _isExported = scope.IsTop;
    }

    public override Target Copy() => new NameTarget(Name);
}

internal sealed class TupleTarget(Target[] targets) : Target
{
    public override void Assign(Frame frame, object value)
    {
        if (!Operators.IsIterable(value))
        {
            throw TemplateFault.Type($"cannot unpack non-iterable {Operators.TypeName(value)} object");
        }

        // One more than fits shows that there are too many; an endless iterator is not read to its end.
        var values = Operators.Iterate(value).Take(targets.Length + 1).ToList();
        if (values.Count < targets.Length)
        {
            throw TemplateFault.Value(
                $"not enough values to unpack (expected {targets.Length}, got {values.Count})");
        }

        if (values.Count > targets.Length)
        {
            throw TemplateFault.Value($"too many values to unpack (expected {targets.Length})");
        }

        for (var i = 0; i < targets.Length; i++)
        {
            targets[i].Assign(frame, values[i]);
        }
    }

    public override void Collect(Scope scope) => Array.ForEach(targets, target => target.Collect(scope));

    public override void CollectAsParameter(Scope scope) =>
        Array.ForEach(targets, target => target.CollectAsParameter(scope));

    public override void Bind(Scope scope) => Array.ForEach(targets, target => target.Bind(scope));

    public override Target Copy() => new TupleTarget(Array.ConvertAll(targets, target => target.Copy()));
}

/// <summary>An attribute of a namespace object.</summary>
internal sealed class NamespaceTarget(string name, string attribute) : Target
{
    private readonly Name _space = new(name);

    public override void Assign(Frame frame, object value)
    {
        if (_space.Evaluate(frame) is not NamespaceValue space)
        {
            throw TemplateFault.Runtime("cannot assign attribute on non-namespace object");
        }

        space.Attributes[attribute] = value;
    }

    public override void Collect(Scope scope) => _space.Collect(scope);

    public override void CollectAsParameter(Scope scope) => _space.Collect(scope);

    public override void Bind(Scope scope) => _space.Bind(scope);

    public override Target Copy() => new NamespaceTarget(name, attribute);
}
