using System.Text.Json.Nodes;
using LsglangSharp.Api.Http;

namespace LsglangSharp.Api.Tests.Serving;

/// <summary>A chat template that writes a line a message; a message that says "refuse" it refuses.</summary>
internal sealed class LineTemplate : IChatTemplate
{
    public string Source => "";

    public bool WantsParts { get; init; }

    /// <summary>What the last rendering was given.</summary>
    public JsonObject? Given { get; private set; }

    public string Render(JsonObject variables)
    {
        Given = variables;
        var lines = variables["messages"]!.AsArray().Select(message => $"{message!["role"]}: {message["content"]}\n");
        return string.Concat(lines) is var text && text.Contains("refuse", StringComparison.Ordinal)
            ? throw new ChatTemplateRefusedException("this conversation is refused")
            : text + "assistant: ";
    }
}
