using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.Http;

/// <summary>What is counted about requests at the server's edge; the engine counts its own.</summary>
internal sealed class RequestMetrics(TimeProvider clock)
{
    private static readonly double[] _tokenBounds =
        [1, 10, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000];

    private readonly long[] _requests = new long[2];
    private readonly long[] _promptTokens = new long[2];
    private readonly long[] _generatedTokens = new long[2];
    private long _cachedTokens;
    private long _aborted;

    public Histogram TimeToFirstToken { get; } = new(
        "sglang:time_to_first_token_seconds", "Histogram of time to first token in seconds.",
        [0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400]);

    public Histogram InterToken { get; } = new(
        "sglang:inter_token_latency_seconds", "Histogram of inter-token latency in seconds.",
        [0.002, 0.004, 0.006, 0.008, 0.010, 0.015, 0.020, 0.025, 0.030, 0.035, 0.040, 0.060, 0.080, 0.100, 0.200, 0.400, 0.600, 0.800,
            1, 2, 4, 6, 8]);

    public Histogram EndToEnd { get; } = new(
        "sglang:e2e_request_latency_seconds", "Histogram of end-to-end request latency in seconds.",
        [0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400, 600, 1200, 1800, 2400]);

    public Histogram PromptTokens { get; } = new(
        "sglang:prompt_tokens_histogram", "Histogram of prompt token length.", _tokenBounds);

    public Histogram UncachedPromptTokens { get; } = new(
        "sglang:uncached_prompt_tokens_histogram", "Histogram of prompt tokens that were not in the cache.", _tokenBounds);

    public Histogram GeneratedTokens { get; } = new(
        "sglang:generation_tokens_histogram", "Histogram of generation token length.", _tokenBounds);

    public long CachedTokensTotal => Volatile.Read(ref _cachedTokens);

    public long AbortedTotal => Volatile.Read(ref _aborted);

    public long RequestsTotal(bool streaming) => Volatile.Read(ref _requests[streaming ? 1 : 0]);

    public long PromptTokensTotal(bool streaming) => Volatile.Read(ref _promptTokens[streaming ? 1 : 0]);

    public long GeneratedTokensTotal(bool streaming) => Volatile.Read(ref _generatedTokens[streaming ? 1 : 0]);

    /// <summary>Begins to time one generation.</summary>
    public Timing Begin(bool streaming)
    {
        Interlocked.Increment(ref _requests[streaming ? 1 : 0]);
        return new Timing(this, clock, streaming);
    }

    /// <summary>Times one generation, chunk by chunk; ends when disposed.</summary>
    internal sealed class Timing(RequestMetrics metrics, TimeProvider clock, bool streaming) : IDisposable
    {
        private readonly long _start = clock.GetTimestamp();
        private long _last;
        private GenerationUsage _usage;
        private bool _finished;

        public double ElapsedSeconds => clock.GetElapsedTime(_start).TotalSeconds;

        public void Add(GenerationChunk chunk)
        {
            _usage = chunk.Usage;
            _finished = chunk.Finish is not (null or GenerationFinish.Aborted);
            if (chunk.Tokens.Count == 0)
            {
                return;
            }

            var now = clock.GetTimestamp();
            if (_last == 0)
            {
                metrics.TimeToFirstToken.Observe(clock.GetElapsedTime(_start, now).TotalSeconds);
            }
            else
            {
                metrics.InterToken.Observe(
                    clock.GetElapsedTime(_last, now).TotalSeconds / chunk.Tokens.Count,
                    chunk.Tokens.Count);
            }

            _last = now;
        }

        public void Dispose()
        {
            var kind = streaming ? 1 : 0;
            Interlocked.Add(ref metrics._promptTokens[kind], _usage.PromptTokens);
            Interlocked.Add(ref metrics._generatedTokens[kind], _usage.CompletionTokens);
            Interlocked.Add(ref metrics._cachedTokens, _usage.CachedTokens);
            if (!_finished)
            {
                Interlocked.Increment(ref metrics._aborted);
                return;
            }

            metrics.EndToEnd.Observe(ElapsedSeconds);
            metrics.PromptTokens.Observe(_usage.PromptTokens);
            metrics.UncachedPromptTokens.Observe(_usage.PromptTokens - _usage.CachedTokens);
            metrics.GeneratedTokens.Observe(_usage.CompletionTokens);
        }
    }
}
