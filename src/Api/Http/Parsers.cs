using LsglangSharp.Runtime.Parsing;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Text.Templates;

namespace LsglangSharp.Api.Http;

/// <summary>Which parsers a server uses: those that it was told to, or those that the chat template points to.</summary>
internal static class Parsers
{
    private const string Auto = "auto";

    public static string? ToolCalls(string? name, ChatTemplate? template)
    {
        if (name == Auto)
        {
            return template is null ? null : ToolCallParsers.Infer(template);
        }

        return name is null || ToolCallParsers.Names.Contains(name)
            ? name
            : throw Unknown("tool-call", name, ToolCallParsers.Names);
    }

    public static string? Reasoning(string? name, ChatTemplate? template)
    {
        if (name == Auto)
        {
            return template is null ? null : ReasoningParsers.Infer(template);
        }

        return name is null || ReasoningParsers.Names.Contains(name, StringComparer.OrdinalIgnoreCase)
            ? name
            : throw Unknown("reasoning", name, ReasoningParsers.Names);
    }

    public static int? ThoughtsEndToken(string? parser, IModelText? text) =>
        parser is not null && text is not null && ReasoningParsers.Markers(parser).End is { Length: > 0 } end
            && text.Encode(end, addSpecialTokens: false) is [var token] ? token : null;

    private static ConfigurationException Unknown(string kind, string name, IReadOnlyList<string> known) =>
        new(new UnknownParserException(kind, name, known).Message);
}
