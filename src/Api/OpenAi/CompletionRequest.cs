using System.Text.Json;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Sampling;

namespace LsglangSharp.Api.OpenAi;

/// <summary>One of the prompts of a completion request; Text is null where the prompt was given as tokens.</summary>
internal sealed record CompletionPrompt(string? Text, int[] Tokens);

/// <summary>A completion request, read and checked.</summary>
internal sealed record CompletionRequest
{
    private const int TokensDefault = 16;
    private const int PromptsMax = 1024;

    public required string Id { get; init; }

    public required string Model { get; init; }

    public required IReadOnlyList<CompletionPrompt> Prompts { get; init; }

    public required SamplingOptions Sampling { get; init; }

    /// <summary>For each prompt.</summary>
    public required int Choices { get; init; }

    public required StreamFields Stream { get; init; }

    public bool Echo { get; init; }

    /// <summary>How many top log-probabilities with each token; null for no log-probabilities at all.</summary>
    public int? Logprobs { get; init; }

    public int Priority { get; init; }

    public string CacheSalt { get; init; } = "";

    public bool ReturnTokens { get; init; }

    public CompletionPrompt PromptOf(int choice) => Prompts[choice / Choices];

    public static CompletionRequest Read(Fields request, ServerContext server)
    {
        var model = server.Names.Resolve(request);
        SamplingFields.RequireTextFormat(request);
        if (request.Has("suffix"))
        {
            throw new RequestException(
                Failure.NotSupported("suffix", "this model has no template for filling in the middle."));
        }

        var logprobs = request.Integer("logprobs", least: 0);
        if (logprobs > SamplingFields.TopLogprobsMax)
        {
            throw request.Bad("logprobs", $"must be in [0, {SamplingFields.TopLogprobsMax}], got {logprobs}");
        }

        var echo = request.Flag("echo") ?? false;
        if (logprobs is not null || echo)
        {
            server.TextFor("'logprobs' and 'echo' of completions", logprobs is null ? "echo" : "logprobs");
        }

        var tokensMax = request.Integer("max_tokens", least: 1) ?? TokensDefault;
        return new CompletionRequest
        {
            Id = RequestIds.Read(request),
            Model = model,
            Prompts = ReadPrompts(request, server),
            Sampling = SamplingFields.Read(request, tokensMax, new SamplingDefaults(), server),
            Choices = SamplingFields.Choices(request),
            Stream = StreamFields.Read(request, server),
            Echo = echo,
            Logprobs = logprobs,
            Priority = request.Integer("priority") ?? 0,
            CacheSalt = RequestIds.CacheSalt(request),
            ReturnTokens = request.Flag("return_token_ids") ?? false,
        };
    }

    private static List<CompletionPrompt> ReadPrompts(Fields request, ServerContext server)
    {
        const string expected = "a string, a list of strings, a list of token ids or a list of such lists";
        if (request.Any("prompt") is not { } prompt)
        {
            throw request.Missing("prompt", $"{expected}");
        }

        if (prompt.ValueKind == JsonValueKind.String)
        {
            return [OfText(prompt.GetString()!, server)];
        }

        if (prompt.ValueKind != JsonValueKind.Array)
        {
            throw Fields.Wrong("prompt", expected, prompt);
        }

        if (prompt.GetArrayLength() == 0)
        {
            throw Empty();
        }

        if (prompt[0].ValueKind == JsonValueKind.Number)
        {
            return [new CompletionPrompt(null, Fields.TokensOf(prompt, "prompt"))];
        }

        if (prompt.GetArrayLength() > PromptsMax)
        {
            throw request.Bad("prompt", $"takes at most {PromptsMax} prompts, got {prompt.GetArrayLength()}");
        }

        return [.. Fields.ListOf(prompt, "prompt").Select(item => item.Value.ValueKind switch
        {
            JsonValueKind.String => OfText(item.Value.GetString()!, server),
            JsonValueKind.Array => OfTokens(Fields.TokensOf(item.Value, item.Path)),
            _ => throw Fields.Wrong(item.Path, "a string or a list of token ids", item.Value),
        })];
    }

    private static CompletionPrompt OfText(string text, ServerContext server)
    {
        var tokens = text.Length == 0 ? [] : server.TextFor("A text prompt", "prompt").Encode(text, addSpecialTokens: true);
        return tokens.Length > 0 ? new CompletionPrompt(text, tokens) : throw Empty();
    }

    private static CompletionPrompt OfTokens(int[] tokens) => tokens.Length > 0 ? new CompletionPrompt(null, tokens) : throw Empty();

    private static RequestException Empty() => new("Prompt cannot be empty", "prompt");
}
