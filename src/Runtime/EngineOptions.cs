using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Scheduling;

namespace LsglangSharp.Runtime;

/// <summary>
/// Every knob of the engine. Null means: derived from the model and the memory, see <see cref="EngineLimits"/>.
/// </summary>
public sealed record EngineOptions
{
    /// <summary>Tokens, prompt and answer together. Null: what the model was made for.</summary>
    public int? ContextLength { get; init; }

    /// <summary>Tokens that the KV cache has room for, at most. Null: eight contexts, as far as memory goes.</summary>
    public int? KvTokens { get; init; }

    /// <summary>
    /// Tokens in a page of the KV cache. Prefixes are shared in whole pages, so smaller shares more; attention reads a
    /// page in one piece, so larger reads better: 16 tokens of one head are 4 KiB of bf16 at a head dimension of 128.
    /// </summary>
    public int PageSize { get; init; } = 16;

    /// <summary>Requests that run at the same time. More than about a hundred only share the same bandwidth.</summary>
    public int RunningRequestsMax { get; init; } = 256;

    /// <summary>
    /// Requests that wait beyond those; the next one gets 503. Bounds memory and the time that a client waits in vain.
    /// </summary>
    public int QueuedRequestsMax { get; init; } = 1024;

    /// <summary>
    /// Prompt tokens of one step in which nothing else runs. Larger reads each expert's weights for more tokens.
    /// </summary>
    public int PrefillTokensMax { get; init; } = 2048;

    /// <summary>
    /// Prompt tokens of a step that also continues running requests: these wait for as long as such a step takes. Null:
    /// a quarter of <see cref="PrefillTokensMax"/>.
    /// </summary>
    public int? PrefillTokensBesideDecode { get; init; }

    /// <summary>
    /// Rows of logits for prompt log-probabilities in one step. A row is as long as the vocabulary: 128 rows of 152,000
    /// are 78 MB.
    /// </summary>
    public int PromptLogitRowsMax { get; init; } = 128;

    public SchedulerOptions Scheduling { get; init; } = new();

    /// <summary>A smaller priority is more urgent.</summary>
    public bool LowPriorityValuesFirst { get; init; }

    /// <summary>Tokens between two updates of a stream. More than 1 saves work where nobody reads along.</summary>
    public int StreamInterval { get; init; } = 1;

    /// <summary>Seconds that one step may take before the engine counts as hung; 0 for any time.</summary>
    public double StepSecondsMax { get; init; } = 300;

    /// <summary>
    /// A step that counts as hung ends the engine: for devices whose work can neither be looked into nor ended.
    /// </summary>
    public bool IsHangFatal { get; init; }

    /// <summary>Throws if a value is out of its range or two do not go together.</summary>
    public void Validate()
    {
        AtLeast(1, ContextLength, "--context-length");
        AtLeast(1, KvTokens, "--max-total-tokens");
        AtLeast(1, PageSize, "--page-size");
        AtLeast(1, RunningRequestsMax, "--max-running-requests");
        AtLeast(0, QueuedRequestsMax, "--max-queued-requests");
        AtLeast(1, PrefillTokensMax, "--chunked-prefill-size");
        AtLeast(1, PrefillTokensBesideDecode, "prefill tokens beside decode");
        AtLeast(1, PromptLogitRowsMax, "rows of prompt logits");
        AtLeast(1, StreamInterval, "--stream-interval");
        Demand(StepSecondsMax >= 0, $"--watchdog-timeout must be at least 0, got {StepSecondsMax}.");
        Demand(
            double.IsFinite(Scheduling.Conservativeness) && Scheduling.Conservativeness >= 0,
            $"--schedule-conservativeness must be a finite number of at least 0, got {Scheduling.Conservativeness}.");
        Demand(
            !Scheduling.Priorities || Scheduling.Policy is SchedulePolicy.Fcfs or SchedulePolicy.Lof or SchedulePolicy.Priority,
            "--enable-priority-scheduling needs --schedule-policy fcfs or lof.");
        Demand(
            Scheduling.Priorities || Scheduling.Retraction != RetractionPolicy.Priority,
            "--retraction-policy priority needs --enable-priority-scheduling.");
    }

    private static void AtLeast(int least, int? value, string name) =>
        Demand(value is null || value >= least, $"{name} must be at least {least}, got {value}.");

    private static void Demand(bool holds, string sentence)
    {
        if (!holds)
        {
            throw new ConfigurationException(sentence);
        }
    }
}
