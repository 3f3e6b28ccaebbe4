using System.Text.Json;
using System.Text.Json.Nodes;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Parsing;

namespace LsglangSharp.Api.OpenAi;

/// <summary>How a request wants the model to think, and how its thoughts are shown.</summary>
internal sealed record Reasoning
{
    private const string Efforts = "none, minimal, low, medium, high, xhigh, max or a number in [0, 0.99]";

    /// <summary>Thoughts go to reasoning_content and not into the content.</summary>
    public bool Separate { get; init; } = true;

    /// <summary>Thoughts are streamed as they come and not held until they end.</summary>
    public bool StreamThoughts { get; init; } = true;

    /// <summary>An answer that is all thoughts becomes content.</summary>
    public bool NonEmptyContent { get; init; }

    /// <summary>What the chat template is told, thinking or not among it.</summary>
    public required JsonObject Variables { get; init; }

    /// <summary>As the request names it; null where it does not.</summary>
    public string? Effort { get; init; }

    /// <summary>The answer begins inside thoughts, with no tag to say so.</summary>
    public bool StartsInside { get; init; }

    /// <summary>The template variables that a request sets, with the server's own for those that it does not.</summary>
    public static Reasoning Read(Fields request, JsonObject? defaults)
    {
        var variables = defaults is null ? [] : (JsonObject)defaults.DeepClone();
        if (request.Object("chat_template_kwargs") is { } given)
        {
            foreach (var entry in given.Element.EnumerateObject())
            {
                variables[entry.Name] = JsonNode.Parse(entry.Value.GetRawText());
            }
        }

        var effort = ReadEffort(request);
        ReasoningParsers.ApplyEffort(variables, effort?.ToString());
        if (effort is not null)
        {
            variables.TryAdd("reasoning_effort", effort);
        }

        return new Reasoning
        {
            Separate = request.Flag("separate_reasoning") ?? true,
            StreamThoughts = request.Flag("stream_reasoning") ?? true,
            NonEmptyContent = variables["force_nonempty_content"] is JsonValue force && force.GetValueKind() == JsonValueKind.True,
            Variables = variables,
            Effort = effort?.ToString(),
        };
    }

    /// <summary>The same, knowing the prompt and the answer that is being continued.</summary>
    public Reasoning For(string? parser, string prompt, string? continued)
    {
        if (parser is null)
        {
            return this;
        }

        var inside = ReasoningParsers.StartsInReasoning(parser, prompt, Variables, Effort);
        if (continued is not null)
        {
            var (start, end) = ReasoningParsers.Markers(parser);
            inside = (inside || Contains(start)) && !Contains(end);
        }

        return this with { StartsInside = inside };

        bool Contains(string marker) => marker.Length > 0 && continued.Contains(marker, StringComparison.Ordinal);
    }

    private static JsonNode? ReadEffort(Fields request)
    {
        if (request.Any("reasoning_effort") is { } direct)
        {
            return ReadEffort(direct, "reasoning_effort");
        }

        if (request.Object("reasoning") is not { } reasoning)
        {
            return null;
        }

        foreach (var name in (ReadOnlySpan<string>)["effort", "reasoning_effort"])
        {
            if (reasoning.Any(name) is { } effort)
            {
                return ReadEffort(effort, reasoning.PathOf(name));
            }
        }

        return (reasoning.Flag("enabled") ?? reasoning.Flag("enable")) switch
        {
            true => "medium",
            false => "none",
            null => null,
        };
    }

    private static JsonNode ReadEffort(JsonElement value, string path)
    {
        if (value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && number is >= 0 and <= 0.99)
        {
            return number;
        }

        return value.ValueKind == JsonValueKind.String
            && value.GetString() is "none" or "minimal" or "low" or "medium" or "high" or "xhigh" or "max"
                ? value.GetString()!
                : throw Fields.Wrong(path, $"one of {Efforts}", value);
    }
}
