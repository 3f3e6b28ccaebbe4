using System.Text.Json;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.OpenAi;

/// <summary>Token counts of an answer. Choices of one prompt share it: it counts once.</summary>
internal readonly record struct Usage(int PromptTokens, int CachedTokens, int CompletionTokens, int ReasoningTokens)
{
    public static Usage Of(GenerationUsage usage, int reasoningTokens = 0) =>
        new(usage.PromptTokens, usage.CachedTokens, usage.CompletionTokens, reasoningTokens);

    public static Usage Sum(IEnumerable<Usage> choices, int choicesPerPrompt)
    {
        var total = default(Usage);
        foreach (var (index, choice) in choices.Index())
        {
            var first = index % choicesPerPrompt == 0;
            total = new Usage(
                total.PromptTokens + (first ? choice.PromptTokens : 0),
                total.CachedTokens + (first ? choice.CachedTokens : 0),
                total.CompletionTokens + choice.CompletionTokens,
                total.ReasoningTokens + choice.ReasoningTokens);
        }

        return total;
    }

    public void Write(Utf8JsonWriter json, bool cacheReport, bool omitNull = false)
    {
        json.WriteStartObject();
        json.WriteNumber("prompt_tokens"u8, PromptTokens);
        json.WriteNumber("total_tokens"u8, PromptTokens + CompletionTokens);
        json.WriteNumber("completion_tokens"u8, CompletionTokens);
        if (cacheReport && CachedTokens > 0)
        {
            json.WriteStartObject("prompt_tokens_details"u8);
            json.WriteNumber("cached_tokens"u8, CachedTokens);
            json.WriteEndObject();
        }
        else if (!omitNull)
        {
            json.WriteNull("prompt_tokens_details"u8);
        }

        json.WriteNumber("reasoning_tokens"u8, ReasoningTokens);
        json.WriteEndObject();
    }
}
