using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Text;
using System.Threading.Channels;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.Tests.Serving;

/// <summary>An engine that says what it is told to say, and remembers what it was asked.</summary>
internal sealed class ScriptedEngine : IEngine
{
    private readonly ConcurrentDictionary<string, CancellationTokenSource> _live = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public EngineFacts Facts { get; init; } = new()
    {
        Vocabulary = ByteText.Vocabulary,
        ContextLength = 1000,
        KvTokens = 4096,
        PageSize = 16,
        RunningRequestsMax = 8,
        QueuedRequestsMax = 16,
        PrefillTokensMax = 512,
        EosTokens = [ByteText.Eos],
    };

    public EngineLoad Load { get; set; } = new();

    /// <summary>The answer to each request; by default the text "ok" and a stop.</summary>
    public Func<GenerationRequest, IAsyncEnumerable<GenerationChunk>> Script { get; set; } = request => Say(request, "ok");

    /// <summary>Refuses requests with what it returns.</summary>
    public Func<GenerationRequest, Rejection?> Refuse { get; set; } = _ => null;

    public ConcurrentQueue<GenerationRequest> Requests { get; } = new();

    public ConcurrentQueue<string> Cancelled { get; } = new();

    public ConcurrentQueue<string> AbortedPrefixes { get; } = new();

    /// <summary>Completes when a generation is left before its end.</summary>
    public Task LeftEarly => _ended.Task;

    public bool Drained { get; private set; }

    public bool CanFlush { get; set; } = true;

    /// <summary>One chunk a piece of text, a token a byte, and then a stop at the end-of-sequence token.</summary>
    public static IAsyncEnumerable<GenerationChunk> Say(GenerationRequest request, params string[] pieces) =>
        Pieces(request, new GenerationFinish.StopToken(ByteText.Eos), pieces).ToAsyncEnumerable();

    public static IAsyncEnumerable<GenerationChunk> Say(
        GenerationRequest request,
        GenerationFinish finish,
        params string[] pieces) =>
        Pieces(request, finish, pieces).ToAsyncEnumerable();

    public static IEnumerable<GenerationChunk> Pieces(
        GenerationRequest request,
        GenerationFinish finish,
        params string[] pieces)
    {
        var count = 0;
        foreach (var (index, piece) in pieces.Index())
        {
            var last = index == pieces.Length - 1;
            List<int> tokens = [.. Encoding.UTF8.GetBytes(piece).Select(value => (int)value)];
            if (last && finish is GenerationFinish.StopToken stop)
            {
                tokens.Add(stop.Token);
            }

            count += tokens.Count;
            yield return new GenerationChunk
            {
                Text = piece,
                Tokens = tokens,
                Logprobs = request.ReturnLogprobs ? [.. tokens.Select(
                    token => Logprob(token, request.TopLogprobs))] : [],
                PromptLogprobs = index == 0 && request is { ReturnLogprobs: true, PromptLogprobStart: >= 0 }
                    ? [.. request.Prompt.Index().Skip(request.PromptLogprobStart).Select(entry => entry.Index == 0
                        ? new TokenLogprob(entry.Item, null, null)
                        : Logprob(entry.Item, request.TopLogprobs))]
                    : null,
                Finish = last ? finish : null,
                Usage = new GenerationUsage(request.Prompt.Count, 0, count, 0),
            };
        }
    }

    /// <summary>Says what it is given through the writer, for tests that decide when.</summary>
    public ChannelWriter<GenerationChunk> SayLater()
    {
        var channel = Channel.CreateUnbounded<GenerationChunk>();
        Script = _ => channel.Reader.ReadAllAsync();
        return channel.Writer;
    }

    public Submission Submit(GenerationRequest request)
    {
        if (Refuse(request) is { } rejection)
        {
            return new Submission(null, rejection);
        }

        Requests.Enqueue(request);
        _live[request.Id] = new CancellationTokenSource();
        return new Submission(RunAsync(request), null);
    }

    public int Abort(string idPrefix)
    {
        AbortedPrefixes.Enqueue(idPrefix);
        var ended = _live.Where(live => live.Key.StartsWith(idPrefix, StringComparison.Ordinal)).ToList();
        ended.ForEach(live => live.Value.Cancel());
        return ended.Count;
    }

    public bool TryFlushCache() => CanFlush;

    public async Task DrainAsync(CancellationToken giveUp)
    {
        Drained = true;
        while (!_live.IsEmpty && !giveUp.IsCancellationRequested)
        {
            await Task.Delay(1, CancellationToken.None);
        }

        Abort("");
    }

    private static TokenLogprob Logprob(int token, int top) => new(
        token, -0.5f, [.. Enumerable.Range(0, top).Select(rank => new TopLogprob((token + rank) % 256, -0.5f - rank))]);

    private async IAsyncEnumerable<GenerationChunk> RunAsync(
        GenerationRequest request, [EnumeratorCancellation] CancellationToken cancel = default)
    {
        using var live = _live[request.Id];
        var finished = false;
        try
        {
            using var both = CancellationTokenSource.CreateLinkedTokenSource(cancel, live.Token);
            await using var chunks = Script(request).GetAsyncEnumerator(both.Token);
            while (true)
            {
                try
                {
                    if (!await chunks.MoveNextAsync())
                    {
                        break;
                    }
                }
                catch (OperationCanceledException) when (live.IsCancellationRequested)
                {
                    finished = true;
                    break;
                }

                finished = chunks.Current.Finish is not null;
                yield return chunks.Current;
            }

            if (live.IsCancellationRequested)
            {
                yield return new GenerationChunk
                {
                    Finish = new GenerationFinish.Aborted("The server is shutting down.", 503),
                    Usage = new GenerationUsage(request.Prompt.Count, 0, 0, 0),
                };
            }
        }
        finally
        {
            _live.TryRemove(request.Id, out _);
            if (!finished)
            {
                Cancelled.Enqueue(request.Id);
                _ended.TrySetResult();
            }
        }
    }
}
