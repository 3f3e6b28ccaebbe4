namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>The arguments of one call, before they are matched with parameters.</summary>
internal sealed class CallArguments(object[] positional, List<KeyValuePair<string, object>>? keywords = null)
{
    public static readonly CallArguments None = new([]);

    public object[] Positional { get; } = positional;

    public List<KeyValuePair<string, object>>? Keywords { get; } = keywords;

    public int KeywordCount => Keywords?.Count ?? 0;

    public object? Keyword(string name)
    {
        foreach (var pair in Keywords ?? [])
        {
            if (pair.Key == name)
            {
                return pair.Value;
            }
        }

        return null;
    }

    /// <summary>Matches the arguments with parameter names; what was not given stays null.</summary>
    public object?[] Bind(string function, int required, params ReadOnlySpan<string> parameters)
    {
        if (Positional.Length > parameters.Length)
        {
            throw TemplateFault.Type(parameters.Length == 0
                ? $"{function}() takes no arguments ({Positional.Length} given)"
                : $"{function}() takes at most {parameters.Length} arguments ({Positional.Length} given)");
        }

        var bound = new object?[parameters.Length];
        Positional.CopyTo(bound, 0);
        foreach (var (name, value) in Keywords ?? [])
        {
            var index = parameters.IndexOf(name);
            if (index < 0)
            {
                throw TemplateFault.Type($"{function}() got an unexpected keyword argument '{name}'");
            }

            if (bound[index] is not null)
            {
                throw TemplateFault.Type($"{function}() got multiple values for argument '{name}'");
            }

            bound[index] = value;
        }

        for (var i = 0; i < required; i++)
        {
            if (bound[i] is null)
            {
                throw TemplateFault.Type($"{function}() missing 1 required positional argument: '{parameters[i]}'");
            }
        }

        return bound;
    }
}
