using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.Sampling;

namespace LsglangSharp.Runtime.Tests.Generation;

public sealed class EngineTests() : EngineBehaviour(Choosing.OnHost);

public sealed class EngineOnDeviceTests() : EngineBehaviour(Choosing.OnDevice);

public sealed class EngineAheadTests() : EngineBehaviour(Choosing.Ahead);

/// <summary>What requests get, wherever their tokens are chosen.</summary>
public abstract class EngineBehaviour(Choosing choosing)
{
    private static readonly int[] _prompt = [1, 2, 3, 4, 5];

    [Fact]
    public async Task Generates_what_the_model_says()
    {
        using var engine = Start();

        var answer = await engine.Read(Engines.Request("a", _prompt, 20));

        Assert.Equal(Engines.Alone(_prompt, 20), answer.Tokens);
        Assert.Equal(new GenerationFinish.Length(20), answer.Finish);
        Assert.Equal(new GenerationUsage(5, 0, 20, 0), answer.Usage);
        Assert.Equal(string.Concat(answer.Tokens.Select(token => Engines.Alphabet[token])), answer.Text);
    }

    [Fact]
    public async Task Answers_many_at_once_as_if_each_were_alone()
    {
        using var engine = Start(new EngineOptions { PageSize = 4, PrefillTokensMax = 16 }, kvTokens: 400);
        var prompts = Enumerable.Range(0, 40).Select(i => Enumerable.Range(i % 5, 3 + (i * 7 % 60)).ToArray()).ToArray();

        var answers = await Task.WhenAll(prompts.Select((prompt, i) =>
            engine.Read(Engines.Request($"r{i}", prompt.Select(token => token % 64).ToArray(), 1 + (i * 5 % 30)))));

        for (var i = 0; i < answers.Length; i++)
        {
            Assert.Equal(Engines.Alone(prompts[i].Select(token => token % 64).ToArray(), 1 + (i * 5 % 30)), answers[i].Tokens);
        }
    }

    [Fact]
    public async Task Ends_at_a_stop_token_and_drops_its_text()
    {
        using var engine = Start();
        var expected = Engines.Alone(_prompt, 6);

        var answer = await engine.Read(Engines.Request(
            "a", _prompt, 20, new SamplingOptions { Temperature = 0, StopTokenIds = [expected[5]] }));

        Assert.Equal(new GenerationFinish.StopToken(expected[5]), answer.Finish);
        Assert.Equal(expected[..(Array.IndexOf(expected, expected[5]) + 1)], answer.Tokens);
        Assert.Equal(answer.Tokens.Length - 1, answer.Text.Length);
    }

    [Fact]
    public async Task Ends_at_a_stop_string_across_tokens()
    {
        using var engine = Start();
        var whole = string.Concat(Engines.Alone(_prompt, 20).Select(token => Engines.Alphabet[token]));
        var stop = whole[7..10];

        var answer = await engine.Read(Engines.Request(
            "a", _prompt, 20, new SamplingOptions { Temperature = 0, StopStrings = ["never", stop] }));

        Assert.Equal(new GenerationFinish.StopString(stop), answer.Finish);
        Assert.Equal(whole[..whole.IndexOf(stop, StringComparison.Ordinal)], answer.Text);
    }

    [Fact]
    public async Task Keeps_stop_string_and_token_when_asked_to()
    {
        using var engine = Start();
        var expected = Engines.Alone(_prompt, 20);
        var whole = string.Concat(expected.Select(token => Engines.Alphabet[token]));

        var byString = await engine.Read(Engines.Request(
            "a", _prompt, 20, new SamplingOptions { Temperature = 0, StopStrings = [whole[7..10]], NoStopTrim = true }));
        var byToken = await engine.Read(Engines.Request(
            "b", _prompt, 20, new SamplingOptions { Temperature = 0, StopTokenIds = [expected[5]], NoStopTrim = true }));

        Assert.Equal(whole[..(whole.IndexOf(whole[7..10], StringComparison.Ordinal) + 3)], byString.Text);
        Assert.Equal(whole[..(Array.IndexOf(expected, expected[5]) + 1)], byToken.Text);
    }

    [Fact]
    public async Task Holds_back_a_part_of_a_stop_string_and_gives_it_out_at_the_end()
    {
        using var engine = Start();
        var whole = string.Concat(Engines.Alone(_prompt, 12).Select(token => Engines.Alphabet[token]));

        var answer = await engine.Read(Engines.Request(
            "a", _prompt, 12, new SamplingOptions { Temperature = 0, StopStrings = [whole[9..] + "\0"] }));

        Assert.Equal(whole, answer.Text);
        Assert.Equal(new GenerationFinish.Length(12), answer.Finish);
    }

    [Fact]
    public async Task Ignores_end_tokens_when_asked_to_and_keeps_them_away_below_the_minimum()
    {
        var expected = Engines.Alone(_prompt, 20);
        using var engine = Start(eos: [expected[3]]);

        var stopped = await engine.Read(Engines.Request("a", _prompt, 20));
        var ignoring = await engine.Read(Engines.Request(
            "b", _prompt, 20, new SamplingOptions { Temperature = 0, IgnoreEos = true }));
        var atLeast = await engine.Read(Engines.Request(
            "c", _prompt, 20, new SamplingOptions { Temperature = 0, MinNewTokens = 10 }));

        Assert.Equal(new GenerationFinish.StopToken(expected[3]), stopped.Finish);
        Assert.Equal(expected, ignoring.Tokens);
        Assert.DoesNotContain(expected[3], atLeast.Tokens[..10]);
    }

    [Fact]
    public async Task The_same_seed_gives_the_same_answer_in_any_company()
    {
        var sampling = new SamplingOptions { Temperature = 1.2f, TopP = 0.9f, Seed = 11 };
        Answer alone;
        using (var engine = Start())
        {
            alone = await engine.Read(Engines.Request("a", _prompt, 30, sampling));
        }

        using var busy = Start(new EngineOptions { PageSize = 4, PrefillTokensMax = 8 });
        var answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(i =>
            busy.Read(Engines.Request($"{i}", i == 5 ? _prompt : [i, i], 30, sampling))));

        Assert.Equal(alone.Tokens, answers[5].Tokens);
        Assert.NotEqual(alone.Tokens, answers[4].Tokens);
    }

    [Fact]
    public async Task Without_a_seed_answers_differ()
    {
        using var engine = Start();
        var sampling = new SamplingOptions { Temperature = 3 };

        var first = await engine.Read(Engines.Request("a", _prompt, 30, sampling));
        var second = await engine.Read(Engines.Request("b", _prompt, 30, sampling));

        Assert.NotEqual(first.Tokens, second.Tokens);
    }

    [Fact]
    public async Task Gives_log_probabilities_of_answer_and_prompt()
    {
        using var engine = Start(new EngineOptions { PromptLogitRowsMax = 2 });
        var request = Engines.Request("a", _prompt, 3) with
        {
            ReturnLogprobs = true,
            PromptLogprobStart = 0,
            TopLogprobs = 2,
        };

        var answer = await engine.Read(request);

        var all = _prompt.Concat(answer.Tokens).ToArray();
        var given = answer.PromptLogprobs!.Concat(answer.Logprobs).ToArray();
        Assert.Equal(all, given.Select(logprob => logprob.Token));
        Assert.Null(given[0].Logprob);
        for (var position = 1; position < all.Length; position++)
        {
            var logits = new float[Engines.Vocabulary];
            PagedForward.Direct(all.AsSpan(0, position), logits);
            var total = Math.Log(logits.Sum(logit => Math.Exp(logit)));
            Assert.Equal(logits[all[position]] - total, given[position].Logprob!.Value, 1e-5);
            var best = Enumerable.Range(0, logits.Length).OrderByDescending(token => logits[token]).Take(2);
            Assert.Equal(best, given[position].Top!.Select(top => top.Token));
            Assert.Equal(logits.Max() - total, given[position].Top![0].Logprob, 1e-5);
        }
    }

    [Theory]
    [InlineData(3, 2)]
    [InlineData(5, 0)]
    [InlineData(-1, 0)]
    public async Task Gives_log_probabilities_of_the_prompt_from_where_they_are_wanted_even_if_it_is_cached(int start, int count)
    {
        using var engine = Start(new EngineOptions { PageSize = 1 });
        await engine.Read(Engines.Request("first", _prompt, 2));

        var answer = await engine.Read(Engines.Request("a", _prompt, 2) with
        {
            ReturnLogprobs = true,
            PromptLogprobStart = start,
        });

        Assert.Equal(_prompt[^count..], (answer.PromptLogprobs ?? []).Select(logprob => logprob.Token));
        Assert.Equal(count == 0 ? 4 : start - 1, answer.Usage.CachedTokens);
    }

    [Fact]
    public async Task Reads_a_prompt_without_generating()
    {
        using var engine = Start(context: 5);

        var answer = await engine.Read(Engines.Request("a", _prompt, 0) with
        {
            ReturnLogprobs = true,
            PromptLogprobStart = 1,
        });

        Assert.Equal(new GenerationFinish.Length(0), answer.Finish);
        Assert.Equal(4, answer.PromptLogprobs!.Count);
        Assert.Equal(new GenerationUsage(5, 0, 0, 0), answer.Usage);
    }

    [Fact]
    public async Task Generates_until_the_context_is_full_when_no_limit_is_given()
    {
        using var engine = Start(context: 40);

        var answer = await engine.Read(new GenerationRequest
        {
            Id = "a",
            Prompt = _prompt,
            Sampling = new SamplingOptions { Temperature = 0 },
        });

        Assert.Equal(new GenerationFinish.Length(35), answer.Finish);
    }

    [Fact]
    public async Task Several_choices_of_one_prompt_share_it()
    {
        using var engine = Start(new EngineOptions { PageSize = 4 });
        var prompt = Enumerable.Range(0, 30).ToArray();

        var answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(i =>
            engine.Read(Engines.Request($"{i}", prompt, 5, new SamplingOptions { Seed = i }))));

        Assert.Equal([0, 28, 28, 28], answers.Select(answer => answer.Usage.CachedTokens).Order());
    }

    [Fact]
    public async Task Forgets_prefixes_when_flushed()
    {
        using var engine = Start(new EngineOptions { PageSize = 1 });
        await engine.Read(Engines.Request("a", _prompt, 2));
        Assert.True(engine.Load.EvictableKvTokens > 0);

        Assert.True(engine.TryFlushCache());

        Assert.Equal(0, engine.Load.EvictableKvTokens);
        Assert.Equal(0, (await engine.Read(Engines.Request("b", _prompt, 2))).Usage.CachedTokens);
    }

    [Fact]
    public async Task Counts_what_it_does()
    {
        using var engine = Start(new EngineOptions { PageSize = 1 });
        await engine.Read(Engines.Request("a", _prompt, 4));
        await engine.Read(Engines.Request("b", _prompt, 4));

        var load = engine.Load;

        Assert.Equal((0, 0, 0), (load.RunningRequests, load.QueuedRequests, load.UsedKvTokens));
        Assert.Equal((10, 4, 8), (load.PromptTokens, load.CachedTokens, load.GeneratedTokens));
        Assert.Equal((2, 0), (load.FinishedRequests, load.AbortedRequests));
        Assert.Null(load.Fault);
    }

    [Fact]
    public async Task Chooses_by_every_rule_as_the_host_does()
    {
        SamplingOptions[] all =
        [
            new() { Temperature = 0 },
            new() { Temperature = 0.8f, TopP = 0.9f, Seed = 1 },
            new() { Temperature = 1.5f, TopK = 9, MinP = 0.05f, Seed = 2 },
            new() { RepetitionPenalty = 1.4f, FrequencyPenalty = 0.3f, Seed = 3 },
            new() { MinNewTokens = 9, StopTokenIds = [3, 4, 5, 6, 7, 8, 9], Seed = 4 },
            new() { LogitBias = Enumerable.Range(0, 30).ToDictionary(token => token, token => token * 0.1f), Seed = 5 },
            new() { LogitBias = Enumerable.Range(20, 30).ToDictionary(token => token, _ => -9f), Seed = 6 },
        ];
        async Task<Answer[]> Answers(Engine engine) => await Task.WhenAll(all.Select((sampling, i) => engine.Read(
            Engines.Request($"{i}", [.. _prompt, i], 25, sampling) with { ReturnLogprobs = i % 2 == 0, TopLogprobs = 10 * i })));

        using var host = Engines.Start();
        using var engine = Start(new EngineOptions { PrefillTokensMax = 8 });
        var (expected, actual) = (await Answers(host), await Answers(engine));

        for (var i = 0; i < all.Length; i++)
        {
            Assert.Equal(expected[i].Tokens, actual[i].Tokens);
            Assert.Equal(expected[i].Finish, actual[i].Finish);
            Assert.Equal(
                expected[i].Logprobs.SelectMany(logprob => logprob.Top ?? []), actual[i].Logprobs.SelectMany(logprob => logprob.Top ?? []));
        }
    }

    private Engine Start(
        EngineOptions? options = null, int[]? eos = null, int context = 256, int kvTokens = 1024)
    {
        var limits = Engines.Limits(options, context, kvTokens);
        var forward = new PagedForward(Engines.Vocabulary, limits.KvTokens, limits.PageSize);
        return Engines.Start(options, forward.With(choosing), eos, context, kvTokens);
    }
}
