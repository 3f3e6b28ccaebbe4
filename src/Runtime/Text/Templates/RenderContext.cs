using System.Text;
using System.Text.Json.Nodes;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>The state of one rendering: variables, output and what it may still spend.</summary>
internal sealed class RenderContext(JsonObject variables, TimeProvider time)
{
    /// <summary>
    /// Longest text that a template may build, in UTF-16 units: a prompt of 8 million tokens at four a token.
    /// </summary>
    private const int TextLengthMax = 32 << 20;

    /// <summary>Longest list that an operator or filter may build.</summary>
    private const int ItemCountMax = 4 << 20;

    /// <summary>
    /// Statements, loop turns and calls of one rendering; at 20 to 50 ns each this is a second or two.
    /// </summary>
    private const int StepCountMax = 20_000_000;

    private readonly Dictionary<string, object?> _resolved = [];
    private int _steps;

    public TimeProvider Time { get; } = time;

    public StringBuilder Output { get; private set; } = new(4096);

    /// <summary>The line of the statement that runs.</summary>
    public int Line { get; set; }

    /// <summary>Top-level variables that blocks can see, kept only for templates that have blocks.</summary>
    public Dictionary<string, object>? Exports { get; set; }

    public static void CheckLength(double length)
    {
        if (length > TextLengthMax)
        {
            throw TemplateFault.TooMuch($"the template builds a text of more than {TextLengthMax} characters");
        }
    }

    public static void CheckCount(double count)
    {
        if (count > ItemCountMax)
        {
            throw TemplateFault.TooMuch($"the template builds a list of more than {ItemCountMax} items");
        }
    }

    /// <summary>Counts work, so that a template cannot run forever.</summary>
    public void Spend(int steps = 1)
    {
        _steps += steps;
        if (_steps > StepCountMax)
        {
            throw TemplateFault.TooMuch($"the template needs more than {StepCountMax} steps");
        }
    }

    /// <summary>Counts the work of building a value that an operator or filter returned.</summary>
    public void SpendOn(object value)
    {
        switch (value)
        {
            case string { Length: > 256 } text:
                Spend(text.Length / 256);
                break;
            case ListValue { Items.Count: > 16 } list:
                Spend(list.Items.Count / 16);
                break;
        }
    }

    public void Write(string text)
    {
        CheckLength((double)Output.Length + text.Length);
        Output.Append(text);
    }

    /// <summary>Directs output into a buffer until <see cref="EndCapture"/>.</summary>
    public StringBuilder BeginCapture()
    {
        var outer = Output;
        Output = new StringBuilder();
        return outer;
    }

    public string EndCapture(StringBuilder outer)
    {
        var text = Output.ToString();
        Output = outer;
        return text;
    }

    /// <summary>A variable of the request or the environment; null where there is none.</summary>
    public object? Resolve(string name)
    {
        if (Exports is not null && Exports.TryGetValue(name, out var exported))
        {
            return exported;
        }

        if (!_resolved.TryGetValue(name, out var value))
        {
            value = variables.TryGetPropertyValue(name, out var node) ? Json.FromNode(node) : Globals.Find(name);
            _resolved[name] = value;
        }

        return value;
    }
}

/// <summary>The variables of one function call: of the template, a macro or a recursive loop.</summary>
internal sealed class Frame(RenderContext context, Frame? parent, int slotCount)
{
    public RenderContext Context { get; } = context;

    public Frame? Parent { get; } = parent;

    public object?[] Slots { get; } = new object?[slotCount];
}
