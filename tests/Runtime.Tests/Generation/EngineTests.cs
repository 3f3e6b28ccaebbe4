using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.Sampling;

namespace LsglangSharp.Runtime.Tests.Generation;

public sealed class EngineTests
{
    private static readonly int[] _prompt = [1, 2, 3, 4, 5];

    [Fact]
    public async Task Generates_what_the_model_says()
    {
        using var engine = Engines.Start();

        var answer = await engine.Read(Engines.Request("a", _prompt, 20));

        Assert.Equal(Engines.Alone(_prompt, 20), answer.Tokens);
        Assert.Equal(new GenerationFinish.Length(20), answer.Finish);
        Assert.Equal(new GenerationUsage(5, 0, 20, 0), answer.Usage);
        Assert.Equal(string.Concat(answer.Tokens.Select(token => Engines.Alphabet[token])), answer.Text);
    }

    [Fact]
    public async Task Answers_many_at_once_as_if_each_were_alone()
    {
        using var engine = Engines.Start(new EngineOptions { PageSize = 4, PrefillTokensMax = 16 }, kvTokens: 400);
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
        using var engine = Engines.Start();
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
        using var engine = Engines.Start();
        var whole = string.Concat(Engines.Alone(_prompt, 20).Select(token => Engines.Alphabet[token]));
        var stop = whole[7..10];

        var answer = await engine.Read(Engines.Request(
            "a", _prompt, 20, new SamplingOptions { Temperature = 0, StopStrings = ["never", stop] }));

        Assert.Equal(new GenerationFinish.StopString(stop), answer.Finish);
        Assert.Equal(whole[..whole.IndexOf(stop, StringComparison.Ordinal)], answer.Text);
    }

    [Fact]
    public void Rejects_a_prompt_that_is_too_long_with_both_lengths()
    {
        using var engine = Engines.Start(context: 8);

        var submission = engine.Submit(Engines.Request("a", new int[9], 1));

        Assert.Null(submission.Chunks);
        Assert.Equal(
            "The input (9 tokens) is longer than the model's context length (8 tokens).", submission.Rejection!.Message);
        Assert.Equal(400, submission.Rejection.Status);
    }
}
