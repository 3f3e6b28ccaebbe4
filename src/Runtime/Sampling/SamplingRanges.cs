namespace LsglangSharp.Runtime.Sampling;

/// <summary>The ranges of sampling values, in one place.</summary>
internal static class SamplingRanges
{
    public static string? Complaint(SamplingOptions options, int vocabulary) => options switch
    {
        { MaxNewTokens: < 0 } => $"max_new_tokens must be at least 0, got {options.MaxNewTokens}.",
        { MinNewTokens: < 0 } => $"min_new_tokens must be at least 0, got {options.MinNewTokens}.",
        _ when options.MaxNewTokens is { } most && options.MinNewTokens > most =>
            $"min_new_tokens must be in [0, max_new_tokens ({most})], got {options.MinNewTokens}.",
        _ when !(float.IsFinite(options.Temperature) && options.Temperature >= 0) =>
            $"temperature must be a finite number of at least 0, got {options.Temperature}.",
        _ when !(options.TopP > 0 && options.TopP <= 1) => $"top_p must be in (0, 1], got {options.TopP}.",
        _ when !(options.TopK == -1 || options.TopK >= 1) => $"top_k must be -1 (all) or at least 1, got {options.TopK}.",
        _ when !(options.MinP >= 0 && options.MinP <= 1) => $"min_p must be in [0, 1], got {options.MinP}.",
        _ when !(options.RepetitionPenalty > 0 && options.RepetitionPenalty <= 2) =>
            $"repetition_penalty must be in (0, 2], got {options.RepetitionPenalty}.",
        _ when !(options.FrequencyPenalty >= -2 && options.FrequencyPenalty <= 2) =>
            $"frequency_penalty must be in [-2, 2], got {options.FrequencyPenalty}.",
        _ when !(options.PresencePenalty >= -2 && options.PresencePenalty <= 2) =>
            $"presence_penalty must be in [-2, 2], got {options.PresencePenalty}.",
        _ => TokenComplaint(options, vocabulary),
    };

    private static string? TokenComplaint(SamplingOptions options, int vocabulary)
    {
        foreach (var (token, bias) in options.LogitBias ?? new Dictionary<int, float>())
        {
            if (token < 0 || token >= vocabulary)
            {
                return $"logit_bias names token {token}, but token ids are in [0, {vocabulary}).";
            }

            if (!float.IsFinite(bias))
            {
                return $"logit_bias of token {token} must be a finite number, got {bias}.";
            }
        }

        foreach (var token in options.StopTokenIds)
        {
            if (token < 0 || token >= vocabulary)
            {
                return $"stop_token_ids names token {token}, but token ids are in [0, {vocabulary}).";
            }
        }

        return null;
    }
}
