using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Scheduling;

namespace LsglangSharp.Runtime;

/// <summary>
/// Every limit that the engine runs under, derived once from options, model and memory. Nothing grows beyond them.
/// </summary>
public sealed record EngineLimits
{
    /// <summary>Contexts that fit at the same time if nobody says how large the cache is to be.</summary>
    private const int ContextsByDefault = 8;

    /// <summary>For models with short contexts: many short requests still fit.</summary>
    private const int KvTokensByDefaultMin = 65_536;

    public required int Vocabulary { get; init; }

    public required int ContextLength { get; init; }

    public required int QueuedRequestsMax { get; init; }

    public required SchedulerLimits Steps { get; init; }

    public int KvPages => Steps.Pages;

    public int PageSize => Steps.PageSize;

    public int KvTokens => Steps.Pages * Steps.PageSize;

    /// <summary>Requests that are taken at all: running and queued.</summary>
    public int LiveRequestsMax => Steps.RunningMax + QueuedRequestsMax;

    /// <param name="options">What the operator wants.</param>
    /// <param name="vocabulary">Tokens of the model.</param>
    /// <param name="modelContextLength">What the model was made for.</param>
    /// <param name="kvBytesPerToken">Bytes of keys and values of one token over all layers.</param>
    /// <param name="kvBytesFree">Bytes that the cache may take.</param>
    public static EngineLimits Derive(
        EngineOptions options, int vocabulary, int modelContextLength, long kvBytesPerToken, long kvBytesFree)
    {
        options.Validate();
        var context = options.ContextLength ?? modelContextLength;
        var wanted = options.KvTokens ?? Math.Max((long)ContextsByDefault * context, KvTokensByDefaultMin);
        var fitting = Math.Min(kvBytesFree / Math.Max(1, kvBytesPerToken), int.MaxValue / 2);
        var pages = (int)Math.Min(Pages(wanted), fitting / options.PageSize);
        if (pages < 1)
        {
            throw new ConfigurationException(
                $"A page of the KV cache takes {options.PageSize * kvBytesPerToken:N0} bytes, but only "
                + $"{Math.Max(0, kvBytesFree):N0} bytes are free for it. Free memory or choose a smaller --page-size.");
        }

        var kvTokens = pages * options.PageSize;
        return new EngineLimits
        {
            Vocabulary = vocabulary,
            ContextLength = context,
            QueuedRequestsMax = options.QueuedRequestsMax,
            Steps = new SchedulerLimits
            {
                Pages = pages,
                PageSize = options.PageSize,
                RunningMax = options.RunningRequestsMax,
                PrefillTokensMax = options.PrefillTokensMax,
                PrefillTokensBesideDecode = Math.Min(
                    options.PrefillTokensBesideDecode ?? Math.Max(1, options.PrefillTokensMax / 4), options.PrefillTokensMax),
                PromptLogitRowsMax = options.PromptLogitRowsMax,
                SequenceTokensMax = Math.Min(context, kvTokens),
            },
        };

        long Pages(long tokens) => (tokens + options.PageSize - 1) / options.PageSize;
    }
}
