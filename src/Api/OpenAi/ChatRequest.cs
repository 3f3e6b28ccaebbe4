using System.Text.Json.Nodes;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Sampling;

namespace LsglangSharp.Api.OpenAi;

/// <summary>A chat request, read and checked, with its prompt as tokens.</summary>
internal sealed record ChatRequest
{
    public required string Id { get; init; }

    public required string Model { get; init; }

    public required int[] Prompt { get; init; }

    public required SamplingOptions Sampling { get; init; }

    public required int Choices { get; init; }

    public required StreamFields Stream { get; init; }

    public required Tools Tools { get; init; }

    public required Reasoning Reasoning { get; init; }

    /// <summary>Tool calls in the conversation so far; some call ids go on counting from there.</summary>
    public required int EarlierCalls { get; init; }

    public bool Logprobs { get; init; }

    public int TopLogprobs { get; init; }

    public int Priority { get; init; }

    public string CacheSalt { get; init; } = "";

    public bool ReturnPromptTokens { get; init; }

    public bool ReturnTokens { get; init; }

    public bool ReturnMetaInfo { get; init; }

    public static ChatRequest Read(Fields request, ServerContext server)
    {
        var model = server.Names.Resolve(request);
        RefuseUnheld(request);
        var stream = StreamFields.Read(request, server);
        var topLogprobs = request.Integer("top_logprobs", least: 0) ?? 0;
        var logprobs = request.Flag("logprobs") ?? false;
        CheckLogprobs(request, logprobs, topLogprobs);
        if (logprobs)
        {
            server.TextFor("'logprobs'", "logprobs");
        }

        // One call or several is the model's choice; only a grammar could hold it to one.
        _ = request.Flag("parallel_tool_calls");
        var prompt = ChatPrompt.Read(request, server);
        var sampling = ReadSampling(request, server);
        return new ChatRequest
        {
            Id = RequestIds.Read(request),
            Model = model,
            Prompt = prompt.Tokens,
            // Without special tokens the markers of calls would be missing from the text.
            Sampling = prompt.Tools.MayCall ? sampling with { SkipSpecialTokens = false } : sampling,
            Choices = SamplingFields.Choices(request),
            Stream = stream,
            Tools = prompt.Tools,
            Reasoning = prompt.Reasoning,
            EarlierCalls = prompt.EarlierCalls,
            Logprobs = logprobs,
            TopLogprobs = topLogprobs,
            Priority = request.Integer("priority") ?? 0,
            CacheSalt = RequestIds.CacheSalt(request),
            ReturnPromptTokens = WholeOnly(request, "return_prompt_token_ids", stream),
            ReturnTokens = WholeOnly(request, "return_token_ids", stream),
            ReturnMetaInfo = WholeOnly(request, "return_meta_info", stream),
        };
    }

    private static SamplingOptions ReadSampling(Fields request, ServerContext server)
    {
        var old = request.Integer("max_tokens", least: 1);
        var tokensMax = request.Integer("max_completion_tokens", least: 1) ?? old;
        return SamplingFields.Read(request, tokensMax, server.Options.SamplingDefaults, server);
    }

    private static void CheckLogprobs(Fields request, bool logprobs, int topLogprobs)
    {
        if (topLogprobs > SamplingFields.TopLogprobsMax)
        {
            throw request.Bad("top_logprobs", $"must be in [0, {SamplingFields.TopLogprobsMax}], got {topLogprobs}");
        }

        if (topLogprobs > 0 && !logprobs)
        {
            throw request.Bad("top_logprobs", "needs 'logprobs' to be true");
        }
    }

    private static void RefuseUnheld(Fields request)
    {
        SamplingFields.RequireTextFormat(request);
        foreach (var name in (ReadOnlySpan<string>)["functions", "function_call"])
        {
            if (request.Has(name))
            {
                throw new RequestException(Failure.NotSupported(name, "use 'tools' and 'tool_choice'."));
            }
        }

        if (request.List("modalities") is { } modalities && modalities.Any(item => item.Value.ToString() != "text"))
        {
            throw new RequestException(Failure.NotSupported("modalities", "this model gives text only."));
        }
    }

    private static bool WholeOnly(Fields request, string name, StreamFields stream)
    {
        var wanted = request.Flag(name) ?? false;
        return wanted && stream.Streaming
            ? throw new RequestException($"'{name}' cannot be combined with 'stream'.", name)
            : wanted;
    }
}
