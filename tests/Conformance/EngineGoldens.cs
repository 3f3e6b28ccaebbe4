using LsglangSharp.Runtime;
using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Sampling;
using LsglangSharp.Support;

namespace LsglangSharp.Conformance;

/// <summary>Whole models behind the whole engine, against their references.</summary>
public abstract class EngineRuns
{
    protected abstract IDevice NewDevice();

    /// <summary>How models are spread and run.</summary>
    protected virtual PagedSetting Setting { get; } = new();

    protected async Task HoldsGreedyAnswers(string name, int pageSize, int chunk, int running)
    {
        var golden = GoldenCase.Open(name);
        using var device = NewDevice();
        using var engine = Start(device, golden, pageSize, chunk, running);
        int[] all = [.. golden.Prompt, .. golden.Greedy];

        // Requests that start at different places of the same text, and strangers that read it backwards.
        var requests = Enumerable.Range(0, 10).Select(i => Read(engine, $"{i}", all[..(golden.Prompt.Length + (i % 5))],
            golden.Greedy.Length - (i % 5))).ToArray();
        var strangers = Enumerable.Range(0, 4).Select(i => Read(engine, $"s{i}", [.. all.Take(30 + i).Reverse()], 20)).ToArray();
        var answers = await Task.WhenAll(requests);
        await Task.WhenAll(strangers);

        for (var i = 0; i < answers.Length; i++)
        {
            Assert.Equal(golden.Greedy[(i % 5)..], answers[i].Tokens);
        }

        Assert.True(answers.Sum(answer => answer.Usage.CachedTokens) > golden.Prompt.Length, "nothing was shared");
    }

    protected async Task HoldsPromptLogprobs(string name, int pageSize, int chunk, int running)
    {
        var golden = GoldenCase.Open(name);
        using var device = NewDevice();
        using var engine = Start(device, golden, pageSize, chunk, running);
        await Read(engine, "before", golden.Prompt, 1);

        var answer = await Read(engine, "a", golden.Prompt, 0, promptLogprobStart: 1);

        // Each of two terms is off by at most the bound of the logits.
        var bound = 2e-4 * golden.LargestLogit;
        for (var position = 1; position < golden.Prompt.Length; position++)
        {
            var logits = golden.Logits.AsSpan((position - 1) * golden.Vocabulary, golden.Vocabulary).ToArray();
            var max = logits.Max();
            var total = max + Math.Log(logits.Sum(logit => Math.Exp(logit - max)));
            var given = answer.PromptLogprobs![position - 1];
            Assert.Equal(golden.Prompt[position], given.Token);
            Assert.Equal(logits[given.Token] - total, given.Logprob!.Value, bound);
        }
    }

    private Engine Start(IDevice device, GoldenCase golden, int pageSize, int chunk, int running)
    {
        var model = new PagedModel(device, golden.Folder, DType.F32, DType.F32, pageSize, setting: Setting);
        var batch = model.Sizes;
        var options = new EngineOptions
        {
            PageSize = pageSize,
            KvTokens = batch.PagesPerSequenceMax * pageSize,
            PrefillTokensMax = chunk,
            RunningRequestsMax = running,
            PromptLogitRowsMax = 16,
        };
        var limits = EngineLimits.Derive(
            options, golden.Vocabulary, modelContextLength: batch.PagesPerSequenceMax * pageSize, 1, long.MaxValue);
        return new Engine(model.Coordinator, limits, options, [], null);
    }

    private static async Task<Answer> Read(Engine engine, string id, int[] prompt, int tokens, int promptLogprobStart = -1)
    {
        var submission = engine.Submit(new GenerationRequest
        {
            Id = id,
            Prompt = prompt,
            Sampling = new SamplingOptions { Temperature = 0, MaxNewTokens = tokens },
            ReturnLogprobs = promptLogprobStart >= 0,
            PromptLogprobStart = promptLogprobStart,
        });
        Assert.Null(submission.Rejection);
        var answer = new Answer([], null, default);
        await foreach (var chunk in submission.Chunks!)
        {
            answer = new Answer([.. answer.Tokens, .. chunk.Tokens], answer.PromptLogprobs ?? chunk.PromptLogprobs, chunk.Usage);
        }

        return answer;
    }

    private sealed record Answer(int[] Tokens, IReadOnlyList<TokenLogprob>? PromptLogprobs, GenerationUsage Usage);
}

/// <summary>
/// Chunks, pages, shared prefixes, company and retractions, as the scheduler makes them, must not change a token.
/// </summary>
public abstract class EngineGoldens : EngineRuns
{
    /// <summary>Checkpoint, tokens of a page, prompt tokens of a step, requests at a time.</summary>
    public static TheoryData<string, int, int, int> Settings
    {
        get
        {
            var rows = new TheoryData<string, int, int, int>();
            foreach (var name in GoldenCase.Names)
            {
                rows.Add(name, 1, 200, 20);
                rows.Add(name, 4, 7, 5);
                rows.Add(name, 16, 64, 20);
                rows.Add(name, 3, 1, 2);
            }

            return rows;
        }
    }

    [Theory]
    [MemberData(nameof(Settings))]
    public Task Greedy_answers_are_the_references_whatever_else_runs(string name, int pageSize, int chunk, int running) =>
        HoldsGreedyAnswers(name, pageSize, chunk, running);

    [Theory]
    [MemberData(nameof(Settings))]
    public Task Log_probabilities_of_the_prompt_are_the_references(string name, int pageSize, int chunk, int running) =>
        HoldsPromptLogprobs(name, pageSize, chunk, running);
}

/// <summary>The same for devices whose kernels are simulated thread by thread: each setting with one of the models.</summary>
public abstract class SimulatedEngineGoldens : EngineRuns
{
    [Theory]
    [InlineData("qwen3_moe", 16, 64, 20)]
    [InlineData("qwen3_moe_mixed", 4, 7, 5)]
    [InlineData("qwen3", 3, 1, 2)]
    [InlineData("llama3", 1, 200, 20)]
    public Task Greedy_answers_are_the_references_whatever_else_runs(string name, int pageSize, int chunk, int running) =>
        HoldsGreedyAnswers(name, pageSize, chunk, running);

    [Theory]
    [InlineData("qwen3_moe", 4, 7, 5)]
    [InlineData("llama3", 16, 64, 20)]
    public Task Log_probabilities_of_the_prompt_are_the_references(string name, int pageSize, int chunk, int running) =>
        HoldsPromptLogprobs(name, pageSize, chunk, running);
}
