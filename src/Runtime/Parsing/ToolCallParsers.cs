using LsglangSharp.Runtime.Text.Templates;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>The tool-call parsers by the names that sglang gives them.</summary>
public static class ToolCallParsers
{
    /// <summary>The parser for answers that a grammar made an array of calls: tool_choice required, or one tool named.</summary>
    public const string JsonArray = "json_array";

    private static readonly Dictionary<string, ToolCallFormat> Formats = new()
    {
        ["hermes"] = new TaggedJsonFormat("<tool_call>", "</tool_call>", isStrict: true),
        ["qwen"] = new TaggedJsonFormat("<tool_call>\n", "\n</tool_call>", isStrict: false),
        ["qwen25"] = new TaggedJsonFormat("<tool_call>\n", "\n</tool_call>", isStrict: false),
    };

    private static readonly JsonArrayFormat Array = new();

    /// <summary>What <c>--tool-call-parser</c> can be, besides auto.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Formats.Keys.Order(StringComparer.Ordinal)];

    /// <summary>A parser for one choice of a streamed answer.</summary>
    public static IToolCallParser Create(
        string name, IReadOnlyList<ToolDefinition> tools, ToolCallOptions? options = null) =>
        Find(name).Open(new ToolSet(tools, options ?? ToolCallOptions.Default));

    /// <summary>Takes a whole answer apart.</summary>
    public static ToolCallResult ParseWhole(
        string name, string text, IReadOnlyList<ToolDefinition> tools, ToolCallOptions? options = null) =>
        Find(name).ParseWhole(text, new ToolSet(tools, options ?? ToolCallOptions.Default));

    /// <summary>The parser that a chat template's own words ask for, or null where they ask for none that is known.</summary>
    public static string? Infer(string templateSource) => ParserInference.ToolCallParser(templateSource) is { } name
        && Formats.ContainsKey(name) ? name : null;

    /// <inheritdoc cref="Infer(string)"/>
    public static string? Infer(ChatTemplate template) => Infer(template.Source);

    private static ToolCallFormat Find(string name) => name == JsonArray ? Array
        : Formats.TryGetValue(name, out var format) ? format
        : throw new UnknownParserException("tool-call", name, Names);
}
