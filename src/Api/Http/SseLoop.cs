using LsglangSharp.Runtime.Generation;
using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.Http;

/// <summary>What one kind of stream writes, event by event.</summary>
internal interface ISseAnswer
{
    /// <summary>Before the first chunk.</summary>
    void Begin(SseStream events);

    void Add(SseStream events, int index, GenerationChunk chunk);

    /// <summary>After every generation's last chunk, before [DONE].</summary>
    void End(SseStream events);
}

/// <summary>Drives a stream: the first chunk is awaited before the status goes out, so that early errors are HTTP errors.</summary>
internal static class SseLoop
{
    public static async Task RunAsync(HttpContext context, Generations generations, ISseAnswer answer)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        await using var chunks = generations.ReadAsync(stop.Token).GetAsyncEnumerator(stop.Token);
        if (!await chunks.MoveNextAsync())
        {
            throw new InvalidOperationException("The engine ended a generation without a word.");
        }

        if (Failure.From(chunks.Current.Chunk.Finish) is { } refused)
        {
            throw new RequestException(refused);
        }

        using var events = SseStream.Begin(context);
        answer.Begin(events);
        do
        {
            var (index, chunk) = chunks.Current;
            if (Failure.From(chunk.Finish) is { } failure)
            {
                await events.FailAsync(failure);
                return;
            }

            answer.Add(events, index, chunk);
        }
        while (await MoveNextAsync(chunks, events, stop));

        answer.End(events);
        events.WriteDone();
        await events.FlushAsync();
    }

    /// <summary>
    /// Flushes before it waits: what is ready at once goes out in one piece. If the client has gone, the enumerator must come to
    /// rest before anybody disposes it.
    /// </summary>
    private static async ValueTask<bool> MoveNextAsync(
        IAsyncEnumerator<(int Index, GenerationChunk Chunk)> chunks, SseStream events, CancellationTokenSource stop)
    {
        if (events.IsFull)
        {
            await events.FlushAsync();
        }

        var next = chunks.MoveNextAsync();
        if (next.IsCompleted)
        {
            return await next;
        }

        var moved = next.AsTask();
        try
        {
            await events.FlushAsync();
        }
        catch (OperationCanceledException)
        {
            await stop.CancelAsync();
            await moved.ContinueWith(
                _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            throw;
        }

        return await moved;
    }
}
