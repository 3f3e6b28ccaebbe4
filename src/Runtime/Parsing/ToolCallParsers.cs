using LsglangSharp.Runtime.Text.Templates;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>The tool-call parsers by the names that sglang gives them.</summary>
public static class ToolCallParsers
{
    /// <summary>
    /// The parser for answers that a grammar made an array of calls: tool_choice required, or one tool named.
    /// </summary>
    public const string JsonArray = "json_array";

    private static readonly Dictionary<string, ToolCallFormat> Formats = new()
    {
        ["hermes"] = new TaggedJsonFormat("<tool_call>", "</tool_call>", isStrict: true),
        ["deepseekv3"] = new DeepSeekFormat(isFenced: true),
        ["deepseekv31"] = new DeepSeekFormat(isFenced: false),
        ["kimi_k2"] = new KimiFormat(),
        ["llama3"] = new LlamaFormat(),
        ["glm"] = new GlmFormat(endsNameWithLine: true),
        ["glm45"] = new GlmFormat(endsNameWithLine: true),
        ["glm47"] = new GlmFormat(endsNameWithLine: false),
        ["minimax-m2"] = new MiniMaxFormat(),
        ["pythonic"] = new PythonicFormat(),
        ["mistral"] = new MistralFormat(),
        ["qwen3_coder"] = new QwenCoderFormat(),
        ["step3p5"] = new QwenCoderFormat(),
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

    /// <summary>The parser that a chat template asks for by its words, or null where it asks for none.</summary>
    public static string? Infer(ChatTemplate template) =>
        ParserInference.ToolCallParser(template.Source) is { } name && Formats.ContainsKey(name) ? name : null;

    private static ToolCallFormat Find(string name) => name == JsonArray ? Array
        : Formats.TryGetValue(name, out var format) ? format
        : throw new UnknownParserException("tool-call", name, Names);
}
