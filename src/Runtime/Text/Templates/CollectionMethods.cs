namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>The methods of dicts, lists and tuples that do not change them.</summary>
internal static class CollectionMethods
{
    public static Function? Find(DictValue dict, string name) => name switch
    {
        "get" => new Function(name, (_, arguments) => Get(dict, arguments)),
        "items" => new Function(name, (_, arguments) => View(dict, DictViewKind.Items, arguments)),
        "keys" => new Function(name, (_, arguments) => View(dict, DictViewKind.Keys, arguments)),
        "values" => new Function(name, (_, arguments) => View(dict, DictViewKind.Values, arguments)),
        "copy" => new Function(name, (_, _) => Copy(dict)),
        "fromkeys" => new Function(name, (_, arguments) => FromKeys(arguments)),
        _ => null,
    };

    private static object Get(DictValue dict, CallArguments arguments)
    {
        if (arguments.KeywordCount > 0)
        {
            throw TemplateFault.Type("dict.get() takes no keyword arguments");
        }

        if (arguments.Positional.Length is not (1 or 2))
        {
            throw TemplateFault.Type(arguments.Positional.Length == 0
                ? "get expected at least 1 argument, got 0"
                : $"get expected at most 2 arguments, got {arguments.Positional.Length}");
        }

        return dict.Find(arguments.Positional[0])
            ?? (arguments.Positional.Length == 2 ? arguments.Positional[1] : NoneValue.Instance);
    }

    private static DictView View(DictValue dict, DictViewKind kind, CallArguments arguments)
    {
        var name = kind.ToString().ToLowerInvariant();
        return arguments.KeywordCount > 0 || arguments.Positional.Length > 0
            ? throw TemplateFault.Type($"dict.{name}() takes no arguments ({arguments.Positional.Length} given)")
            : new DictView(dict, kind);
    }

    private static DictValue Copy(DictValue dict)
    {
        var copy = new DictValue(dict.Count);
        foreach (var (key, value) in dict.Pairs)
        {
            copy[key] = value;
        }

        return copy;
    }

    private static DictValue FromKeys(CallArguments arguments)
    {
        var bound = arguments.Bind("fromkeys", 1, "iterable", "value");
        var dict = new DictValue();
        foreach (var key in Operators.Iterate(bound[0]!))
        {
            dict[key] = bound[1] ?? NoneValue.Instance;
        }

        return dict;
    }

    public static Function? FindInSequence(IReadOnlyList<object> items, string name, bool hasCopy) => name switch
    {
        "count" => new Function(name, (_, arguments) =>
        {
            var wanted = arguments.Bind("count", 1, "value")[0]!;
            return Box.Of((long)items.Count(item => Operators.AreEqual(item, wanted)));
        }),
        "index" => new Function(name, (_, arguments) => IndexOf(items, arguments, hasCopy)),
        "copy" when hasCopy => new Function(name, (_, _) => new ListValue(new List<object>(items))),
        _ => null,
    };

    private static object IndexOf(IReadOnlyList<object> items, CallArguments arguments, bool isList)
    {
        var bound = arguments.Bind("index", 1, "value", "start", "stop");
        var start = Bound(bound[1], 0, items.Count);
        var stop = Bound(bound[2], items.Count, items.Count);
        for (var i = start; i < stop; i++)
        {
            if (Operators.AreEqual(items[(int)i], bound[0]!))
            {
                return Box.Of(i);
            }
        }

        throw TemplateFault.Value(isList
            ? $"{PythonText.Repr(bound[0]!)} is not in list" : "tuple.index(x): x not in tuple");
    }

    private static long Bound(object? value, long fallback, long count)
    {
        if (value is null)
        {
            return fallback;
        }

        return Operators.TryIndex(value, out var index)
            ? Math.Clamp(index < 0 ? index + count : index, 0, count)
            : throw TemplateFault.Type("slice indices must be integers or have an __index__ method");
    }
}
