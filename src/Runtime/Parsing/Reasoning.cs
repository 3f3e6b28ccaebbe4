namespace LsglangSharp.Runtime.Parsing;

/// <summary>What one step of a stream brought: thoughts and answer.</summary>
public readonly record struct ReasoningPiece(string Reasoning, string Content)
{
    public static ReasoningPiece Empty { get; } = new("", "");
}

/// <summary>
/// Parts one choice's thoughts from its answer while it is generated; how it was cut does not matter.
/// </summary>
public interface IReasoningParser
{
    ReasoningPiece Push(string text);

    /// <summary>Ends the stream: what was held back comes out.</summary>
    ReasoningPiece Finish();
}

/// <summary>When a request's answer begins inside thoughts although no start tag is generated.</summary>
public enum ReasoningDefault
{
    /// <summary>The model always thinks.</summary>
    Always,

    /// <summary>Only where the prompt itself opened the thoughts.</summary>
    Never,

    /// <summary>Unless the template argument <c>enable_thinking</c> is false.</summary>
    UnlessDisabled,

    /// <summary>Unless the template argument <c>thinking</c> is false.</summary>
    UnlessThinkingDisabled,

    /// <summary>Only where the template argument <c>enable_thinking</c> is true.</summary>
    IfEnabled,

    /// <summary>Only where the template argument <c>thinking</c> is true.</summary>
    IfThinking,

    /// <summary>Only where the request names a reasoning effort other than none.</summary>
    IfEffort,
}

/// <summary>A model family's way of marking thoughts.</summary>
/// <param name="Start">Opens the thoughts; empty where nothing is taken apart.</param>
/// <param name="End">Closes the thoughts.</param>
/// <param name="ToolStart">A tool call's opening, which ends thoughts that were not closed.</param>
/// <param name="Default">Whether the answer begins inside thoughts.</param>
internal sealed record ReasoningFormat(string Start, string End, string? ToolStart, ReasoningDefault Default)
{
    /// <summary>Null: as the caller says. Otherwise the format itself decides, whatever the caller says.</summary>
    public bool? Forced { get; init; }

    /// <summary>Text in front of the answer's first piece, of formats that only restore a tag.</summary>
    public string Prefix { get; init; } = "";
}
