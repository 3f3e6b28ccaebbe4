using System.Text.Json.Nodes;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>A tool that the request offers; the schema of its parameters types the values of some formats.</summary>
public sealed record ToolDefinition(string Name, JsonObject? Parameters);

/// <summary>
/// A part of a call as it is streamed: the first part of a call has its name, later ones only arguments.
/// </summary>
public readonly record struct ToolCallPiece(int Index, string? Name, string Arguments);

/// <summary>What one step of a stream brought: text for the user and parts of calls.</summary>
public readonly record struct ParsedPiece(string Text, IReadOnlyList<ToolCallPiece> Calls)
{
    public static ParsedPiece Empty { get; } = new("", []);
}

/// <summary>A whole call; the arguments are JSON.</summary>
/// <param name="Index">What the response gives as index: in most formats the tool's place in the request.</param>
public sealed record ToolCall(int Index, string Name, string Arguments);

/// <summary>A whole answer taken apart.</summary>
public sealed record ToolCallResult(string Text, IReadOnlyList<ToolCall> Calls);

/// <summary>How calls are treated that the request's tools do not explain.</summary>
/// <param name="ForwardsUnknownTools">Passes on calls of tools that the request does not offer.</param>
/// <param name="Warn">Told about calls that were dropped.</param>
public sealed record ToolCallOptions(bool ForwardsUnknownTools = false, Action<string>? Warn = null)
{
    public static ToolCallOptions Default { get; } = new();
}

/// <summary>
/// Takes one choice's answer apart while it is generated; the result does not depend on how it was cut.
/// </summary>
public interface IToolCallParser
{
    ParsedPiece Push(string text);

    /// <summary>
    /// Ends the stream: what was held back comes out, and a call that broke off gets valid arguments.
    /// </summary>
    ParsedPiece Finish();
}

/// <summary>One model family's way of writing calls.</summary>
internal abstract class ToolCallFormat
{
    public abstract IToolCallParser Open(ToolSet tools);

    public abstract ToolCallResult ParseWhole(string text, ToolSet tools);
}

/// <summary>The tools of a request by name.</summary>
internal sealed class ToolSet(IReadOnlyList<ToolDefinition> tools, ToolCallOptions options)
{
    public IReadOnlyList<ToolDefinition> Tools { get; } = tools;

    /// <summary>The tool's place in the request, the last one's where names repeat; -1 for an unknown one.</summary>
    public int IndexOf(string name)
    {
        for (var i = Tools.Count - 1; i >= 0; i--)
        {
            if (Tools[i].Name == name)
            {
                return i;
            }
        }

        return -1;
    }

    public ToolDefinition? Find(string name) => IndexOf(name) is >= 0 and var index ? Tools[index] : null;

    /// <summary>Whether a call of this name goes to the client; says so where it does not.</summary>
    public bool Accepts(string name)
    {
        if (IndexOf(name) >= 0 || options.ForwardsUnknownTools)
        {
            return true;
        }

        options.Warn?.Invoke($"the model called '{name}', which is not among the request's tools; the call is dropped");
        return false;
    }
}
