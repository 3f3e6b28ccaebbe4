namespace LsglangSharp.Runtime.Sampling;

/// <summary>
/// How the next token is chosen and when to stop. Defaults and ranges as in sglang's SamplingParams; <see
/// cref="Validate"/> says what is out of range.
/// </summary>
public sealed record SamplingOptions
{
    /// <summary>Tokens to generate at most; null for as many as the context has room for.</summary>
    public int? MaxNewTokens { get; init; }

    /// <summary>End-of-sequence and stop tokens cannot be chosen before this many tokens.</summary>
    public int MinNewTokens { get; init; }

    /// <summary>Below 1e-6: greedy.</summary>
    public float Temperature { get; init; } = 1;

    public float TopP { get; init; } = 1;

    /// <summary>-1 for all.</summary>
    public int TopK { get; init; } = -1;

    public float MinP { get; init; }

    public float RepetitionPenalty { get; init; } = 1;

    public float FrequencyPenalty { get; init; }

    public float PresencePenalty { get; init; }

    /// <summary>Added to the logits of single tokens.</summary>
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }

    /// <summary>The same seed and request give the same tokens, whatever runs beside them; null draws one.</summary>
    public long? Seed { get; init; }

    public IReadOnlyList<string> StopStrings { get; init; } = [];

    public IReadOnlyList<int> StopTokenIds { get; init; } = [];

    /// <summary>Neither end-of-sequence nor stop tokens end the generation.</summary>
    public bool IgnoreEos { get; init; }

    /// <summary>Keep the stop string or token in the text.</summary>
    public bool NoStopTrim { get; init; }

    public bool SkipSpecialTokens { get; init; } = true;

    /// <summary>Null if everything is in range, else a sentence that names the value and its range.</summary>
    public string? Validate(int vocabulary) => SamplingRanges.Complaint(this, vocabulary);
}
