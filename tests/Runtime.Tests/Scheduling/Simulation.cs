using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.KvCache;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Sampling;
using LsglangSharp.Runtime.Scheduling;
using LsglangSharp.Runtime.Tests.Generation;

namespace LsglangSharp.Runtime.Tests.Scheduling;

/// <summary>
/// Runs one case to its end and checks at every step what must always hold, and at the end that each answer is what the
/// request gives alone and that nothing is left behind.
/// </summary>
internal sealed class Simulation
{
    private static readonly GenerationFinish.Aborted _cancelled = new("cancelled", 499);

    private readonly ScheduleCase _case;
    private readonly PagedForward _forward;
    private readonly ChoosingForward? _choosing;
    private readonly StepLoop _loop;
    private readonly LiveRequest?[] _requests;
    private readonly int[] _references;

    public Simulation(ScheduleCase schedule, Choosing choosing = Choosing.OnHost)
    {
        _case = schedule;
        var limits = schedule.Limits.Steps;
        _forward = new PagedForward(schedule.Vocabulary, limits.Pages * limits.PageSize, limits.PageSize) { Inspect = Inspect };
        var forward = _forward.With(choosing);
        _choosing = forward as ChoosingForward;
        _loop = new StepLoop(forward, limits, schedule.Options, _ => { });
        _requests = new LiveRequest[schedule.Arrivals.Count];
        _references = new int[limits.Pages];
    }

    /// <summary>Steps that were started before the tokens of the one before were known.</summary>
    public long Followed => _choosing?.Followed ?? 0;

    public long Retractions => _loop.Scheduler.Retractions;

    public long CachedTokens => _loop.Counters.CachedTokens;

    public void Run()
    {
        var step = 0;
        for (var idle = false; !idle; step++)
        {
            Assert.True(step < 20_000, "it does not end");
            Arrive(step);
            idle = !_loop.Step() && step >= _case.Arrivals[^1].Step;
            CheckPages();
        }

        foreach (var (request, arrival) in _requests.Zip(_case.Arrivals))
        {
            CheckAnswer(request!, arrival);
        }

        var pool = _loop.Scheduler.Pool;
        Assert.Equal(pool.Count, pool.FreeCount + _loop.Scheduler.Tree.PageCount);
        Assert.True(_loop.Scheduler.TryFlush());
        Assert.Equal(pool.Count, pool.FreeCount);
        Assert.Empty(_loop.Scheduler.Tree.Roots);
    }

    private void Arrive(int step)
    {
        for (var i = 0; i < _requests.Length; i++)
        {
            var arrival = _case.Arrivals[i];
            if (arrival.Step == step)
            {
                var request = arrival.Request;
                _requests[i] = new LiveRequest(
                    request, request.Sampling.MaxNewTokens!.Value, request.Priority, [0], null, 1, _ => { });
                _loop.Add(_requests[i]!);
            }

            if (arrival.CancelStep == step)
            {
                _loop.Abort(_requests[i]!, _cancelled);
            }
        }
    }

    /// <summary>The step is within its limits, and nobody else reads a page that it writes.</summary>
    private void Inspect(StepBatch batch)
    {
        var limits = _case.Limits.Steps;
        Assert.InRange(batch.TokenCount, 1, limits.StepTokensMax);
        Assert.InRange(batch.SequenceCount, 1, limits.RunningMax);
        Assert.InRange(batch.LogitRowCount, 0, limits.StepLogitRowsMax);
        var prefill = 0;
        foreach (var sequence in _loop.Scheduler.Scheduled)
        {
            prefill += sequence.StepTokens > 1 ? sequence.StepTokens : 0;
        }

        Assert.InRange(prefill, 0, limits.PrefillTokensMax);
        for (var row = 0; row < batch.TokenCount; row++)
        {
            Assert.Equal(1, _loop.Scheduler.Pool.References(batch.Slots[row] / limits.PageSize));
            Assert.DoesNotContain(batch.Slots[row], batch.Slots.AsSpan(0, row).ToArray());
        }
    }

    /// <summary>
    /// Every page is held exactly as often as somebody has it, and every node is locked by exactly those who read it.
    /// </summary>
    private void CheckPages()
    {
        var scheduler = _loop.Scheduler;
        Array.Clear(_references);
        var evictable = 0;
        var total = 0;
        foreach (var root in scheduler.Tree.Roots)
        {
            Count(root, ref total, ref evictable);
        }

        foreach (var sequence in scheduler.Running)
        {
            foreach (var page in sequence.Pages.Span)
            {
                _references[page]++;
            }
        }

        for (var page = 0; page < _references.Length; page++)
        {
            Assert.Equal(_references[page], scheduler.Pool.References(page));
        }

        Assert.Equal(total, scheduler.Tree.PageCount);
        Assert.Equal(evictable, scheduler.Tree.EvictablePages);
        Assert.Equal(_references.Count(count => count == 0), scheduler.Pool.FreeCount);
    }

    private int Count(PrefixNode node, ref int total, ref int evictable)
    {
        var readers = 0;
        foreach (var sequence in _loop.Scheduler.Running)
        {
            readers += sequence.Node == node ? 1 : 0;
        }

        foreach (var page in node.Pages)
        {
            _references[page]++;
        }

        foreach (var child in node.Children)
        {
            Assert.Equal(node.End, child.Start);
            readers += Count(child, ref total, ref evictable);
        }

        Assert.Equal(readers, node.LockCount);
        total += node.PageCount;
        evictable += readers == 0 ? node.PageCount : 0;
        return readers;
    }

    private void CheckAnswer(LiveRequest request, ScheduleCase.Arrival arrival)
    {
        Assert.True(request.IsEnded);
        var next = request.Stream.MoveNextAsync();
        Assert.True(next.IsCompleted && next.GetAwaiter().GetResult());
        var chunk = request.Stream.Current;
        var alone = Alone(arrival.Request);
        if (chunk.Finish == _cancelled)
        {
            Assert.NotNull(arrival.CancelStep);
            Assert.Equal(alone.Tokens.Take(chunk.Tokens.Count), chunk.Tokens);
            return;
        }

        Assert.Equal(alone.Tokens, chunk.Tokens);
        Assert.Equal(alone.Finish, chunk.Finish);
        Assert.Equal(alone.Logprobs, chunk.Logprobs.Select(logprob => logprob.Logprob!.Value));
        Assert.Equal(alone.PromptLogprobs, (chunk.PromptLogprobs ?? []).Select(logprob => (logprob.Token, logprob.Logprob)));
        Assert.Equal(arrival.Request.Prompt.Count, chunk.Usage.PromptTokens);
        Assert.InRange(chunk.Usage.CachedTokens, 0, arrival.Request.Prompt.Count - 1);
    }

    /// <summary>The same request without scheduler and cache: a loop over the definition of the model.</summary>
    private Expected Alone(GenerationRequest request)
    {
        var options = request.Sampling;
        var sampler = new Sampler(_case.Vocabulary);
        var state = new SamplingState(options, [0], options.Seed!.Value);
        var logits = new float[_case.Vocabulary];
        var tokens = request.Prompt.ToList();
        var expected = new Expected([], [], PromptLogprobs(request, sampler, logits));
        while (true)
        {
            if (expected.Tokens.Count == options.MaxNewTokens)
            {
                return expected with { Finish = new GenerationFinish.Length(expected.Tokens.Count) };
            }

            PagedForward.Direct(tokens.ToArray(), logits);
            var token = sampler.Sample(logits, state);
            if (request.ReturnLogprobs)
            {
                expected.Logprobs.Add(sampler.LogprobOf(token, logits));
            }

            state.Add(token);
            tokens.Add(token);
            expected.Tokens.Add(token);
            if (!options.IgnoreEos && (token == 0 || options.StopTokenIds.Contains(token)))
            {
                return expected with { Finish = new GenerationFinish.StopToken(token) };
            }
        }
    }

    private static List<(int Token, float? Logprob)> PromptLogprobs(GenerationRequest request, Sampler sampler, float[] logits)
    {
        var expected = new List<(int, float?)>();
        var prompt = request.Prompt.ToArray();
        var start = request.ReturnLogprobs && request.PromptLogprobStart >= 0 ? request.PromptLogprobStart : prompt.Length;
        for (var position = start; position < prompt.Length; position++)
        {
            if (position == 0)
            {
                expected.Add((prompt[0], null));
                continue;
            }

            PagedForward.Direct(prompt.AsSpan(0, position), logits);
            Assert.True(sampler.Score(logits));
            expected.Add((prompt[position], sampler.LogprobOf(prompt[position], logits)));
        }

        return expected;
    }

    private sealed record Expected(
        List<int> Tokens, List<float> Logprobs, List<(int Token, float? Logprob)> PromptLogprobs)
    {
        public GenerationFinish? Finish { get; init; }
    }
}
