using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace LsglangSharp.Api.Cli.Chat;

/// <summary>A piece of a streamed answer.</summary>
internal readonly record struct AnswerPiece(string? Reasoning, string? Content, string? ToolCall, JsonNode? Usage, string? Finish);

/// <summary>An error that the server answered with.</summary>
internal sealed class ChatClientException(string message) : Exception(message);

/// <summary>The chat endpoint of an OpenAI-compatible server, streamed.</summary>
internal sealed class ChatClient(HttpClient http, string? apiKey)
{
    public async Task<string> ModelAsync(CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "v1/models");
        using var response = await SendAsync(request, cancel).ConfigureAwait(false);
        var body = JsonNode.Parse(await response.Content.ReadAsStringAsync(cancel).ConfigureAwait(false));
        return (string?)body?["data"]?[0]?["id"] ?? "default";
    }

    /// <summary>Sends the conversation and yields the answer as it comes. Cancelling ends the request on the server too.</summary>
    public async IAsyncEnumerable<AnswerPiece> AnswerAsync(
        JsonObject body, [EnumeratorCancellation] CancellationToken cancel)
    {
        body["stream"] = true;
        body["stream_options"] = new JsonObject { ["include_usage"] = true };
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/chat/completions")
        {
            Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json"),
        };
        using var response = await SendAsync(request, cancel).ConfigureAwait(false);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(cancel).ConfigureAwait(false));
        while (await reader.ReadLineAsync(cancel).ConfigureAwait(false) is { } line)
        {
            if (!line.StartsWith("data: ", StringComparison.Ordinal))
            {
                continue;
            }

            if (line == "data: [DONE]")
            {
                yield break;
            }

            var chunk = JsonNode.Parse(line[6..])!;
            if (chunk["error"] is { } error)
            {
                throw new ChatClientException((string?)error["message"] ?? "the server reported an error");
            }

            yield return Piece(chunk);
        }
    }

    private static AnswerPiece Piece(JsonNode chunk)
    {
        var choice = chunk["choices"] is JsonArray { Count: > 0 } choices ? choices[0] : null;
        var delta = choice?["delta"];
        var calls = delta?["tool_calls"] is JsonArray { Count: > 0 } list
            ? string.Concat(list.Select(call =>
                ((string?)call?["function"]?["name"] is { } name ? $"\n{name} " : "") + (string?)call?["function"]?["arguments"]))
            : null;
        return new AnswerPiece(
            (string?)delta?["reasoning_content"], (string?)delta?["content"], calls, chunk["usage"],
            (string?)choice?["finish_reason"]);
    }

    private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancel)
    {
        if (apiKey is not null)
        {
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", apiKey);
        }

        HttpResponseMessage response;
        try
        {
            response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel).ConfigureAwait(false);
        }
        catch (HttpRequestException fault)
        {
            throw new ChatClientException($"{http.BaseAddress} does not answer: {fault.Message}");
        }

        if (response.IsSuccessStatusCode)
        {
            return response;
        }

        var text = await response.Content.ReadAsStringAsync(cancel).ConfigureAwait(false);
        response.Dispose();
        throw new ChatClientException(Message(text) ?? $"HTTP {(int)response.StatusCode}: {text}");
    }

    private static string? Message(string body)
    {
        try
        {
            return JsonNode.Parse(body)?["error"] switch
            {
                JsonObject error => (string?)error["message"],
                JsonValue text => text.ToString(),
                _ => null,
            };
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
