using LsglangSharp.Runtime.Scheduling;

namespace LsglangSharp.Runtime.Tests.Scheduling;

public sealed class SchedulerTests
{
    private static readonly SchedulerLimits _limits = new()
    {
        Pages = 64,
        PageSize = 4,
        RunningMax = 4,
        PrefillTokensMax = 16,
        PrefillTokensBesideDecode = 8,
        PromptLogitRowsMax = 8,
        SequenceTokensMax = 128,
    };

    [Fact]
    public void Running_requests_continue_in_every_step_while_a_long_prompt_is_read()
    {
        var scheduler = new Scheduler(_limits, new SchedulerOptions());
        var early = Add(scheduler, 5, first: 100);
        Step(scheduler);
        var late = Add(scheduler, 40, first: 200);

        for (var step = 1; step <= 5; step++)
        {
            Step(scheduler);

            Assert.Equal(1 + step, early.OutputLength);
            Assert.Equal(8 * step, late.Computed);
        }

        Assert.Equal(1, late.OutputLength);
    }

    [Fact]
    public void A_lone_prompt_is_read_in_the_largest_chunks()
    {
        var scheduler = new Scheduler(_limits, new SchedulerOptions());
        var sequence = Add(scheduler, 40);

        Assert.Equal(16, Step(scheduler));
        Assert.Equal(16, Step(scheduler));
        Assert.Equal(8, Step(scheduler));
        Assert.Equal(1, sequence.OutputLength);
    }

    [Fact]
    public void Equal_prompts_that_come_together_are_computed_once()
    {
        var scheduler = new Scheduler(_limits, new SchedulerOptions());
        var sequences = Enumerable.Range(0, 4).Select(_ => Add(scheduler, 14)).ToArray();

        Assert.Equal(14, Step(scheduler));
        Assert.Equal(1 + (3 * 2), Step(scheduler));

        Assert.Equal([0, 12, 12, 12], sequences.Select(sequence => sequence.CachedTokens));
        Assert.All(sequences, sequence => Assert.True(sequence.OutputLength > 0));
        Assert.Equal(sequences[0].Pages.Span[..3].ToArray(), sequences[3].Pages.Span[..3].ToArray());
        Assert.NotEqual(sequences[0].Pages[3], sequences[3].Pages[3]);
    }

    [Fact]
    public void Of_a_prompt_that_is_cached_as_a_whole_one_token_is_computed()
    {
        var scheduler = new Scheduler(_limits with { PageSize = 1, SequenceTokensMax = 64 }, new SchedulerOptions());
        var first = Add(scheduler, 10, newTokens: 8);
        Step(scheduler);
        scheduler.End(first);
        var second = Add(scheduler, 10, newTokens: 8);

        Assert.Equal(1, Step(scheduler));

        Assert.Equal(9, second.CachedTokens);
        Assert.Equal(1, second.OutputLength);
    }

    [Fact]
    public void Generated_tokens_are_cached_for_the_next_turn()
    {
        var scheduler = new Scheduler(_limits, new SchedulerOptions());
        var first = Add(scheduler, 5);
        for (var i = 0; i < 8; i++)
        {
            Step(scheduler);
        }

        var turn = first.Tokens.ToArray();
        scheduler.End(first);
        var second = new Sequence([.. turn, 1, 2, 3], 4);
        scheduler.Enqueue(second);
        Step(scheduler);

        Assert.Equal(12, second.CachedTokens);
    }

    [Fact]
    public void Without_prefix_cache_nothing_is_kept()
    {
        var scheduler = new Scheduler(_limits, new SchedulerOptions { PrefixCache = false });
        var first = Add(scheduler, 12);
        Step(scheduler);
        scheduler.End(first);
        var second = Add(scheduler, 12);

        Assert.Equal(12, Step(scheduler));
        Assert.Equal(0, second.CachedTokens);
        scheduler.End(second);
        Assert.Equal(64, scheduler.Pool.FreeCount);
    }

    [Fact]
    public void When_the_cache_is_full_the_one_with_the_fewest_tokens_goes_back_and_comes_again()
    {
        var scheduler = new Scheduler(
            _limits with { Pages = 8, SequenceTokensMax = 32 }, new SchedulerOptions { Conservativeness = 0 });
        var old = Add(scheduler, 8, first: 100, newTokens: 24);
        Step(scheduler);
        Step(scheduler);
        var young = Add(scheduler, 8, first: 200, newTokens: 12);
        while (young.Retractions == 0)
        {
            Step(scheduler);
        }

        Assert.Equal(SequenceState.Waiting, young.State);
        Assert.Equal(0, old.Retractions);
        var generated = young.OutputLength;
        while (old.OutputLength < 24)
        {
            Step(scheduler);
        }

        scheduler.End(old);
        Step(scheduler);
        Step(scheduler);
        Assert.Equal(SequenceState.Running, young.State);
        Assert.True(young.OutputLength > generated);
    }

    [Fact]
    public void First_come_first_served_does_not_let_a_small_request_pass_one_that_must_wait()
    {
        var scheduler = new Scheduler(_limits with { Pages = 16, SequenceTokensMax = 64 }, new SchedulerOptions());
        Add(scheduler, 30, first: 100, newTokens: 30);
        Step(scheduler);
        Step(scheduler);
        var large = Add(scheduler, 50, first: 200, newTokens: 2);
        var small = Add(scheduler, 2, first: 300, newTokens: 2);

        Step(scheduler);

        Assert.Equal(SequenceState.Waiting, large.State);
        Assert.Equal(SequenceState.Waiting, small.State);
    }

    [Fact]
    public void The_longest_cached_prefix_goes_first_but_not_for_ever()
    {
        var scheduler = new Scheduler(
            _limits with { RunningMax = 1 }, new SchedulerOptions { Policy = SchedulePolicy.Lpm });
        Finish(scheduler, Add(scheduler, 16, first: 1));
        var passedOver = Add(scheduler, 16, first: 900);
        var admitted = 0;
        while (passedOver.State == SequenceState.Waiting)
        {
            var favourite = Add(scheduler, 16, first: 1);
            Step(scheduler);
            if (favourite.State == SequenceState.Running)
            {
                scheduler.End(favourite);
                admitted++;
            }
        }

        Assert.Equal(Choice.OvertakenMax, admitted);
    }

    [Fact]
    public void The_longest_output_goes_first()
    {
        var scheduler = new Scheduler(_limits with { RunningMax = 1 }, new SchedulerOptions { Policy = SchedulePolicy.Lof });
        var running = Add(scheduler, 4, first: 100);
        Step(scheduler);
        var brief = Add(scheduler, 4, first: 200, newTokens: 2);
        var lengthy = Add(scheduler, 4, first: 300, newTokens: 90);
        scheduler.End(running);

        Step(scheduler);

        Assert.Equal(SequenceState.Running, lengthy.State);
        Assert.Equal(SequenceState.Waiting, brief.State);
    }

    [Fact]
    public void A_random_order_is_another_one_and_leaves_nobody_out()
    {
        var scheduler = new Scheduler(
            _limits with { RunningMax = 1 }, new SchedulerOptions { Policy = SchedulePolicy.Random });
        var sequences = Enumerable.Range(0, 30).Select(i => Add(scheduler, 4, first: 100 * i)).ToList();
        var order = new List<int>();
        while (scheduler.HasWork)
        {
            Step(scheduler);
            order.Add(sequences.IndexOf(scheduler.Running[0]));
            scheduler.End(scheduler.Running[0]);
        }

        Assert.NotEqual(Enumerable.Range(0, 30), order);
        Assert.Equal(Enumerable.Range(0, 30), order.Order());
    }

    [Theory]
    [InlineData(9, true, false)]
    [InlineData(10, true, true)]
    [InlineData(10, false, false)]
    public void An_urgent_request_sends_back_one_that_is_urgent_by_so_much_less(int priority, bool preemption, bool goesBack)
    {
        var scheduler = new Scheduler(_limits with { RunningMax = 1 }, new SchedulerOptions
        {
            Priorities = true,
            PriorityPreemption = preemption,
        });
        var running = Add(scheduler, 4, first: 100);
        Step(scheduler);
        var urgent = Add(scheduler, 4, first: 200, priority: priority);

        Step(scheduler);

        Assert.Equal(goesBack ? SequenceState.Waiting : SequenceState.Running, running.State);
        Assert.Equal(goesBack ? SequenceState.Running : SequenceState.Waiting, urgent.State);
    }

    [Fact]
    public void Planning_a_decode_step_allocates_nothing()
    {
        var scheduler = new Scheduler(_limits, new SchedulerOptions());
        for (var i = 0; i < 4; i++)
        {
            Add(scheduler, 10, first: 100 * i, newTokens: 100);
        }

        Steps(10);
        var before = GC.GetAllocatedBytesForCurrentThread();

        // Four times twenty tokens cross page borders, and the lists of pages were sized for more than that.
        Steps(20);

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Steps(int count)
        {
            for (var i = 0; i < count; i++)
            {
                Step(scheduler);
            }
        }
    }

    private static Sequence Add(Scheduler scheduler, int length, int first = 0, int newTokens = 64, int priority = 0)
    {
        var prompt = Enumerable.Range(first, length).ToArray();
        var sequence = new Sequence(prompt, newTokens) { Priority = priority };
        scheduler.Enqueue(sequence);
        return sequence;
    }

    private static void Finish(Scheduler scheduler, Sequence sequence)
    {
        Step(scheduler);
        scheduler.End(sequence);
    }

    /// <summary>
    /// Plans, pretends to run, and appends a token where the end was reached. Returns the tokens of the step.
    /// </summary>
    private static int Step(Scheduler scheduler)
    {
        if (!scheduler.Plan())
        {
            return 0;
        }

        scheduler.Commit();
        for (var i = 0; i < scheduler.Scheduled.Length; i++)
        {
            var sequence = scheduler.Scheduled[i];
            if (sequence.IsAtEnd && sequence.OutputLength < sequence.NewTokensMax)
            {
                sequence.Append(7);
            }
        }

        return scheduler.Batch.TokenCount;
    }
}
