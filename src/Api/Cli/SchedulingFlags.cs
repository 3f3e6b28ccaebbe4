using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Scheduling;

namespace LsglangSharp.Api.Cli;

/// <summary>The flags that say who goes first, who goes back and what is kept.</summary>
internal static class SchedulingFlags
{
    public static SchedulerOptions Read(FlagReader flags)
    {
        var byDefault = new SchedulerOptions();
        return new SchedulerOptions
        {
            Policy = Of(flags.Text("--schedule-policy"), "--schedule-policy", _policies, byDefault.Policy),
            Retraction = Of(flags.Text("--retraction-policy"), "--retraction-policy", _retractions, byDefault.Retraction),
            Priorities = flags.IsSet("--enable-priority-scheduling"),
            PriorityPreemption = !flags.IsSet("--disable-priority-preemption"),
            PriorityPreemptionThreshold =
                flags.Count("--priority-scheduling-preemption-threshold", 0) ?? byDefault.PriorityPreemptionThreshold,
            Conservativeness = flags.Number("--schedule-conservativeness", 0) ?? byDefault.Conservativeness,
            PrefixCache = !flags.IsSet("--disable-radix-cache"),
        };
    }

    private static readonly Dictionary<string, SchedulePolicy> _policies = new(StringComparer.Ordinal)
    {
        ["fcfs"] = SchedulePolicy.Fcfs,
        ["lpm"] = SchedulePolicy.Lpm,
        ["lof"] = SchedulePolicy.Lof,
        ["random"] = SchedulePolicy.Random,
        ["priority"] = SchedulePolicy.Priority,
    };

    private static readonly Dictionary<string, RetractionPolicy> _retractions = new(StringComparer.Ordinal)
    {
        ["length"] = RetractionPolicy.Length,
        ["priority"] = RetractionPolicy.Priority,
    };

    private static T Of<T>(string? text, string flag, Dictionary<string, T> names, T byDefault) =>
        text is null ? byDefault
        : names.TryGetValue(text, out var value) ? value
        : throw new ConfigurationException($"{flag} {text} is not supported; {string.Join(", ", names.Keys)} are.");
}
