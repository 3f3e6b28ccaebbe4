namespace LsglangSharp.Runtime.Scheduling;

/// <summary>Who is taken from the queue first.</summary>
public enum SchedulePolicy
{
    /// <summary>First come, first served.</summary>
    Fcfs,

    /// <summary>The longest cached prefix first.</summary>
    Lpm,

    /// <summary>The longest output limit first.</summary>
    Lof,

    /// <summary>The highest priority first.</summary>
    Priority,

    /// <summary>Anyone, in an order that depends on nothing but the arrival.</summary>
    Random,
}

/// <summary>Who is sent back to the queue when the KV cache is full.</summary>
public enum RetractionPolicy
{
    /// <summary>The one with the fewest generated tokens; among those the longest prompt.</summary>
    Length,

    /// <summary>The lowest priority; among those as by length.</summary>
    Priority,
}

/// <summary>How the scheduler chooses. Names and defaults as sglang's flags.</summary>
public sealed record SchedulerOptions
{
    public SchedulePolicy Policy { get; init; } = SchedulePolicy.Fcfs;

    public RetractionPolicy Retraction { get; init; } = RetractionPolicy.Length;

    /// <summary>Requests' priorities count; without, they are all alike.</summary>
    public bool Priorities { get; init; }

    /// <summary>A waiting request may send back running ones that are less urgent.</summary>
    public bool PriorityPreemption { get; init; } = true;

    /// <summary>How much less urgent a running request must be to be sent back for a waiting one.</summary>
    public int PriorityPreemptionThreshold { get; init; } = 10;

    /// <summary>
    /// Above 1 keeps more pages free for what running requests will still generate: fewer retractions.
    /// </summary>
    public double Conservativeness { get; init; } = 1;

    /// <summary>Prefixes are kept and shared.</summary>
    public bool PrefixCache { get; init; } = true;
}

/// <summary>What a step and the cache have room for.</summary>
public sealed record SchedulerLimits
{
    public required int Pages { get; init; }

    public required int PageSize { get; init; }

    /// <summary>Sequences that run at the same time; each may add a row to every step.</summary>
    public required int RunningMax { get; init; }

    /// <summary>Prompt tokens of a step in which nothing else runs.</summary>
    public required int PrefillTokensMax { get; init; }

    /// <summary>Prompt tokens of a step that continues running requests too: how long those are held up.</summary>
    public required int PrefillTokensBesideDecode { get; init; }

    /// <summary>Rows of a step that are asked for log-probabilities of prompt tokens.</summary>
    public required int PromptLogitRowsMax { get; init; }

    /// <summary>The longest sequence: prompt and output.</summary>
    public required int SequenceTokensMax { get; init; }

    public int StepTokensMax => PrefillTokensMax + RunningMax;

    public int StepLogitRowsMax => PromptLogitRowsMax + RunningMax;

    public int PagesPerSequenceMax => PagesFor(SequenceTokensMax);

    public int PagesFor(int tokens) => (tokens + PageSize - 1) / PageSize;
}
