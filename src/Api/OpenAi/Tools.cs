using System.Text.Json;
using System.Text.Json.Nodes;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Parsing;

namespace LsglangSharp.Api.OpenAi;

/// <summary>The functions that a conversation offers, and whether they may be called.</summary>
internal sealed class Tools
{
    private Tools(JsonArray definitions, bool mayCall)
    {
        Offered = [.. definitions.Select(tool => tool!["function"]!).Select(function =>
            new ToolDefinition((string)function["name"]!, function["parameters"] as JsonObject))];
        Definitions = definitions;
        MayCall = mayCall;
    }

    /// <summary>As the request gives them: objects with type and function.</summary>
    public JsonArray Definitions { get; }

    /// <summary>As the parsers of calls want them.</summary>
    public IReadOnlyList<ToolDefinition> Offered { get; }

    /// <summary>There are some and tool_choice does not forbid them; otherwise the model is not told of them either.</summary>
    public bool MayCall { get; }

    public static Tools Read(Fields request, IReadOnlyList<(JsonElement Value, string Path)> fromMessages)
    {
        var definitions = new JsonArray();
        var names = new HashSet<string>();
        foreach (var (value, path) in (request.List("tools") ?? []).Concat(fromMessages))
        {
            names.Add(Check(Fields.Of(value, path)));
            definitions.Add(JsonNode.Parse(value.GetRawText()));
        }

        return new Tools(definitions, MayBeCalled(request, names));
    }

    private static string Check(Fields tool)
    {
        if (tool.Text("type") is { } type && type != "function")
        {
            throw tool.Bad("type", $"must be 'function', got '{type}'");
        }

        var function = tool.Object("function")
            ?? throw tool.Missing("function", "an object");
        var name = function.Text("name");
        if (string.IsNullOrEmpty(name))
        {
            throw function.Missing("name", "a string");
        }

        var path = function.PathOf("parameters");
        if (function.Any("parameters") is { } parameters && SchemaShape.Complaint(parameters, path) is { } complaint)
        {
            throw new RequestException(
                $"The parameters of tool '{name}' are not a valid JSON schema: {complaint}",
                path);
        }

        _ = function.Text("description");
        _ = function.Flag("strict");
        return name;
    }

    private static bool MayBeCalled(Fields request, HashSet<string> names)
    {
        if (request.Any("tool_choice") is not { } choice)
        {
            return names.Count > 0;
        }

        if (choice.ValueKind == JsonValueKind.String)
        {
            return choice.GetString() switch
            {
                "auto" => names.Count > 0,
                "none" => false,
                "required" => names.Count == 0
                    ? throw new RequestException(
                        "tool_choice 'required' needs at least one tool in 'tools'.",
                        "tool_choice")
                    : throw new RequestException(NotYet("'required'")),
                var other => throw request.Bad(
                    "tool_choice", $"must be auto, none, required or an object that names a function, got '{other}'"),
            };
        }

        var function = Fields.Of(choice, "tool_choice").Object("function");
        var name = function?.Text("name")
            ?? throw new RequestException(
                "'tool_choice.function.name' is missing: it must name one of the tools.",
                "tool_choice");
        throw names.Contains(name)
            ? new RequestException(NotYet($"of the function '{name}'"))
            : request.Bad("tool_choice", $"names the function '{name}', which is not among the tools");
    }

    private static Failure NotYet(string choice) => Failure.NotSupported(
        "tool_choice", $"a forced call {choice} needs grammars, which this server does not have yet; use 'auto'.");
}
