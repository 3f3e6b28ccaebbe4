namespace LsglangSharp.Runtime.Generation;

/// <summary>What a request must be like to be taken: pure functions of the request and the limits.</summary>
internal sealed class RequestRules(EngineLimits limits, bool hasText)
{
    /// <summary>
    /// Alternatives that one answer may hold until somebody reads it: 8 bytes each, 128 MiB. Twenty at each position of a
    /// context of 800,000 tokens.
    /// </summary>
    private const int AlternativesMax = 1 << 24;

    /// <summary>Null if the request can be run.</summary>
    public Rejection? Complaint(GenerationRequest request)
    {
        if (request.Id.Length == 0)
        {
            return Bad("The request has no id.", "rid");
        }

        if (request.Prompt.Count == 0)
        {
            return Bad("The prompt has no tokens.", "input_ids");
        }

        return LengthComplaint(request)
            ?? TokenComplaint(request)
            ?? LogprobComplaint(request)
            ?? (request.Sampling.Validate(limits.Vocabulary) is { } sentence ? Bad(sentence, null) : null)
            ?? (request.Sampling.StopStrings.Count > 0 && !hasText
                ? Bad("Stop strings need a tokenizer, and the server runs without one (--skip-tokenizer-init).", "stop")
                : null);
    }

    /// <summary>
    /// How many tokens it may generate: its own limit or what the context and the cache have room for.
    /// </summary>
    public int NewTokensMax(GenerationRequest request)
    {
        var room = limits.Steps.SequenceTokensMax - request.Prompt.Count;
        return Math.Min(request.Sampling.MaxNewTokens ?? room, room);
    }

    private Rejection? LengthComplaint(GenerationRequest request)
    {
        var prompt = request.Prompt.Count;
        var most = request.Sampling.MaxNewTokens;
        var least = most == 0 ? 0 : 1;
        if ((long)prompt + least > limits.ContextLength)
        {
            return Bad(
                $"The input ({prompt} tokens) is longer than the model's context length ({limits.ContextLength} tokens).",
                null);
        }

        if ((long)prompt + least > limits.Steps.SequenceTokensMax)
        {
            return Bad(
                $"The input ({prompt} tokens) does not fit into the KV cache ({limits.KvTokens} tokens).", null);
        }

        if (most is { } explicitly && (long)prompt + explicitly > limits.ContextLength)
        {
            return Bad(
                "Requested token count exceeds the model's maximum context length of "
                + $"{limits.ContextLength} tokens. You requested a total of {(long)prompt + explicitly} tokens: {prompt} tokens "
                + $"from the input messages and {explicitly} tokens for the completion. Please reduce the number of tokens in "
                + "the input messages or the completion to fit within the limit.",
                "max_tokens");
        }

        return null;
    }

    private Rejection? TokenComplaint(GenerationRequest request)
    {
        foreach (var token in request.Prompt)
        {
            if (token < 0 || token >= limits.Vocabulary)
            {
                return Bad($"The prompt has token {token}, but token ids are in [0, {limits.Vocabulary}).", "input_ids");
            }
        }

        return null;
    }

    private Rejection? LogprobComplaint(GenerationRequest request)
    {
        if (request.TopLogprobs < 0 || request.TopLogprobs > limits.Vocabulary)
        {
            return Bad(
                $"top_logprobs must be in [0, {limits.Vocabulary}], got {request.TopLogprobs}.", "top_logprobs");
        }

        var positions = request.Prompt.Count + (long)NewTokensMax(request);
        if (request.ReturnLogprobs && positions * request.TopLogprobs > AlternativesMax)
        {
            return Bad(
                $"top_logprobs {request.TopLogprobs} at up to {positions} positions is more than {AlternativesMax} values; ask "
                + "for fewer of them or for fewer tokens.",
                "top_logprobs");
        }

        return request.PromptLogprobStart < -1 || request.PromptLogprobStart > request.Prompt.Count
            ? Bad(
                $"logprob_start_len must be in [-1, {request.Prompt.Count}] (the prompt's length), got "
                + $"{request.PromptLogprobStart}.",
                "logprob_start_len")
            : null;
    }

    private static Rejection Bad(string message, string? parameter) => new(message, 400, parameter);
}
