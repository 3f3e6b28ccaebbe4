using System.Text.Json;
using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Text.Templates;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>The reasoning parsers by the names that sglang gives them; case does not matter.</summary>
public static class ReasoningParsers
{
    private const string Think = "<think>";
    private const string EndThink = "</think>";
    private const string ToolCall = "<tool_call>";

    private static readonly ReasoningFormat AlwaysThinking =
        new(Think, EndThink, null, ReasoningDefault.Always) { Forced = true };

    private static readonly Dictionary<string, ReasoningFormat> Formats = new(StringComparer.OrdinalIgnoreCase)
    {
        ["deepseek-r1"] = AlwaysThinking,
        ["deepseek-v3"] = new(Think, EndThink, ToolCall, ReasoningDefault.IfThinking),
        ["deepseek-v4"] = new(Think, EndThink, "<｜DSML｜", ReasoningDefault.IfThinking),
        ["glm45"] = new(Think, EndThink, ToolCall, ReasoningDefault.UnlessDisabled),
        ["hunyuan"] = new(Think, EndThink, "<tool_calls>", ReasoningDefault.Never),
        ["interns1"] = new(Think, EndThink, ToolCall, ReasoningDefault.UnlessDisabled),
        ["kimi"] = new("◁think▷", "◁/think▷", null, ReasoningDefault.Always) { Forced = false },
        ["kimi_k2"] = new(Think, EndThink, "<|tool_calls_section_begin|>", ReasoningDefault.UnlessThinkingDisabled),
        ["mimo"] = new(Think, EndThink, ToolCall, ReasoningDefault.IfEnabled),
        ["minimax"] = new(Think, EndThink, ToolCall, ReasoningDefault.Always) { Forced = true },
        ["minimax-append-think"] = new("", "", null, ReasoningDefault.Always) { Prefix = Think },
        ["mistral"] = new("[THINK]", "[/THINK]", null, ReasoningDefault.IfEffort),
        ["nemotron_3"] = new(Think, EndThink, ToolCall, ReasoningDefault.UnlessDisabled),
        ["poolside_v1"] = new(Think, EndThink, ToolCall, ReasoningDefault.IfEnabled),
        ["qwen3"] = new(Think, EndThink, ToolCall, ReasoningDefault.UnlessDisabled),
        ["qwen3-thinking"] = new(Think, EndThink, ToolCall, ReasoningDefault.Always) { Forced = true },
        ["step3"] = AlwaysThinking,
        ["step3p5"] = AlwaysThinking,
    };

    /// <summary>What <c>--reasoning-parser</c> can be, besides auto.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Formats.Keys.Order(StringComparer.Ordinal)];

    /// <summary>A parser for one choice of a streamed answer.</summary>
    /// <param name="forceReasoning">The answer begins inside thoughts: see <see cref="StartsInReasoning"/>.</param>
    /// <param name="streamReasoning">False holds thoughts back until they are complete.</param>
    public static IReasoningParser Create(string name, bool forceReasoning = false, bool streamReasoning = true)
    {
        var format = Find(name);
        return format.Prefix.Length > 0
            ? new PrefixParser(format.Prefix)
            : new ReasoningParser(format, format.Forced ?? forceReasoning, streamReasoning);
    }

    /// <summary>Takes a whole answer apart.</summary>
    public static ReasoningPiece ParseWhole(string name, string text, bool forceReasoning = false)
    {
        var format = Find(name);
        if (format.Prefix.Length > 0)
        {
            return new ReasoningPiece("", format.Prefix + text);
        }

        if (!(format.Forced ?? forceReasoning) && !text.Contains(format.Start, StringComparison.Ordinal))
        {
            return new ReasoningPiece("", text);
        }

        while (text.StartsWith(format.Start, StringComparison.Ordinal))
        {
            text = text[format.Start.Length..];
        }

        var end = text.IndexOf(format.End, StringComparison.Ordinal);
        if (end >= 0)
        {
            return new ReasoningPiece(text[..end], text[(end + format.End.Length)..]);
        }

        var tool = format.ToolStart is null ? -1 : text.IndexOf(format.ToolStart, StringComparison.Ordinal);
        return tool >= 0 ? new ReasoningPiece(text[..tool], text[tool..]) : new ReasoningPiece(text, "");
    }

    /// <summary>
    /// Whether a request's answer begins inside thoughts: the prompt ends in an opened tag, or the parser's default
    /// says so for the request's template arguments.
    /// </summary>
    /// <param name="prompt">The rendered prompt.</param>
    /// <param name="templateArguments">The request's chat_template_kwargs, after <see cref="ApplyEffort"/>.</param>
    /// <param name="effort">The request's reasoning effort.</param>
    public static bool StartsInReasoning(
        string name, string prompt, JsonObject? templateArguments = null, string? effort = null)
    {
        var format = Find(name);
        if (format.Start.Length > 0 && prompt.AsSpan().TrimEnd().EndsWith(format.Start.AsSpan().TrimEnd()))
        {
            return true;
        }

        // A prompt that already closed empty thoughts says that the model does not think now.
        if (format.End.Length > 0 && prompt.AsSpan().TrimEnd().EndsWith(format.End))
        {
            return false;
        }

        return format.Default switch
        {
            ReasoningDefault.Always => format.Forced ?? false,
            ReasoningDefault.UnlessDisabled => Flag(templateArguments, "enable_thinking") ?? true,
            ReasoningDefault.UnlessThinkingDisabled => Flag(templateArguments, "thinking") ?? true,
            ReasoningDefault.IfEnabled => Flag(templateArguments, "enable_thinking") ?? false,
            ReasoningDefault.IfThinking => Flag(templateArguments, "thinking") ?? false,
            ReasoningDefault.IfEffort => effort is not (null or "none"),
            _ => false,
        };
    }

    private static bool? Flag(JsonObject? arguments, string name) =>
        arguments is not null && arguments.TryGetPropertyValue(name, out var node) && node is not null
            ? node.GetValueKind() switch
            {
                JsonValueKind.True => true,
                JsonValueKind.False => false,
                _ => null,
            }
            : null;

    /// <summary>
    /// Sets the switches of thinking in a request's template arguments as its reasoning effort implies.
    /// </summary>
    public static void ApplyEffort(JsonObject templateArguments, string? effort)
    {
        if (effort is null)
        {
            return;
        }

        foreach (var name in new[] { "thinking", "enable_thinking" })
        {
            if (!templateArguments.ContainsKey(name))
            {
                templateArguments[name] = effort != "none";
            }
        }
    }

    /// <summary>
    /// The parser that a chat template asks for by its words and switches, or null where it asks for none.
    /// </summary>
    public static string? Infer(ChatTemplate template) =>
        ParserInference.ReasoningParser(template) is { } name && Formats.ContainsKey(name) ? name : null;

    /// <summary>What opens and closes the thoughts; empty where nothing is taken apart.</summary>
    public static (string Start, string End) Markers(string name) => (Find(name).Start, Find(name).End);

    private static ReasoningFormat Find(string name) =>
        Formats.TryGetValue(name, out var format) ? format
        : throw new UnknownParserException("reasoning", name, Names);
}
