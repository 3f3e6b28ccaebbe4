namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>How a variable gets its value when its scope is entered.</summary>
internal enum VariableOrigin
{
    /// <summary>Set by whoever enters the scope: a loop's target, a macro's parameter.</summary>
    Parameter,

    /// <summary>Not set until an assignment runs.</summary>
    Unset,

    /// <summary>Looked up among the request's and the environment's variables.</summary>
    Request,

    /// <summary>A copy of the surrounding scope's variable of the same name.</summary>
    Outer,
}

/// <summary>One name in one scope, and its place in the frame of the function that holds the scope.</summary>
internal sealed class Variable(string name, FunctionUnit function, VariableOrigin origin, Variable? outer)
{
    public string Name { get; } = name;

    public FunctionUnit Function { get; } = function;

    public int Slot { get; } = function.SlotCount++;

    public VariableOrigin Origin { get; set; } = origin;

    public Variable? Outer { get; } = outer;
}

/// <summary>What becomes one frame at run time: the template, a macro, a call block, a recursive loop.</summary>
internal sealed class FunctionUnit(FunctionUnit? parent)
{
    public FunctionUnit? Parent { get; } = parent;

    public int SlotCount { get; set; }

    /// <summary>How many frames up from this function another one's frame is.</summary>
    public int HopsTo(FunctionUnit target)
    {
        var hops = 0;
        for (var function = this; function != target; function = function.Parent!)
        {
            hops++;
        }

        return hops;
    }
}

/// <summary>
/// The names of a scope. Jinja decides before running which names a scope sets: a name that is set anywhere in a scope
/// is that scope's own from its first line on, and one that is only read belongs to the nearest scope that sets it.
/// </summary>
internal sealed class Scope(Scope? parent, FunctionUnit function)
{
    private readonly Dictionary<string, Variable> _variables = [];
    private int _branchDepth;

    public FunctionUnit Function { get; } = function;

    /// <summary>True for the template's own scope, whose assignments blocks can see.</summary>
    public bool IsTop => parent is null;

    /// <summary>
    /// True inside a condition, where a filter or test that does not exist is a fault only if it runs.
    /// </summary>
    public bool IsConditional => _branchDepth > 0;

    public Scope Inner() => new(this, Function);

    public Scope InnerFunction() => new(this, new FunctionUnit(Function));

    public Variable? Find(string name) =>
        _variables.TryGetValue(name, out var variable) ? variable : parent?.Find(name);

    /// <summary>Notes that the scope reads a name.</summary>
    public void Load(string name)
    {
        if (Find(name) is null)
        {
            Define(name, VariableOrigin.Request, null);
        }
    }

    /// <summary>Notes that the scope sets a name.</summary>
    public void Store(string name)
    {
        if (_variables.ContainsKey(name))
        {
            return;
        }

        if (parent?.Find(name) is { } outer)
        {
            Define(name, VariableOrigin.Outer, outer);
        }
        else
        {
            // Where only a branch may set it, the request's variable shows through.
            Define(name, _branchDepth > 0 ? VariableOrigin.Request : VariableOrigin.Unset, null);
        }
    }

    public Variable Parameter(string name)
    {
        if (!_variables.TryGetValue(name, out var variable))
        {
            return Define(name, VariableOrigin.Parameter, null);
        }

        variable.Origin = VariableOrigin.Parameter;
        return variable;
    }

    public void EnterBranch() => _branchDepth++;

    public void LeaveBranch() => _branchDepth--;

    private Variable Define(string name, VariableOrigin origin, Variable? outer) =>
        _variables[name] = new Variable(name, Function, origin, outer);

    /// <summary>The work that entering the scope means, once its names are known.</summary>
    public ScopeEntry Entry() => new(this, [.. _variables.Values]);
}

/// <summary>Gives a scope's variables their first values.</summary>
internal sealed class ScopeEntry
{
    private readonly (Variable Variable, int Hops)[] _loads;

    public ScopeEntry(Scope scope, Variable[] variables) =>
        _loads = [.. variables.Where(variable => variable.Origin != VariableOrigin.Parameter).Select(
            variable => (variable, variable.Outer is null ? 0 : scope.Function.HopsTo(variable.Outer.Function)))];

    public void Enter(Frame frame)
    {
        foreach (var (variable, hops) in _loads)
        {
            frame.Slots[variable.Slot] = variable.Origin switch
            {
                VariableOrigin.Request => frame.Context.Resolve(variable.Name),
                VariableOrigin.Outer => Up(frame, hops).Slots[variable.Outer!.Slot],
                _ => null,
            };
        }
    }

    public static Frame Up(Frame frame, int hops)
    {
        for (; hops > 0; hops--)
        {
            frame = frame.Parent!;
        }

        return frame;
    }
}
