using LsglangSharp.Runtime;
using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Scheduling;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Api.Cli;

/// <summary>What the flags and the memory allow, before anything is loaded.</summary>
internal static class MemoryBudget
{
    /// <summary>Of the free memory, what weights and cache may take together if --mem-fraction-static does not say.</summary>
    private const double FractionByDefault = 0.9;

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
        Scheduling = new SchedulerOptions
        {
            Policy = settings.SchedulePolicy switch
            {
                "lpm" => SchedulePolicy.Lpm,
                "lof" => SchedulePolicy.Lof,
                _ => SchedulePolicy.Fcfs,
            },
            Priorities = settings.EnablePriorityScheduling,
            PrefixCache = !settings.DisableRadixCache,
        },
    };

    /// <summary>The engine's limits, or the complaint that the model does not fit.</summary>
    public static EngineLimits Limits(
        ModelSpec spec, ModelCounts counts, DType weightType, DType cacheType, ServeSettings settings,
        EnvironmentVariables environment, long bytesFree)
    {
        var weights = counts.Total * weightType.Bytes();
        var usable = (long)(bytesFree * (settings.MemFractionStatic ?? FractionByDefault));
        if (weights >= usable)
        {
            throw new ConfigurationException(
                $"The weights take {Size.Of(weights)} as {weightType.ToString().ToLowerInvariant()}, but {Size.Of(bytesFree)} of memory are "
                + $"available, of which {Size.Of(usable)} may be used (--mem-fraction-static). Free memory, use a machine with more, "
                + "or choose a smaller model" + (weightType == DType.F32 ? " or --dtype bfloat16." : "."));
        }

        var cache = Math.Min(environment.KvCacheBytes ?? long.MaxValue, usable - weights);
        return EngineLimits.Derive(
            EngineOptions(settings), spec.Head.Vocabulary, spec.ContextLength, counts.KvBytesPerToken(cacheType), cache);
    }
}
