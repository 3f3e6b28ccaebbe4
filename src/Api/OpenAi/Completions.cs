using System.Text.Json;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Generation;
using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.OpenAi;

/// <summary>/v1/completions.</summary>
internal sealed class Completions(ServerContext server)
{
    public async Task HandleAsync(HttpContext context)
    {
        var request = await ReadAsync(context);
        var count = request.Prompts.Count * request.Choices;
        var generations = await Generations.StartAsync(
            server,
            [.. Enumerable.Range(0, count).Select(choice => GenerationOf(request, choice))],
            request.Stream.Streaming);
        CompletionChoice[] choices =
            [.. Enumerable.Range(0, count).Select(index => new CompletionChoice(server, request, index))];
        if (request.Stream.Streaming)
        {
            await SseLoop.RunAsync(context, generations, new CompletionStream(server, request, choices));
            return;
        }

        await foreach (var (index, chunk) in generations.ReadWholeAsync(context.RequestAborted))
        {
            choices[index].Add(chunk);
        }

        await JsonResponse.WriteAsync(context, StatusCodes.Status200OK, json => WriteWhole(json, request, choices));
    }

    private static GenerationRequest GenerationOf(CompletionRequest request, int choice) => new()
    {
        Id = RequestIds.ForChoice(request.Id, choice),
        Prompt = request.PromptOf(choice).Tokens,
        Sampling = SamplingFields.ForChoice(request.Sampling, choice % request.Choices),
        ReturnLogprobs = request.Logprobs is not null,
        TopLogprobs = request.Logprobs ?? 0,
        PromptLogprobStart = request.Logprobs is not null && request.Echo ? 0 : -1,
        Priority = request.Priority,
        CacheSalt = request.CacheSalt,
    };

    private async Task<CompletionRequest> ReadAsync(HttpContext context)
    {
        using var body = await RequestBody.ReadAsync(context, server.Options.RequestBytesMax, jsonTypeRequired: true);
        return CompletionRequest.Read(new Fields(body.RootElement), server);
    }

    private void WriteWhole(Utf8JsonWriter json, CompletionRequest request, CompletionChoice[] choices)
    {
        json.WriteStartObject();
        json.WriteString("id"u8, request.Id);
        json.WriteString("object"u8, "text_completion"u8);
        json.WriteNumber("created"u8, server.UnixSeconds);
        json.WriteString("model"u8, request.Model);
        json.WriteStartArray("choices"u8);
        foreach (var choice in choices)
        {
            choice.WriteNews(json);
        }

        json.WriteEndArray();
        json.WritePropertyName("usage"u8);
        Usage.Sum(choices.Select(choice => choice.Usage), request.Choices).Write(json, server.Options.CacheReport);
        json.WriteStartObject("metadata"u8);
        json.WriteString("weight_version"u8, server.Model.WeightVersion);
        json.WriteEndObject();
        json.WriteEndObject();
    }
}

/// <summary>The events of a streamed completion: every key each time, and the finish together with the last text.</summary>
internal sealed class CompletionStream(ServerContext server, CompletionRequest request, CompletionChoice[] choices)
    : ISseAnswer
{
    private readonly JsonEncodedText _id = JsonEncodedText.Encode(request.Id, JsonResponse.Options.Encoder);
    private readonly JsonEncodedText _model = JsonEncodedText.Encode(request.Model, JsonResponse.Options.Encoder);
    private readonly long _created = server.UnixSeconds;

    public void Begin(SseStream events)
    {
    }

    public void Add(SseStream events, int index, GenerationChunk chunk)
    {
        var choice = choices[index];
        choice.Add(chunk);
        if (choice.HasNews)
        {
            events.Write(
                (Stream: this, Choice: choice),
                static (json, state) => state.Stream.WriteNews(json, state.Choice));
        }
    }

    public void End(SseStream events)
    {
        if (request.Stream.IncludeUsage)
        {
            events.Write(this, static (json, stream) => stream.WriteUsage(json));
        }
    }

    private void WriteNews(Utf8JsonWriter json, CompletionChoice choice)
    {
        WriteHead(json);
        choice.WriteNews(json);
        json.WriteEndArray();
        if (request.Stream.ContinuousUsage)
        {
            json.WritePropertyName("usage"u8);
            choice.Usage.Write(json, server.Options.CacheReport);
        }
        else
        {
            json.WriteNull("usage"u8);
        }

        json.WriteEndObject();
    }

    private void WriteUsage(Utf8JsonWriter json)
    {
        WriteHead(json);
        json.WriteEndArray();
        json.WritePropertyName("usage"u8);
        Usage.Sum(choices.Select(choice => choice.Usage), request.Choices)
            .Write(json, server.Options.CacheReport, omitNull: true);
        json.WriteEndObject();
    }

    private void WriteHead(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("id"u8, _id);
        json.WriteString("object"u8, "text_completion"u8);
        json.WriteNumber("created"u8, _created);
        json.WriteString("model"u8, _model);
        json.WriteStartArray("choices"u8);
    }
}
