using LsglangSharp.Runtime.Sampling;

namespace LsglangSharp.Runtime.Generation;

/// <summary>One prompt to continue. Several choices for one prompt are several requests.</summary>
public sealed record GenerationRequest
{
    /// <summary>Unique among live requests.</summary>
    public required string Id { get; init; }

    /// <summary>At least one token.</summary>
    public required IReadOnlyList<int> Prompt { get; init; }

    public SamplingOptions Sampling { get; init; } = new();

    /// <summary>Log-probabilities of generated tokens are wanted.</summary>
    public bool ReturnLogprobs { get; init; }

    /// <summary>
    /// First prompt position whose log-probability is wanted (given what stands before it; position 0 has none); -1 or
    /// the prompt's length for none. Needs <see cref="ReturnLogprobs"/>.
    /// </summary>
    public int PromptLogprobStart { get; init; } = -1;

    /// <summary>How many alternatives to give with each log-probability.</summary>
    public int TopLogprobs { get; init; }

    /// <summary>Higher goes first where priorities are enabled.</summary>
    public int Priority { get; init; }

    /// <summary>Prefixes are shared only between requests of the same salt.</summary>
    public string CacheSalt { get; init; } = "";
}

/// <summary>A token with its log-probability; null where there is none (the first token of a prompt).</summary>
public readonly record struct TokenLogprob(int Token, float? Logprob, IReadOnlyList<TopLogprob>? Top);

/// <summary>One of the most probable tokens at a position.</summary>
public readonly record struct TopLogprob(int Token, float Logprob);

/// <summary>What one or more steps added to a request's answer.</summary>
public sealed record GenerationChunk
{
    /// <summary>Text that no later token can change; empty without a tokenizer.</summary>
    public string Text { get; init; } = "";

    /// <summary>
    /// The new tokens; their text may come in a later chunk, or never (a stop string, a half character).
    /// </summary>
    public IReadOnlyList<int> Tokens { get; init; } = [];

    /// <summary>One for each of <see cref="Tokens"/> when asked for.</summary>
    public IReadOnlyList<TokenLogprob> Logprobs { get; init; } = [];

    /// <summary>In the first chunk, when asked for: one for each prompt position from PromptLogprobStart on.</summary>
    public IReadOnlyList<TokenLogprob>? PromptLogprobs { get; init; }

    /// <summary>Set in the last chunk, and only there.</summary>
    public GenerationFinish? Finish { get; init; }

    public required GenerationUsage Usage { get; init; }
}

/// <summary>Counts so far.</summary>
public readonly record struct GenerationUsage(int PromptTokens, int CachedTokens, int CompletionTokens, int Retractions);

/// <summary>Why a generation ended.</summary>
public abstract record GenerationFinish
{
    private GenerationFinish()
    {
    }

    /// <summary>An end-of-sequence or stop token, which is among the tokens of the answer.</summary>
    public sealed record StopToken(int Token) : GenerationFinish;

    /// <summary>A stop string.</summary>
    public sealed record StopString(string Matched) : GenerationFinish;

    /// <summary>The token limit or the end of the context.</summary>
    public sealed record Length(int Tokens) : GenerationFinish;

    /// <summary>Ended by the server or by an abort; the status is the HTTP status that fits.</summary>
    public sealed record Aborted(string Message, int Status) : GenerationFinish;
}
