namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>map, select, reject and their kin: lazy, over tests, filters and attribute paths.</summary>
internal static class Selection
{
    public static object Map(RenderContext context, object value, CallArguments arguments)
    {
        Func<object, object> change;
        if (arguments.Positional.Length == 0 && arguments.Keyword("attribute") is { } path)
        {
            var fallback = arguments.Keyword("default");
            var surplus = arguments.Keywords!.Find(pair => pair.Key is not ("attribute" or "default")).Key;
            if (surplus is not null)
            {
                throw TemplateFault.FilterArgument($"Unexpected keyword argument {PythonText.Quote(surplus)}");
            }

            var getter = Getter(path);
            change = item => getter(item) is var found && found is UndefinedValue ? fallback ?? found : found;
        }
        else
        {
            if (arguments.Positional.Length == 0)
            {
                throw TemplateFault.FilterArgument("map requires a filter argument");
            }

            var name = PythonText.Str(arguments.Positional[0]);
            var filter = Filters.Find(name)
                ?? throw TemplateFault.Runtime($"No filter named {PythonText.Quote(name)}.");
            var rest = new CallArguments(arguments.Positional[1..], arguments.Keywords);
            change = item => filter(context, item, rest);
        }

        return new GeneratorValue(Apply(context, value, change));
    }

    private static IEnumerable<object> Apply(RenderContext context, object value, Func<object, object> change)
    {
        if (!Operators.IsTrue(value))
        {
            yield break;
        }

        foreach (var item in Operators.Iterate(value))
        {
            context.Spend();
            yield return change(item);
        }
    }

    public static object Select(RenderContext context, object value, CallArguments arguments, bool keeps) =>
        new GeneratorValue(Chosen(context, value, item => item, TestOf(context, arguments, 0), keeps));

    public static object SelectAttribute(RenderContext context, object value, CallArguments arguments, bool keeps)
    {
        if (arguments.Positional.Length == 0)
        {
            throw TemplateFault.FilterArgument("Missing parameter for attribute name");
        }

        return new GeneratorValue(Chosen(
            context, value, Getter(arguments.Positional[0]), TestOf(context, arguments, 1), keeps));
    }

    private static IEnumerable<object> Chosen(
        RenderContext context, object value, Func<object, object> part, Func<object, bool> test, bool keeps)
    {
        if (!Operators.IsTrue(value))
        {
            yield break;
        }

        foreach (var item in Operators.Iterate(value))
        {
            context.Spend();
            if (test(part(item)) == keeps)
            {
                yield return item;
            }
        }
    }

    private static Func<object, bool> TestOf(RenderContext context, CallArguments arguments, int offset)
    {
        if (arguments.Positional.Length <= offset)
        {
            return Operators.IsTrue;
        }

        var name = PythonText.Str(arguments.Positional[offset]);
        var test = Tests.Find(name) ?? throw TemplateFault.Runtime($"No test named {PythonText.Quote(name)}.");
        var rest = new CallArguments(arguments.Positional[(offset + 1)..], arguments.Keywords);
        return item => test(context, item, rest);
    }

    /// <summary>Reads an attribute path such as <c>function.name</c>, where numbers are positions.</summary>
    public static Func<object, object> Getter(object? path, Func<object, object>? after = null)
    {
        object[] parts = path switch
        {
            null or NoneValue => [],
            string or Markup => [.. Operators.AsText(path)!.Split('.').Select(
                part => part.Length > 0 && part.All(char.IsAsciiDigit) && long.TryParse(part, out var index)
                    ? Box.Of(index) : (object)part)],
            _ => [path],
        };
        return item =>
        {
            foreach (var part in parts)
            {
                item = Attributes.GetItem(item, part);
            }

            return after is null ? item : after(item);
        };
    }
}
