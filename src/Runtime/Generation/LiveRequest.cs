using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Sampling;
using LsglangSharp.Runtime.Scheduling;

namespace LsglangSharp.Runtime.Generation;

/// <summary>
/// A request that has been taken: its sequence, how its tokens are chosen, its text and who reads it.
/// </summary>
internal sealed class LiveRequest
{
    private readonly int[] _endTokens;
    private readonly List<TokenLogprob>? _promptLogprobs;
    private bool _promptLogprobsSent;

    public LiveRequest(
        GenerationRequest request,
        int newTokensMax,
        int priority,
        IReadOnlyList<int> eosTokens,
        TextStream? text,
        int streamInterval,
        Action<LiveRequest> left)
    {
        Request = request;
        var options = request.Sampling;
        Sequence = new Sequence(Prompt(request.Prompt), newTokensMax)
        {
            Owner = this,
            Salt = request.CacheSalt,
            Priority = priority,
            LogitsFrom = LogitsFrom(request),
        };
        Sampling = new SamplingState(options, eosTokens, options.Seed ?? Random.Shared.NextInt64());
        _endTokens = options.IgnoreEos ? [] : [.. eosTokens.Union(options.StopTokenIds)];
        Text = new AnswerText(text, options.StopStrings, options.NoStopTrim);
        Stream = new AnswerStream(request.Prompt.Count, streamInterval, () => left(this));
        if (WantsPromptLogprobs(request))
        {
            _promptLogprobs = [];
            if (request.PromptLogprobStart == 0)
            {
                _promptLogprobs.Add(new TokenLogprob(request.Prompt[0], null, null));
            }
        }
    }

    public GenerationRequest Request { get; }

    public Sequence Sequence { get; }

    public SamplingState Sampling { get; }

    public AnswerText Text { get; }

    public AnswerStream Stream { get; }

    /// <summary>Its place among the rules of the step that was started last; -1 for none.</summary>
    public int Rule { get; set; } = -1;

    /// <summary>Its prompt has been counted.</summary>
    public bool IsCounted { get; set; }

    /// <summary>Has ended: nothing more may happen to it.</summary>
    public bool IsEnded { get; set; }

    public GenerationUsage Usage => new(
        Sequence.PromptLength, Sequence.CachedTokens, Sequence.OutputLength, Sequence.Retractions);

    public bool IsEndToken(int token) => _endTokens.AsSpan().Contains(token);

    public void AddPromptLogprob(TokenLogprob logprob) => _promptLogprobs!.Add(logprob);

    /// <summary>The log-probabilities of the prompt, once.</summary>
    public IReadOnlyList<TokenLogprob>? TakePromptLogprobs()
    {
        if (_promptLogprobsSent)
        {
            return null;
        }

        _promptLogprobsSent = true;
        return _promptLogprobs;
    }

    private static bool WantsPromptLogprobs(GenerationRequest request) =>
        request.ReturnLogprobs && request.PromptLogprobStart >= 0 && request.PromptLogprobStart < request.Prompt.Count;

    /// <summary>The log-probability of a token comes from the logits of the position before it.</summary>
    private static int LogitsFrom(GenerationRequest request) =>
        WantsPromptLogprobs(request) ? Math.Max(0, request.PromptLogprobStart - 1) : int.MaxValue;

    private static ReadOnlySpan<int> Prompt(IReadOnlyList<int> prompt) => prompt switch
    {
        int[] array => array,
        List<int> list => CollectionsMarshal.AsSpan(list),
        _ => prompt.ToArray(),
    };
}
