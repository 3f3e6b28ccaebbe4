using System.Text.Json;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Generation;
using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.Native;

/// <summary>/generate.</summary>
internal sealed class Generate(ServerContext server)
{
    public async Task HandleAsync(HttpContext context)
    {
        var request = await ReadAsync(context);
        var generations = await Generations.StartAsync(server, request.Generations, request.Streaming);
        GenerateItem[] items =
        [
            .. Enumerable.Range(0, generations.Count)
                .Select(index => new GenerateItem(server, request, generations, index)),
        ];
        if (request.Streaming)
        {
            await SseLoop.RunAsync(
                context,
                generations,
                new Answer(items, request.IsList, server.Options.StreamsIncrements));
            return;
        }

        await foreach (var (index, chunk) in generations.ReadWholeAsync(context.RequestAborted))
        {
            items[index].Add(chunk);
        }

        await JsonResponse.WriteAsync(
            context,
            StatusCodes.Status200OK,
            json => WriteWhole(json, items, request.IsList));
    }

    private static void WriteWhole(Utf8JsonWriter json, GenerateItem[] items, bool isList)
    {
        if (!isList)
        {
            items[0].Write(json, withIndex: false);
            return;
        }

        json.WriteStartArray();
        foreach (var item in items)
        {
            item.Write(json, withIndex: false);
        }

        json.WriteEndArray();
    }

    private async Task<GenerateRequest> ReadAsync(HttpContext context)
    {
        using var body = await RequestBody.ReadAsync(context, server.Options.RequestBytesMax, jsonTypeRequired: false);
        return GenerateRequest.Read(new Fields(body.RootElement), server);
    }

    /// <summary>Every event repeats the whole answer so far, unless the operator wants it otherwise.</summary>
    private sealed class Answer(GenerateItem[] items, bool isList, bool increments) : ISseAnswer
    {
        public void Begin(SseStream events)
        {
        }

        public void Add(SseStream events, int index, GenerationChunk chunk)
        {
            if (increments)
            {
                items[index].Forget();
            }

            items[index].Add(chunk);
            events.Write(
                (Item: items[index], IsList: isList),
                static (json, state) => state.Item.Write(json, state.IsList));
        }

        public void End(SseStream events)
        {
        }
    }
}
