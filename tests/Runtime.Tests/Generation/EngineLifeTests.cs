using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.Sampling;
using LsglangSharp.Runtime.Scheduling;

namespace LsglangSharp.Runtime.Tests.Generation;

/// <summary>Everything around generating: readers that leave, aborts, full queues, drains, faults.</summary>
public sealed class EngineLifeTests
{
    private static readonly int[] _prompt = [1, 2, 3, 4, 5];

    [Fact]
    public async Task A_reader_that_leaves_ends_its_request_and_frees_what_it_held()
    {
        using var engine = Engines.Start(new EngineOptions { Scheduling = new SchedulerOptions { PrefixCache = false } });
        var endless = engine.Submit(Engines.Request("a", _prompt, 250)).Chunks!;

        await foreach (var chunk in endless)
        {
            break;
        }

        await engine.DrainAsync(CancellationToken.None);
        Assert.Equal(0, engine.Load.UsedKvTokens);
        Assert.True(engine.Load.AbortedRequests + engine.Load.FinishedRequests == 1);
    }

    [Fact]
    public async Task Cancelling_the_enumeration_ends_the_request_while_it_waits()
    {
        using var gate = new Gate();
        var limits = Engines.Limits();
        var forward = new PagedForward(Engines.Vocabulary, limits.KvTokens, limits.PageSize) { Inspect = gate.Pass };
        using var engine = Engines.Start(forward: forward);
        using var cancel = new CancellationTokenSource();
        var reader = Read();
        await gate.Arrived();

        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reader);
        gate.Open();
        await engine.DrainAsync(CancellationToken.None);
        Assert.Equal(1, engine.Load.AbortedRequests);

        async Task Read()
        {
            await foreach (var chunk in engine.Submit(Engines.Request("a", _prompt, 50)).Chunks!.WithCancellation(cancel.Token))
            {
                Assert.Fail($"{chunk.Tokens.Count} tokens came through a closed gate");
            }
        }
    }

    [Fact]
    public async Task Aborts_by_the_beginning_of_the_id()
    {
        using var gate = new Gate();
        using var engine = Gated(gate, new EngineOptions());
        var one = Engines.Read(engine.Submit(Engines.Request("chat-1", _prompt, 50)).Chunks!);
        var two = Engines.Read(engine.Submit(Engines.Request("chat-2", _prompt, 50)).Chunks!);
        var other = Engines.Read(engine.Submit(Engines.Request("other", _prompt, 5)).Chunks!);
        await gate.Arrived();

        Assert.Equal(2, engine.Abort("chat-"));
        gate.Open();

        Assert.IsType<GenerationFinish.Aborted>((await one).Finish);
        Assert.IsType<GenerationFinish.Aborted>((await two).Finish);
        Assert.Equal(new GenerationFinish.Length(5), (await other).Finish);
        Assert.Equal(0, engine.Abort(""));
    }

    [Fact]
    public async Task Refuses_what_the_queue_has_no_room_for()
    {
        using var gate = new Gate();
        using var engine = Gated(gate, new EngineOptions { RunningRequestsMax = 1, QueuedRequestsMax = 1 });
        var running = Engines.Read(engine.Submit(Engines.Request("a", _prompt, 5)).Chunks!);
        await gate.Arrived();
        var queued = Engines.Read(engine.Submit(Engines.Request("b", _prompt, 5)).Chunks!);

        var refused = engine.Submit(Engines.Request("c", _prompt, 5));

        Assert.Equal(new Rejection("The request queue is full.", 503), refused.Rejection);
        Assert.Equal((1, 1), (engine.Load.RunningRequests, engine.Load.QueuedRequests));
        gate.Open();
        Assert.Equal(5, (await running).Tokens.Length);
        Assert.Equal(5, (await queued).Tokens.Length);
        Assert.Null(engine.Submit(Engines.Request("d", _prompt, 5)).Rejection);
    }

    [Fact]
    public async Task With_priorities_the_least_urgent_in_a_full_queue_has_to_go()
    {
        using var gate = new Gate();
        using var engine = Gated(gate, new EngineOptions
        {
            RunningRequestsMax = 1,
            QueuedRequestsMax = 1,
            Scheduling = new SchedulerOptions { Priorities = true },
        });
        var running = Engines.Read(engine.Submit(Engines.Request("a", _prompt, 5)).Chunks!);
        await gate.Arrived();
        var idle = Engines.Read(engine.Submit(Engines.Request("b", _prompt, 5) with { Priority = -1 }).Chunks!);
        var urgent = Engines.Read(engine.Submit(Engines.Request("c", _prompt, 5) with { Priority = 3 }).Chunks!);

        gate.Open();

        Assert.Equal(new GenerationFinish.Aborted("The request queue is full.", 503), (await idle).Finish);
        Assert.Equal(new GenerationFinish.Length(5), (await urgent).Finish);
        Assert.Equal(new GenerationFinish.Length(5), (await running).Finish);
    }

    [Fact]
    public async Task Refuses_an_id_that_is_in_use()
    {
        using var gate = new Gate();
        using var engine = Gated(gate, new EngineOptions());
        var first = Engines.Read(engine.Submit(Engines.Request("a", _prompt, 5)).Chunks!);

        Assert.Equal(400, engine.Submit(Engines.Request("a", _prompt, 5)).Rejection!.Status);

        gate.Open();
        await first;
        Assert.Null(engine.Submit(Engines.Request("a", _prompt, 5)).Rejection);
    }

    [Fact]
    public async Task Draining_finishes_what_runs_and_takes_nothing_more()
    {
        using var gate = new Gate();
        using var engine = Gated(gate, new EngineOptions());
        var running = Engines.Read(engine.Submit(Engines.Request("a", _prompt, 20)).Chunks!);
        await gate.Arrived();

        var drain = engine.DrainAsync(CancellationToken.None);

        Assert.Equal(503, engine.Submit(Engines.Request("b", _prompt, 5)).Rejection!.Status);
        Assert.False(drain.IsCompleted);
        gate.Open();
        await drain;
        Assert.Equal(new GenerationFinish.Length(20), (await running).Finish);
    }

    [Fact]
    public async Task Draining_aborts_what_runs_when_it_is_given_up()
    {
        using var gate = new Gate();
        using var engine = Gated(gate, new EngineOptions());
        var running = Engines.Read(engine.Submit(Engines.Request("a", _prompt, 200)).Chunks!);
        await gate.Arrived();

        var drain = engine.DrainAsync(new CancellationToken(canceled: true));
        gate.Step();
        await drain;

        Assert.Equal(new GenerationFinish.Aborted("The server is shutting down.", 503), (await running).Finish);
    }

    [Fact]
    public async Task A_fault_of_the_model_ends_every_request_and_the_engine()
    {
        using var gate = new Gate();
        var limits = Engines.Limits();
        var forward = new PagedForward(Engines.Vocabulary, limits.KvTokens, limits.PageSize)
        {
            Inspect = gate.Pass,
            Spoil = (_, _) => throw new InvalidOperationException("the device is gone"),
        };
        using var engine = Engines.Start(forward: forward);
        var running = Engines.Read(engine.Submit(Engines.Request("a", _prompt, 20)).Chunks!);
        var waiting = Engines.Read(engine.Submit(Engines.Request("b", _prompt, 20)).Chunks!);
        await gate.Arrived();

        gate.Step();

        foreach (var answer in await Task.WhenAll(running, waiting))
        {
            var aborted = Assert.IsType<GenerationFinish.Aborted>(answer.Finish);
            Assert.Equal(503, aborted.Status);
            Assert.Contains("the device is gone", aborted.Message);
        }

        Assert.Contains("the device is gone", engine.Load.Fault);
        Assert.Equal(503, engine.Submit(Engines.Request("c", _prompt, 5)).Rejection!.Status);
        Assert.False(engine.TryFlushCache());
        await engine.DrainAsync(CancellationToken.None);
    }

    [Fact]
    public async Task A_step_that_takes_too_long_shows_as_a_fault_as_long_as_it_does()
    {
        using var gate = new Gate();
        using var engine = Gated(gate, new EngineOptions { StepSecondsMax = 1e-3 });
        var running = Engines.Read(engine.Submit(Engines.Request("a", _prompt, 5)).Chunks!);
        await gate.Arrived();

        while (engine.Load.Fault is null)
        {
            await Task.Delay(1);
        }

        Assert.Contains("A step has been running", engine.Load.Fault);
        gate.Open();
        await running;
        while (engine.Load.Fault is not null)
        {
            await Task.Delay(1);
        }
    }

    [Fact]
    public async Task Numbers_that_are_not_numbers_end_only_their_request()
    {
        var limits = Engines.Limits();
        var forward = new PagedForward(Engines.Vocabulary, limits.KvTokens, limits.PageSize)
        {
            Spoil = (batch, logits) =>
            {
                for (var i = 0; i < batch.LogitRowCount; i++)
                {
                    if (batch.Positions[batch.LogitRows[i]] == 40)
                    {
                        logits[(i * Engines.Vocabulary) + 9] = float.NaN;
                    }
                }
            },
        };
        using var engine = Engines.Start(forward: forward);

        var answers = await Task.WhenAll(
            engine.Read(Engines.Request("long", _prompt, 100)),
            engine.Read(Engines.Request("short", _prompt, 30)));

        var aborted = Assert.IsType<GenerationFinish.Aborted>(answers[0].Finish);
        Assert.Equal(500, aborted.Status);
        Assert.Contains("NaN", aborted.Message);
        Assert.Equal(36, answers[0].Tokens.Length);
        Assert.Equal(new GenerationFinish.Length(30), answers[1].Finish);
        Assert.Null(engine.Load.Fault);
    }

    [Fact]
    public async Task A_slow_reader_holds_nobody_up_and_gets_everything_at_once()
    {
        using var engine = Engines.Start();
        var slow = engine.Submit(Engines.Request("slow", _prompt, 60)).Chunks!;

        var quick = await engine.Read(Engines.Request("quick", _prompt, 200));
        await engine.DrainAsync(CancellationToken.None);

        Assert.Equal(200, quick.Tokens.Length);
        var chunks = new List<GenerationChunk>();
        await foreach (var chunk in slow)
        {
            chunks.Add(chunk);
        }

        Assert.Equal(60, Assert.Single(chunks).Tokens.Count);
    }

    [Fact]
    public async Task Updates_come_after_as_many_tokens_as_the_interval_says()
    {
        using var gate = new Gate();
        using var engine = Gated(gate, new EngineOptions { StreamInterval = 4 });
        var sizes = new List<int>();
        var reader = engine.Submit(Engines.Request("a", _prompt, 10)).Chunks!.GetAsyncEnumerator();
        var next = reader.MoveNextAsync().AsTask();
        for (var step = 0; step < 10; step++)
        {
            await gate.Arrived();
            gate.Step();
            if (step is 0 or 4 or 8 or 9)
            {
                Assert.True(await next);
                sizes.Add(reader.Current.Tokens.Count);
                next = reader.MoveNextAsync().AsTask();
            }
        }

        Assert.False(await next);
        Assert.Equal([1, 4, 4, 1], sizes);
    }

    [Fact]
    public async Task Many_readers_that_come_and_go_leave_nothing_behind()
    {
        using var engine = Engines.Start(new EngineOptions { PageSize = 2, RunningRequestsMax = 5 }, kvTokens: 300);

        await Task.WhenAll(Enumerable.Range(0, 400).Select(async i =>
        {
            var submission = engine.Submit(Engines.Request($"{i}", [i % 7, 2, i % 3, 4], 1 + (i % 20)));
            var seen = 0;
            await foreach (var chunk in submission.Chunks!)
            {
                seen += chunk.Tokens.Count;
                if (i % 4 == 0 && seen > i % 5)
                {
                    break;
                }
            }
        }));

        await engine.DrainAsync(CancellationToken.None);
        var load = engine.Load;
        Assert.Equal((0, 0, 0), (load.RunningRequests, load.QueuedRequests, load.UsedKvTokens));
        Assert.Equal(400, load.FinishedRequests + load.AbortedRequests);
    }

    [Fact]
    public void A_decode_step_allocates_nothing()
    {
        var limits = Engines.Limits();
        var loop = new StepLoop(
            new PagedForward(Engines.Vocabulary, limits.KvTokens, limits.PageSize), limits.Steps, new SchedulerOptions(), _ => { });
        for (var i = 0; i < 4; i++)
        {
            var request = Engines.Request($"{i}", [i], 250, new SamplingOptions
            {
                Temperature = i == 0 ? 0 : 1,
                TopP = 0.9f,
                Seed = i,
                FrequencyPenalty = i == 1 ? 1 : 0,
            });
            loop.Add(new LiveRequest(request, 250, 0, [], null, 1, _ => { }));
        }

        Steps(140);
        var before = GC.GetAllocatedBytesForCurrentThread();

        // The lists of tokens not yet read doubled at 128 and do so again at 256.
        Steps(100);

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Steps(int count)
        {
            for (var i = 0; i < count; i++)
            {
                Assert.True(loop.Step());
            }
        }
    }

    private static Engine Gated(Gate gate, EngineOptions options)
    {
        var limits = Engines.Limits(options);
        return Engines.Start(
            options, new PagedForward(Engines.Vocabulary, limits.KvTokens, limits.PageSize) { Inspect = gate.Pass });
    }
}
