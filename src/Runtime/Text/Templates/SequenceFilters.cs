namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>Filters over lists, dicts and other iterables.</summary>
internal static class SequenceFilters
{
    public static ListValue Collect(IEnumerable<object> items)
    {
        var list = new List<object>();
        foreach (var item in items)
        {
            RenderContext.CheckCount(list.Count);
            list.Add(item);
        }

        return new ListValue(list);
    }

    public static object Length(RenderContext context, object value, CallArguments arguments) =>
        Operators.Length(value) is { } length ? Box.Of(length)
        : throw TemplateFault.Type($"object of type '{Operators.TypeName(value)}' has no len()");

    public static object First(RenderContext context, object value, CallArguments arguments) =>
        Operators.Iterate(value).FirstOrDefault() ?? new UndefinedValue("No first item, sequence was empty.");

    public static object Last(RenderContext context, object value, CallArguments arguments)
    {
        if (value is GeneratorValue || !Operators.IsIterable(value))
        {
            throw TemplateFault.Type($"'{Operators.TypeName(value)}' object is not reversible");
        }

        return Operators.Iterate(value).LastOrDefault() ?? new UndefinedValue("No last item, sequence was empty.");
    }

    public static object Choose(RenderContext context, object value, CallArguments arguments)
    {
        var items = Collect(Operators.Iterate(value)).Items;
        return items.Count == 0
            ? new UndefinedValue("No random item, sequence was empty.") : items[Random.Shared.Next(items.Count)];
    }

    public static object Items(RenderContext context, object value, CallArguments arguments) =>
        new GeneratorValue(Pairs(value));

    /// <summary>As all generators, it looks at its input only when it is read.</summary>
    private static IEnumerable<object> Pairs(object value)
    {
        var pairs = value switch
        {
            UndefinedValue => [],
            DictValue dict => new DictView(dict, DictViewKind.Items).Items,
            _ => throw TemplateFault.Type("Can only get item pairs from a mapping."),
        };
        foreach (var pair in pairs)
        {
            yield return pair;
        }
    }

    public static object Join(RenderContext context, object value, CallArguments arguments)
    {
        var bound = arguments.Bind("join", 0, "d", "attribute");
        var getter = Selection.Getter(bound[1]);
        var separator = PythonText.Str(bound[0] ?? "");
        var length = 0.0;
        var texts = new List<string>();
        foreach (var item in Operators.Iterate(value))
        {
            var text = PythonText.Str(getter(item));
            length += text.Length + separator.Length;
            RenderContext.CheckLength(length);
            RenderContext.CheckCount(texts.Count);
            texts.Add(text);
        }

        return string.Join(separator, texts);
    }

    public static object Reverse(RenderContext context, object value, CallArguments arguments)
    {
        if (Operators.AsText(value) is { } text)
        {
            return string.Concat(PythonText.Characters(text).Reverse().Cast<string>());
        }

        if (!Operators.IsIterable(value))
        {
            throw TemplateFault.FilterArgument("argument must be iterable");
        }

        var reversed = Collect(Operators.Iterate(value)).Items;
        reversed.Reverse();
        return value is GeneratorValue or UndefinedValue
            ? new ListValue(reversed)
            : new GeneratorValue(reversed, Operators.TypeName(value) switch
            {
                "list" => "list_reverseiterator",
                "dict" => "dict_reversekeyiterator",
                _ => "reversed",
            });
    }

    private static Func<object, object>? CasePolicy(object? isCaseSensitive) =>
        Filters.IsTrue(isCaseSensitive) ? null : Sorting.IgnoreCase;

    public static object Sort(RenderContext context, object value, CallArguments arguments)
    {
        var bound = arguments.Bind("sort", 0, "reverse", "case_sensitive", "attribute");
        return new ListValue(Sorting.Sort(
            Collect(Operators.Iterate(value)).Items, SortKey(bound[2], CasePolicy(bound[1])),
            Filters.IsTrue(bound[0])));
    }

    /// <summary>
    /// A key of one attribute path, or of several with commas between. It is a tuple in any case: two items that both
    /// lack the attribute are equal then, where comparing the undefined values themselves would fail.
    /// </summary>
    private static Func<object, object> SortKey(object? attribute, Func<object, object>? after)
    {
        var paths = attribute is null ? null : Operators.AsText(attribute);
        var getters = paths is null
            ? [Selection.Getter(attribute, after)]
            : Array.ConvertAll(paths.Split(','), path => Selection.Getter(path, after));
        return item => new TupleValue(Array.ConvertAll(getters, getter => getter(item)));
    }

    public static object DictSort(RenderContext context, object value, CallArguments arguments)
    {
        var bound = arguments.Bind("dictsort", 0, "case_sensitive", "by", "reverse");
        var place = PythonText.Str(bound[1] ?? "key") switch
        {
            "key" => 0,
            "value" => 1,
            _ => throw TemplateFault.FilterArgument("You can only sort by either \"key\" or \"value\""),
        };
        var dict = value switch
        {
            DictValue given => given,
            UndefinedValue undefined => throw undefined.Fault,
            _ => throw new TemplateFault(
                "AttributeError", $"'{Operators.TypeName(value)}' object has no attribute 'items'"),
        };
        var after = CasePolicy(bound[0]);
        return new ListValue(Sorting.Sort(
            [.. new DictView(dict, DictViewKind.Items).Items],
            pair => ((TupleValue)pair).Items[place] is var key && after is null ? key : after(key),
            Filters.IsTrue(bound[2])));
    }

    public static object Unique(RenderContext context, object value, CallArguments arguments)
    {
        var bound = arguments.Bind("unique", 0, "case_sensitive", "attribute");
        return new GeneratorValue(Distinct(
            value, Selection.Getter(bound[1], CasePolicy(bound[0]))));
    }

    private static IEnumerable<object> Distinct(object items, Func<object, object> key)
    {
        var seen = new DictValue();
        foreach (var item in Operators.Iterate(items))
        {
            var found = key(item);
            if (!seen.Contains(found))
            {
                seen[found] = Box.True;
                yield return item;
            }
        }
    }

    public static object Extreme(object value, CallArguments arguments, string name, string symbol)
    {
        var bound = arguments.Bind(name, 0, "case_sensitive", "attribute");
        var getter = Selection.Getter(bound[1], CasePolicy(bound[0]));
        object? best = null;
        object? bestKey = null;
        foreach (var item in Operators.Iterate(value))
        {
            var key = getter(item);
            if (bestKey is null || Operators.Ordered(key, bestKey, symbol))
            {
                (best, bestKey) = (item, key);
            }
        }

        return best ?? new UndefinedValue("No aggregated item, sequence was empty.");
    }

    public static object Sum(RenderContext context, object value, CallArguments arguments)
    {
        var bound = arguments.Bind("sum", 0, "attribute", "start");
        var getter = Selection.Getter(bound[0]);
        var total = bound[1] ?? Box.Of(0);
        if (total is string)
        {
            throw TemplateFault.Type("sum() can't sum strings [use ''.join(seq) instead]");
        }

        foreach (var item in Operators.Iterate(value))
        {
            total = Arithmetic.Add(total, getter(item));
        }

        return total;
    }

    public static object GroupBy(RenderContext context, object value, CallArguments arguments)
    {
        var bound = arguments.Bind("groupby", 1, "attribute", "default", "case_sensitive");
        var after = CasePolicy(bound[2]);
        var path = Selection.Getter(bound[0]);
        object Key(object item) => path(item) is var found && found is UndefinedValue ? bound[1] ?? found : found;
        object Folded(object item) => Key(item) is var found && after is null ? found : after(found);
        var groups = new List<object>();
        List<object>? members = null;
        object? current = null;
        foreach (var item in Sorting.Sort(Collect(Operators.Iterate(value)).Items, Folded, isReverse: false))
        {
            var key = Folded(item);
            if (members is null || !Operators.AreEqual(key, current!))
            {
                members = [];
                current = key;
                groups.Add(new TupleValue([Key(item), new ListValue(members)], ["grouper", "list"]));
            }

            members.Add(item);
        }

        return new ListValue(groups);
    }

    public static object Batch(RenderContext context, object value, CallArguments arguments)
    {
        var bound = arguments.Bind("batch", 1, "linecount", "fill_with");
        return new GeneratorValue(
            Batches(value, StringMethods.Width(bound[0]!), bound[1] ?? NoneValue.Instance));
    }

    private static IEnumerable<object> Batches(object items, long size, object fill)
    {
        var batch = new List<object>();
        foreach (var item in Operators.Iterate(items))
        {
            if (batch.Count == size)
            {
                yield return new ListValue(batch);
                batch = [];
            }

            batch.Add(item);
        }

        if (batch.Count > 0)
        {
            RenderContext.CheckCount(size);
            while (fill is not NoneValue && batch.Count < size)
            {
                batch.Add(fill);
            }

            yield return new ListValue(batch);
        }
    }

    public static object Slice(RenderContext context, object value, CallArguments arguments)
    {
        var bound = arguments.Bind("slice", 1, "slices", "fill_with");
        var count = StringMethods.Width(bound[0]!);
        RenderContext.CheckCount(count);
        return new GeneratorValue(Slices(value, count, bound[1] ?? NoneValue.Instance));
    }

    private static IEnumerable<object> Slices(object value, long count, object fill)
    {
        var items = Collect(Operators.Iterate(value)).Items;
        if (count == 0)
        {
            throw new TemplateFault("ZeroDivisionError", "integer division or modulo by zero");
        }

        var (size, longer) = (items.Count / count, items.Count % count);
        var start = 0L;
        for (var i = 0L; i < count; i++)
        {
            var length = size + (i < longer ? 1 : 0);
            var slice = items.GetRange((int)start, (int)length);
            start += length;
            if (fill is not NoneValue && i >= longer && longer > 0)
            {
                slice.Add(fill);
            }

            yield return new ListValue(slice);
        }
    }
}
