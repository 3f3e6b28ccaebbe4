namespace LsglangSharp.Runtime.Generation;

/// <summary>What a front end asks of the engine. Safe from any thread.</summary>
public interface IEngine
{
    /// <summary>Facts about the running model and its limits.</summary>
    EngineFacts Facts { get; }

    /// <summary>Counters and gauges of this moment.</summary>
    EngineLoad Load { get; }

    /// <summary>
    /// Checks the request and queues it. The rejection is null if it was taken; then the chunks come until one carries
    /// a finish. Cancelling the enumeration ends the request at once and frees what it held.
    /// </summary>
    Submission Submit(GenerationRequest request);

    /// <summary>
    /// Ends live requests whose id starts with the prefix; all of them for an empty prefix. Returns how many.
    /// </summary>
    int Abort(string idPrefix);

    /// <summary>Drops every cached prefix if nothing is running; false if something is.</summary>
    bool TryFlushCache();

    /// <summary>
    /// Takes no more requests (they get 503) and completes when those that run have ended or the token fires (they are
    /// aborted).
    /// </summary>
    Task DrainAsync(CancellationToken giveUp);
}

/// <summary>The answer to <see cref="IEngine.Submit"/>: a stream of chunks or the reason why not.</summary>
public readonly record struct Submission(IAsyncEnumerable<GenerationChunk>? Chunks, Rejection? Rejection);

/// <summary>A client's error as a value: a sentence for the client and the HTTP status that fits.</summary>
public sealed record Rejection(string Message, int Status, string? Parameter = null);

/// <summary>What does not change while the engine runs. Lengths in tokens.</summary>
public sealed record EngineFacts
{
    public required int Vocabulary { get; init; }

    public required int ContextLength { get; init; }

    public required int KvTokens { get; init; }

    public required int PageSize { get; init; }

    public required int RunningRequestsMax { get; init; }

    public required int QueuedRequestsMax { get; init; }

    public required int PrefillTokensMax { get; init; }

    public required IReadOnlyList<int> EosTokens { get; init; }
}

/// <summary>A snapshot of what the engine is doing, and totals since its start.</summary>
public sealed record EngineLoad
{
    public int RunningRequests { get; init; }

    public int QueuedRequests { get; init; }

    public int UsedKvTokens { get; init; }

    public int EvictableKvTokens { get; init; }

    public long PromptTokens { get; init; }

    public long CachedTokens { get; init; }

    public long GeneratedTokens { get; init; }

    public long FinishedRequests { get; init; }

    public long AbortedRequests { get; init; }

    public long Retractions { get; init; }

    public long Steps { get; init; }

    /// <summary>Tokens a second over the last seconds.</summary>
    public double GenerationThroughput { get; init; }

    /// <summary>Set when the engine has failed and takes no more requests.</summary>
    public string? Fault { get; init; }
}
