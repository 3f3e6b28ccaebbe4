using LsglangSharp.Runtime;
using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Api.Cli;

/// <summary>What the flags and the memory allow, before anything is loaded.</summary>
internal static class MemoryBudget
{
    public static EngineOptions EngineOptions(ServeSettings settings) => new()
    {
        ContextLength = settings.ContextLength,
        KvTokens = settings.MaxTotalTokens,
        PageSize = settings.PageSize ?? new EngineOptions().PageSize,
        RunningRequestsMax = settings.MaxRunningRequests ?? new EngineOptions().RunningRequestsMax,
        QueuedRequestsMax = settings.MaxQueuedRequests ?? new EngineOptions().QueuedRequestsMax,
        PrefillTokensMax = settings.ChunkedPrefillSize switch
        {
            null => new EngineOptions().PrefillTokensMax,
            -1 => Math.Max(settings.MaxPrefillTokens, settings.ContextLength ?? 0),
            var size => size.Value,
        },
        StreamInterval = settings.StreamInterval,
        Scheduling = settings.Scheduling,
        LowPriorityValuesFirst = settings.LowPriorityValuesFirst,
        StepSecondsMax = settings.WatchdogSeconds ?? new EngineOptions().StepSecondsMax,
    };

    /// <summary>The engine's limits and what they take, or the complaint that the model does not fit.</summary>
    public static (EngineLimits Limits, MemoryPlan Plan) Make(
        ModelSpec spec, ModelCounts counts, DType weightType, DType cacheType, ServeSettings settings,
        EnvironmentVariables environment, long bytesFree)
    {
        var options = EngineOptions(settings);
        var perToken = counts.KvBytesPerToken(cacheType);
        var wanted = EngineLimits.Derive(options, spec.Head.Vocabulary, spec.ContextLength, perToken, long.MaxValue);
        var plan = MemoryPlan.Make(new MemoryRequest
        {
            Spec = spec,
            Weights = weightType,
            Cache = cacheType,
            BytesAvailable = bytesFree,
            StepTokensMax = wanted.Steps.StepTokensMax,
            LogitRowsMax = wanted.Steps.StepLogitRowsMax,
            PageSize = options.PageSize,
            ContextLength = wanted.ContextLength,
            UsefulTokens = wanted.KvTokens,
            StaticFraction = settings.MemFractionStatic ?? MemoryRequest.StaticFractionByDefault,
            TotalTokens = settings.MaxTotalTokens,
            CacheBytes = environment.KvCacheBytes,
        });

        // A size in bytes that was asked for is taken as it is, even where it is more than the engine would take by itself.
        options = environment.KvCacheBytes is null ? options : options with { KvTokens = plan.CachedTokens };
        return (EngineLimits.Derive(options, spec.Head.Vocabulary, spec.ContextLength, perToken, plan.CacheBytes), plan);
    }
}
