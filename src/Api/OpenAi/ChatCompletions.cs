using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Generation;
using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.OpenAi;

/// <summary>/v1/chat/completions.</summary>
internal sealed class ChatCompletions(ServerContext server)
{
    public async Task HandleAsync(HttpContext context)
    {
        var request = await ReadAsync(context);
        var choices = Enumerable.Range(0, request.Choices)
            .Select(index => new ChatChoice(
                index, AnswerParsers.Create(server, request), AnswerParsers.ThoughtsEndToken(server, request)))
            .ToList();
        var generations = await Generations.StartAsync(
            server,
            [.. Enumerable.Range(0, request.Choices).Select(choice => GenerationOf(request, choice))],
            request.Stream.Streaming);
        if (request.Stream.Streaming)
        {
            await SseLoop.RunAsync(context, generations, new ChatStream(server, request, choices));
            return;
        }

        var whole = new ChatWhole(server, request, choices);
        await whole.CollectAsync(generations, context.RequestAborted);
        await JsonResponse.WriteAsync(context, StatusCodes.Status200OK, whole.Write);
    }

    private static GenerationRequest GenerationOf(ChatRequest request, int choice) => new()
    {
        Id = RequestIds.ForChoice(request.Id, choice),
        Prompt = request.Prompt,
        Sampling = SamplingFields.ForChoice(request.Sampling, choice),
        ReturnLogprobs = request.Logprobs,
        TopLogprobs = request.TopLogprobs,
        Priority = request.Priority,
        CacheSalt = request.CacheSalt,
    };

    private async Task<ChatRequest> ReadAsync(HttpContext context)
    {
        using var body = await RequestBody.ReadAsync(context, server.Options.RequestBytesMax, jsonTypeRequired: true);
        return ChatRequest.Read(new Fields(body.RootElement), server);
    }
}
