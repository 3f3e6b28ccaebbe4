using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Tests.Generation;

/// <summary>What a machine that fails in a step costs, and whom.</summary>
public sealed class EngineFaultTests
{
    private static readonly int[] _prompt = [.. Enumerable.Range(0, 40).Select(i => (i * 7) % Engines.Vocabulary)];

    [Fact]
    public async Task A_fault_that_the_device_survives_ends_the_requests_of_its_step_with_the_reason()
    {
        var steps = 0;
        var forward = Forward();
        forward.Fail = _ => ++steps == 6 ? new DeviceFaultException("the experts did not answer") : null;
        using var engine = Engines.Start(forward: forward);

        var hit = await engine.Read(Engines.Request("a", _prompt, 30));
        var after = await engine.Read(Engines.Request("b", _prompt, 30));

        var aborted = Assert.IsType<GenerationFinish.Aborted>(hit.Finish);
        Assert.Equal(500, aborted.Status);
        Assert.Contains("the experts did not answer", aborted.Message, StringComparison.Ordinal);
        // What earlier steps have computed is still there, and nothing of the step that failed.
        Assert.InRange(after.Usage.CachedTokens, 16, _prompt.Length);
        Assert.Equal(Engines.Alone(_prompt, 30), after.Tokens);
        Assert.Null(engine.Load.Fault);
        Assert.Equal(0, engine.Load.UsedKvTokens);
    }

    [Fact]
    public async Task A_prompt_whose_chunk_fails_leaves_only_the_chunks_before()
    {
        var chunks = 0;
        var forward = Forward();
        forward.Fail = _ => ++chunks == 2 ? new DeviceFaultException("no memory") : null;
        using var engine = Engines.Start(new EngineOptions { PrefillTokensMax = 16 }, forward);

        var hit = await engine.Read(Engines.Request("a", _prompt, 4));
        var after = await engine.Read(Engines.Request("b", _prompt, 4));

        Assert.Equal(500, Assert.IsType<GenerationFinish.Aborted>(hit.Finish).Status);
        Assert.Equal(16, after.Usage.CachedTokens);
        Assert.Equal(Engines.Alone(_prompt, 4), after.Tokens);
    }

    [Theory]
    [InlineData(1, Choosing.OnHost)]
    [InlineData(2, Choosing.OnHost)]
    [InlineData(3, Choosing.OnHost)]
    [InlineData(4, Choosing.OnHost)]
    [InlineData(1, Choosing.OnDevice)]
    [InlineData(2, Choosing.OnDevice)]
    [InlineData(1, Choosing.Ahead)]
    [InlineData(2, Choosing.Ahead)]
    [InlineData(3, Choosing.Ahead)]
    [InlineData(4, Choosing.Ahead)]
    public async Task Whatever_fails_nobody_gets_a_wrong_token_and_nothing_leaks(int seed, Choosing choosing)
    {
        var random = new Random(seed);
        var options = new EngineOptions { PrefillTokensMax = 24, PrefillTokensBesideDecode = 8, RunningRequestsMax = 6, PageSize = 4 };
        var forward = Forward(options);
        forward.Fail = _ => random.Next(12) == 0 ? new DeviceFaultException("again") : null;
        using var engine = Engines.Start(options, forward.With(choosing));

        // Prompts that share beginnings of any length, so that pages of steps that failed would be found again.
        var prompts = Enumerable.Range(0, 60).Select(i => _prompt[..(8 + ((i * 5) % 32))]).ToArray();
        var answers = await Task.WhenAll(prompts.Select((prompt, i) => engine.Read(Engines.Request($"{seed}-{i}", prompt, 6))));

        var whole = 0;
        for (var i = 0; i < answers.Length; i++)
        {
            var expected = Engines.Alone(prompts[i], 6);
            if (answers[i].Finish is GenerationFinish.Aborted aborted)
            {
                Assert.Equal(500, aborted.Status);
                Assert.Equal(expected[..answers[i].Tokens.Length], answers[i].Tokens);
            }
            else
            {
                Assert.Equal(expected, answers[i].Tokens);
                whole++;
            }
        }

        Assert.InRange(whole, 1, answers.Length - 1);
        forward.Fail = null;
        Assert.Equal(Engines.Alone(_prompt, 6), (await engine.Read(Engines.Request("last", _prompt, 6))).Tokens);
        Assert.Equal(0, engine.Load.UsedKvTokens);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public async Task A_step_that_fails_when_the_next_has_been_started_leaves_nothing_to_be_found(int step)
    {
        var steps = 0;
        var options = new EngineOptions { PageSize = 4 };
        var forward = Forward(options);
        forward.Fail = _ => ++steps == step ? new DeviceFaultException("no answer") : null;
        var ahead = (ChoosingForward)forward.With(Choosing.Ahead);
        using var engine = Engines.Start(options, ahead);

        var hit = await engine.Read(Engines.Request("a", _prompt, 30));
        var after = await engine.Read(Engines.Request("b", _prompt, 30));

        Assert.Equal(500, Assert.IsType<GenerationFinish.Aborted>(hit.Finish).Status);
        Assert.Equal(Engines.Alone(_prompt, 30)[..hit.Tokens.Length], hit.Tokens);
        Assert.Equal(Engines.Alone(_prompt, 30), after.Tokens);
        Assert.InRange(ahead.Followed, 10, 60);
        Assert.Equal(0, engine.Load.UsedKvTokens);
    }

    [Fact]
    public async Task A_lost_device_ends_everything_and_is_told_to_who_runs_the_process()
    {
        var steps = 0;
        var forward = Forward();
        forward.Fail = _ => ++steps == 3 ? new DeviceLostException("GPU 0 has fallen off the bus") : null;
        // Not before the request has been taken.
        using var gate = new Gate();
        forward.Inspect = gate.Pass;
        using var engine = Engines.Start(forward: forward);

        var reading = engine.Read(Engines.Request("a", _prompt, 30));
        gate.Open();
        var hit = await reading;

        Assert.Equal(503, Assert.IsType<GenerationFinish.Aborted>(hit.Finish).Status);
        Assert.Equal("GPU 0 has fallen off the bus", await engine.DeviceLost);
        Assert.Equal(503, engine.Submit(Engines.Request("b", _prompt, 5)).Rejection!.Status);
    }

    [Fact]
    public async Task A_step_that_hangs_in_a_driver_ends_everything_without_it()
    {
        using var gate = new Gate();
        var forward = Forward();
        forward.Inspect = gate.Pass;
        var engine = Engines.Start(new EngineOptions { StepSecondsMax = 0.5, IsHangFatal = true }, forward);

        var hit = await engine.Read(Engines.Request("a", _prompt, 30));

        Assert.Equal(503, Assert.IsType<GenerationFinish.Aborted>(hit.Finish).Status);
        Assert.Contains("A step has been running", await engine.DeviceLost, StringComparison.Ordinal);
        Assert.Equal(503, engine.Submit(Engines.Request("b", _prompt, 5)).Rejection!.Status);
        // Returns although the step does not.
        engine.Dispose();
        gate.Open();
    }

    [Fact]
    public async Task Without_a_device_that_can_hang_a_slow_step_is_no_end()
    {
        using var engine = Engines.Start(new EngineOptions { StepSecondsMax = 1e-9 });

        await engine.Read(Engines.Request("a", _prompt, 5));

        Assert.False(engine.DeviceLost.IsCompleted);
    }

    private static PagedForward Forward(EngineOptions? options = null)
    {
        var limits = Engines.Limits(options);
        return new PagedForward(Engines.Vocabulary, limits.KvTokens, limits.PageSize);
    }
}
