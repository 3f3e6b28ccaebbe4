using System.Runtime.CompilerServices;
using System.Threading.Channels;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.Http;

/// <summary>
/// The generations that one HTTP request asks for, submitted together or not at all. Leaving the enumeration early ends all of
/// them in the engine.
/// </summary>
internal sealed class Generations
{
    private readonly IAsyncEnumerable<GenerationChunk>[] _streams;
    private readonly RequestMetrics.Timing[] _timings;

    private Generations(IAsyncEnumerable<GenerationChunk>[] streams, RequestMetrics.Timing[] timings)
    {
        _streams = streams;
        _timings = timings;
    }

    public int Count => _streams.Length;

    public double ElapsedSeconds(int index) => _timings[index].ElapsedSeconds;

    /// <summary>Submits all; where one is refused the others are taken back and the refusal is thrown.</summary>
    public static async Task<Generations> StartAsync(
        ServerContext server, IReadOnlyList<GenerationRequest> requests, bool streaming)
    {
        if (server.Phase.Refusal is { } refusal)
        {
            throw new RequestException(refusal);
        }

        if (server.Options.TruncatesPrompts)
        {
            requests = [.. requests.Select(request => Truncate(request, server.Engine.Facts.ContextLength))];
        }

        var streams = new IAsyncEnumerable<GenerationChunk>[requests.Count];
        for (var i = 0; i < requests.Count; i++)
        {
            var submission = server.Engine.Submit(requests[i]);
            if (submission.Rejection is { } rejection)
            {
                await Task.WhenAll(streams[..i].Select(LeaveAsync));
                throw new RequestException(FailureOf(rejection, requests[i], server.Engine.Facts));
            }

            streams[i] = submission.Chunks!;
        }

        return new Generations(streams, [.. requests.Select(_ => server.Metrics.Begin(streaming))]);
    }

    /// <summary>The same for an answer in one piece: a failure of one generation is a failure of all.</summary>
    public async IAsyncEnumerable<(int Index, GenerationChunk Chunk)> ReadWholeAsync(
        [EnumeratorCancellation] CancellationToken cancel)
    {
        await foreach (var item in ReadAsync(cancel))
        {
            yield return Failure.From(item.Chunk.Finish) is { } failure ? throw new RequestException(failure) : item;
        }
    }

    /// <summary>The chunks of all generations as they come, each with the index of its generation.</summary>
    public IAsyncEnumerable<(int Index, GenerationChunk Chunk)> ReadAsync(CancellationToken cancel) =>
        Count == 1 ? ReadOneAsync(0, cancel) : ReadAllAsync(cancel);

    /// <summary>Ends one generation and no other, whatever their ids have in common.</summary>
    private static async Task LeaveAsync(IAsyncEnumerable<GenerationChunk> stream)
    {
        try
        {
            await foreach (var _ in stream.WithCancellation(new CancellationToken(canceled: true)))
            {
                break;
            }
        }
        catch (OperationCanceledException)
        {
            // That is what was wanted.
        }
    }

    /// <summary>The beginning of the prompt is kept, with room for one token at least.</summary>
    private static GenerationRequest Truncate(GenerationRequest request, int contextLength)
    {
        var kept = Math.Min(request.Prompt.Count, contextLength - 1);
        var room = contextLength - kept;
        return request with
        {
            Prompt = kept < request.Prompt.Count ? [.. request.Prompt.Take(kept)] : request.Prompt,
            Sampling = request.Sampling.MaxNewTokens > room ? request.Sampling with { MaxNewTokens = room } : request.Sampling,
        };
    }

    /// <summary>Clients that shorten conversations by themselves look for the code.</summary>
    private static Failure FailureOf(Rejection rejection, GenerationRequest request, EngineFacts facts)
    {
        var wanted = (long)request.Prompt.Count + (request.Sampling.MaxNewTokens ?? 1);
        return Failure.From(rejection) with { Code = wanted > facts.ContextLength ? "context_length_exceeded" : null };
    }

    private async IAsyncEnumerable<(int Index, GenerationChunk Chunk)> ReadOneAsync(
        int index, [EnumeratorCancellation] CancellationToken cancel)
    {
        using var timing = _timings[index];
        await foreach (var chunk in _streams[index].WithCancellation(cancel))
        {
            timing.Add(chunk);
            yield return (index, chunk);
        }
    }

    private async IAsyncEnumerable<(int Index, GenerationChunk Chunk)> ReadAllAsync(
        [EnumeratorCancellation] CancellationToken cancel)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var merged = Channel.CreateBounded<(int, GenerationChunk)>(
            new BoundedChannelOptions(2 * Count) { SingleReader = true });
        var pumps = Task.WhenAll(
            Enumerable.Range(0, Count).Select(index => PumpAsync(index, merged.Writer, stop.Token)));
        _ = pumps.ContinueWith(
            _ => merged.Writer.TryComplete(), CancellationToken.None,
            TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        try
        {
            await foreach (var item in merged.Reader.ReadAllAsync(stop.Token))
            {
                yield return item;
            }
        }
        finally
        {
            await stop.CancelAsync();
            await pumps.ContinueWith(
                _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }
    }

    private async Task PumpAsync(int index, ChannelWriter<(int, GenerationChunk)> writer, CancellationToken cancel)
    {
        try
        {
            await foreach (var item in ReadOneAsync(index, cancel))
            {
                await writer.WriteAsync(item, cancel);
            }
        }
        catch (Exception e) when (writer.TryComplete(e))
        {
            // The reader gets it now, and not when the others have ended too.
        }
    }
}
