namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>The functions that every template can call.</summary>
internal static class Globals
{
    private const long RangeMax = 100_000;

    private static readonly Dictionary<string, object> Functions = new()
    {
        ["range"] = new Function("range", (_, arguments) => Range(arguments)),
        ["dict"] = new Function("dict", (_, arguments) => MakeDict(arguments)),
        ["namespace"] = new Function("namespace", (_, arguments) => MakeNamespace(arguments)),
        ["cycler"] = new Function("cycler", (_, arguments) => arguments.Positional.Length > 0
            ? new Cycler(arguments.Positional)
            : throw new TemplateFault("RuntimeError", "at least one item has to be provided")),
        ["joiner"] = new Function("joiner", (_, arguments) =>
            new Joiner(arguments.Bind("joiner", 0, "sep")[0] ?? ", ")),
        ["raise_exception"] = new Function("raise_exception", (_, arguments) => throw new TemplateFault(
            TemplateFault.Raised, PythonText.Str(arguments.Bind("raise_exception", 1, "message")[0]!))),
        ["strftime_now"] = new Function("strftime_now", (context, arguments) => TimeFormat.Format(
            context.Time.GetLocalNow(),
            StringMethods.TextArgument(arguments.Bind("strftime_now", 1, "format")[0], "strftime() argument 1"))),
    };

    public static object? Find(string name) => Functions.GetValueOrDefault(name);

    private static RangeValue Range(CallArguments arguments)
    {
        var given = arguments.Positional;
        if (given.Length is < 1 or > 3)
        {
            var bound = given.Length == 0 ? "at least 1 argument" : "at most 3 arguments";
            throw TemplateFault.Type($"range expected {bound}, got {given.Length}");
        }

        var numbers = Array.ConvertAll(given, StringMethods.Width);
        var range = numbers.Length == 1 ? new RangeValue(0, numbers[0], 1)
            : new RangeValue(numbers[0], numbers[1], numbers.Length == 3 ? numbers[2] : 1);
        if (range.Step == 0)
        {
            throw TemplateFault.Value("range() arg 3 must not be zero");
        }

        return range.Count > RangeMax
            ? throw new TemplateFault("OverflowError",
                $"Range too big. The sandbox blocks ranges larger than MAX_RANGE ({RangeMax}).")
            : range;
    }

    private static DictValue MakeDict(CallArguments arguments)
    {
        if (arguments.Positional.Length > 1)
        {
            throw TemplateFault.Type($"dict expected at most 1 argument, got {arguments.Positional.Length}");
        }

        var dict = new DictValue();
        if (arguments.Positional is [DictValue source])
        {
            foreach (var (key, value) in source.Pairs)
            {
                dict[key] = value;
            }
        }
        else if (arguments.Positional is [var pairs])
        {
            foreach (var pair in Operators.Iterate(pairs))
            {
                if (!Operators.IsIterable(pair))
                {
                    throw TemplateFault.Type(
                        $"cannot convert dictionary update sequence element #{dict.Count} to a sequence");
                }

                var items = Operators.Iterate(pair).Take(3).ToList();
                if (items.Count != 2)
                {
                    throw TemplateFault.Value("dictionary update sequence element has the wrong length; 2 is required");
                }

                dict[items[0]] = items[1];
            }
        }

        foreach (var (key, value) in arguments.Keywords ?? [])
        {
            dict[key] = value;
        }

        return dict;
    }

    private static NamespaceValue MakeNamespace(CallArguments arguments)
    {
        var space = new NamespaceValue();
        foreach (var (key, value) in MakeDict(arguments).Pairs)
        {
            space.Attributes[key] = value;
        }

        return space;
    }
}

/// <summary>Gives its items in turn.</summary>
internal sealed class Cycler(object[] items) : ICallable, IHasAttributes
{
    private int _position;

    public string TypeName => "Cycler";

    // The object itself cannot be called; only its methods can.
    public object Call(RenderContext context, CallArguments arguments) =>
        throw TemplateFault.Type("'Cycler' object is not callable");

    public object? GetAttribute(string name) => name switch
    {
        "current" => items[_position],
        "next" => new Function(name, (_, _) =>
        {
            var value = GetAttribute("current")!;
            _position = (_position + 1) % items.Length;
            return value;
        }),
        "reset" => new Function(name, (_, _) =>
        {
            _position = 0;
            return NoneValue.Instance;
        }),
        _ => null,
    };
}

/// <summary>Gives nothing the first time it is called and a separator from then on.</summary>
internal sealed class Joiner(object separator) : ICallable
{
    private bool _isUsed;

    public string TypeName => "Joiner";

    public object Call(RenderContext context, CallArguments arguments)
    {
        if (_isUsed)
        {
            return separator;
        }

        _isUsed = true;
        return "";
    }
}
