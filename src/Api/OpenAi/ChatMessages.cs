using System.Text.Json;
using System.Text.Json.Nodes;
using LsglangSharp.Api.Http;

namespace LsglangSharp.Api.OpenAi;

/// <summary>
/// Reads a conversation into what chat templates expect: plain objects whose content is text, or parts for templates that
/// want them.
/// </summary>
internal sealed class ChatMessages
{
    private const string RoleNames = "system, developer, user, assistant, tool, function";

    private readonly bool _wantsParts;
    private readonly bool _knowsDeveloper;

    private ChatMessages(bool wantsParts, bool knowsDeveloper)
    {
        _wantsParts = wantsParts;
        _knowsDeveloper = knowsDeveloper;
    }

    public JsonArray Messages { get; } = [];

    /// <summary>Tools that stand in system or developer messages.</summary>
    public List<(JsonElement Value, string Path)> Tools { get; } = [];

    /// <summary>How many tool calls the assistant has made so far.</summary>
    public int EarlierCalls { get; private set; }

    /// <summary>The unfinished last answer that the model is to go on with, if that was asked for.</summary>
    public string? Continued { get; private set; }

    public static ChatMessages Read(Fields request, string templateSource, bool wantsParts)
    {
        var items = request.List("messages")
            ?? throw request.Missing("messages", "a list of at least one message");
        if (items.Count == 0)
        {
            throw request.Bad("messages", "must not be empty: at least one message is needed");
        }

        var messages = new ChatMessages(wantsParts, templateSource.Contains("developer", StringComparison.Ordinal));
        foreach (var (value, path) in items)
        {
            messages.Messages.Add(messages.ReadOne(Fields.Of(value, path)));
        }

        messages.SettleLast(request.Flag("continue_final_message") ?? false);
        return messages;
    }

    /// <summary>A conversation cannot end with the assistant's words: they are either continued or become the user's.</summary>
    private void SettleLast(bool continued)
    {
        if (Messages[^1] is not JsonObject last || (string?)last["role"] != "assistant"
            || last["content"] is not JsonValue content || content.GetValueKind() != JsonValueKind.String)
        {
            return;
        }

        if (continued)
        {
            Continued = (string?)content;
            Messages.RemoveAt(Messages.Count - 1);
        }
        else
        {
            last["role"] = "user";
        }
    }

    private JsonObject ReadOne(Fields message)
    {
        var role = message.Text("role")?.ToLowerInvariant()
            ?? throw message.Missing("role", $"one of {RoleNames}");
        if (role is not ("system" or "developer" or "user" or "assistant" or "tool" or "function"))
        {
            throw message.Bad("role", $"must be one of {RoleNames}, got '{message.Text("role")}'");
        }

        if (role is "system" or "developer" && message.List("tools") is { } tools)
        {
            Tools.AddRange(tools);
        }

        // Templates that have never heard of developers drop or reject what these say.
        var result = new JsonObject { ["role"] = role == "developer" && !_knowsDeveloper ? "system" : role };
        var thoughts = new List<string>();
        result["content"] = Content(message, role, thoughts);
        foreach (var name in (ReadOnlySpan<string>)["name", "tool_call_id"])
        {
            if (message.Text(name) is { } value)
            {
                result[name] = value;
            }
        }

        if (role == "assistant")
        {
            AddAssistantFields(message, result, thoughts);
        }

        return result;
    }

    private void AddAssistantFields(Fields message, JsonObject result, List<string> thoughts)
    {
        var reasoning = message.Text("reasoning_content") ?? message.Text("reasoning")
            ?? (thoughts.Count > 0 ? string.Join('\n', thoughts) : null);
        if (reasoning is not null)
        {
            result["reasoning_content"] = reasoning;
        }

        if (message.List("tool_calls") is { Count: > 0 } calls)
        {
            result["tool_calls"] = new JsonArray([.. calls.Select(call => ReadCall(Fields.Of(call.Value, call.Path)))]);
            EarlierCalls += calls.Count;
        }
    }

    private static JsonObject ReadCall(Fields call)
    {
        var function = call.Object("function")
            ?? throw call.Missing("function", "an object with name and arguments");
        var name = function.Text("name")
            ?? throw function.Missing("name", "a string");
        var result = new JsonObject();
        if (call.Text("id") is { } id)
        {
            result["id"] = id;
        }

        if (call.Integer("index") is { } index)
        {
            result["index"] = index;
        }

        result["type"] = "function";
        result["function"] = new JsonObject { ["name"] = name, ["arguments"] = Arguments(function) };
        return result;
    }

    private static JsonNode Arguments(Fields function)
    {
        var path = function.PathOf("arguments");
        if (function.Any("arguments") is not { } given)
        {
            return new JsonObject();
        }

        if (given.ValueKind == JsonValueKind.Object)
        {
            return JsonNode.Parse(given.GetRawText())!;
        }

        if (given.ValueKind != JsonValueKind.String)
        {
            throw Fields.Wrong(path, "a JSON object or a string that holds one", given);
        }

        try
        {
            return JsonNode.Parse(given.GetString()!) is JsonObject parsed
                ? parsed
                : throw new RequestException($"'{path}' must hold a JSON object, got {Fields.NameOf(given)}.", path);
        }
        catch (JsonException)
        {
            throw new RequestException(
                $"'{path}' must hold a JSON object, but it is not valid JSON: {Fields.NameOf(given)}.",
                path);
        }
    }

    private JsonNode Content(Fields message, string role, List<string> thoughts)
    {
        var path = message.PathOf("content");
        if (message.Any("content") is not { } content)
        {
            return role == "user"
                ? throw new RequestException(
                    $"'{path}' must be a string or a list of parts in a user message, got null.",
                    path)
                : "";
        }

        if (content.ValueKind == JsonValueKind.String)
        {
            return content.GetString()!;
        }

        if (content.ValueKind != JsonValueKind.Array)
        {
            throw Fields.Wrong(path, "a string or a list of parts", content);
        }

        var texts = new List<string>();
        foreach (var (value, partPath) in Fields.ListOf(content, path))
        {
            ReadPart(value, partPath, role, texts, thoughts);
        }

        return _wantsParts && role != "tool"
            ? new JsonArray([.. texts.Select(text => new JsonObject { ["type"] = "text", ["text"] = text })])
            : string.Join(' ', texts);
    }

    private static void ReadPart(JsonElement value, string path, string role, List<string> texts, List<string> thoughts)
    {
        if (value.ValueKind == JsonValueKind.String)
        {
            texts.Add(value.GetString()!);
            return;
        }

        var part = Fields.Of(value, path);
        var type = part.Text("type") ?? throw part.Missing("type", "a string");
        switch (type)
        {
            case "text":
                texts.Add(part.Text("text")
                    ?? throw part.Missing("text", "a string"));
                break;
            case "refusal" when role == "assistant":
                texts.Add(part.Text("refusal") ?? "");
                break;
            case "thinking" or "reasoning" when role == "assistant":
                thoughts.Add(part.Text(type) ?? part.Text("text") ?? "");
                break;
            case "image_url" or "video_url" or "audio_url" or "input_audio" or "file":
                throw new RequestException(
                    $"Model only supports text input; received unsupported content type '{type}'.", part.PathOf("type"));
            default:
                throw part.Bad("type", $"must be 'text', got '{type}'");
        }
    }
}
