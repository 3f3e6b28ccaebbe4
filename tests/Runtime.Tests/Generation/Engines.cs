using System.Text;
using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Sampling;

namespace LsglangSharp.Runtime.Tests.Generation;

/// <summary>Small engines over models without weights, and what tests ask of them.</summary>
internal static class Engines
{
    public const int Vocabulary = 64;

    /// <summary>Token t is the character at t of this alphabet.</summary>
    public const string Alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .";

    public static EngineLimits Limits(EngineOptions? options = null, int context = 256, int kvTokens = 1024) =>
        EngineLimits.Derive((options ?? new EngineOptions()) with { KvTokens = kvTokens }, Vocabulary, context, 1, 1 << 30);

    public static Engine Start(
        EngineOptions? options = null, IForward? forward = null, int[]? eos = null, int context = 256, int kvTokens = 1024)
    {
        options ??= new EngineOptions();
        var limits = Limits(options, context, kvTokens);
        forward ??= new PagedForward(Vocabulary, limits.KvTokens, limits.PageSize);
        return new Engine(forward, limits, options, eos ?? [], _ => Letters());
    }

    public static TextStream Letters() => new(token => Alphabet[token].ToString(), () => "");

    public static GenerationRequest Request(string id, int[] prompt, int newTokens, SamplingOptions? sampling = null) => new()
    {
        Id = id,
        Prompt = prompt,
        Sampling = (sampling ?? new SamplingOptions { Temperature = 0 }) with { MaxNewTokens = newTokens },
    };

    /// <summary>Reads an answer to its end.</summary>
    public static async Task<Answer> Read(this Engine engine, GenerationRequest request)
    {
        var submission = engine.Submit(request);
        Assert.Null(submission.Rejection);
        return await Read(submission.Chunks!);
    }

    public static async Task<Answer> Read(IAsyncEnumerable<GenerationChunk> chunks)
    {
        var tokens = new List<int>();
        var logprobs = new List<TokenLogprob>();
        var text = new StringBuilder();
        IReadOnlyList<TokenLogprob>? prompt = null;
        GenerationChunk? last = null;
        await foreach (var chunk in chunks)
        {
            Assert.Null(last?.Finish);
            tokens.AddRange(chunk.Tokens);
            logprobs.AddRange(chunk.Logprobs);
            text.Append(chunk.Text);
            prompt ??= chunk.PromptLogprobs;
            last = chunk;
        }

        return new Answer([.. tokens], text.ToString(), logprobs, prompt, last!.Finish!, last.Usage);
    }

    /// <summary>What the model says to the prompt if nothing else is there: greedy.</summary>
    public static int[] Alone(int[] prompt, int newTokens)
    {
        var tokens = prompt.ToList();
        var logits = new float[Vocabulary];
        for (var i = 0; i < newTokens; i++)
        {
            PagedForward.Direct(tokens.ToArray(), logits);
            tokens.Add(Array.IndexOf(logits, logits.Max()));
        }

        return [.. tokens.Skip(prompt.Length)];
    }
}

/// <summary>A whole answer.</summary>
internal sealed record Answer(
    int[] Tokens,
    string Text,
    IReadOnlyList<TokenLogprob> Logprobs,
    IReadOnlyList<TokenLogprob>? PromptLogprobs,
    GenerationFinish Finish,
    GenerationUsage Usage);
