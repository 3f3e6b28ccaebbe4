using LsglangSharp.Runtime.Sampling;

namespace LsglangSharp.Runtime.Tests.Sampling;

public sealed class SamplerTests
{
    [Fact]
    public void Draws_as_often_as_the_distribution_says()
    {
        float[] logits = [0, MathF.Log(2), MathF.Log(5), float.NegativeInfinity];
        var sampler = new Sampler(4);
        var state = new SamplingState(new SamplingOptions(), [], seed: 3);
        var counts = new int[4];
        const int draws = 80_000;

        for (var i = 0; i < draws; i++)
        {
            var token = sampler.Sample(logits, state);
            counts[token]++;
            state.Add(token);
        }

        // Five standard deviations of a binomial count.
        Assert.InRange(counts[0], (draws / 8) - 470, (draws / 8) + 470);
        Assert.InRange(counts[1], (draws / 4) - 615, (draws / 4) + 615);
        Assert.Equal(0, counts[3]);
    }

    [Theory]
    [InlineData(1, -1, 0)]
    [InlineData(0.9, -1, 0)]
    [InlineData(1, 40, 0)]
    [InlineData(0.95, 200, 0.01)]
    [InlineData(1, 3000, 0)]
    [InlineData(0.999, -1, 0)]
    public void The_cut_is_that_of_a_full_sort(float topP, int topK, float minP)
    {
        const int vocabulary = 5_003;
        var random = new Random(5);
        var sampler = new Sampler(vocabulary);
        foreach (var spread in (float[])[0.01f, 1, 4, 20])
        {
            var logits = Enumerable.Range(0, vocabulary).Select(_ => (random.NextSingle() - 0.5f) * spread).ToArray();
            var options = new SamplingOptions { TopP = topP, TopK = topK, MinP = minP };
            var actual = new double[vocabulary];

            sampler.Probabilities(logits, new SamplingState(options, [], 1), actual);

            var expected = SortedCut(logits, options);
            Assert.Equal(expected.Order(), Enumerable.Range(0, vocabulary).Where(token => actual[token] > 0));
            Assert.Equal(1, actual.Sum(), 1e-6);
        }
    }

    [Fact]
    public void The_same_seed_draws_the_same_whatever_was_drawn_between()
    {
        var random = new Random(1);
        var rows = Enumerable.Range(0, 50).Select(_ => Enumerable.Range(0, 300).Select(_ => random.NextSingle() * 9).ToArray());
        var options = new SamplingOptions { TopP = 0.9f };
        var sampler = new Sampler(300);
        var first = new SamplingState(options, [], 42);
        var second = new SamplingState(options, [], 42);
        var other = new SamplingState(options, [], 43);
        var differs = false;

        foreach (var row in rows)
        {
            var token = sampler.Sample(row, first);
            first.Add(token);
            var between = sampler.Sample(row, other);
            other.Add(between);
            differs |= between != token;

            Assert.Equal(token, sampler.Sample(row, second));
            second.Add(token);
        }

        Assert.True(differs);
    }

    [Fact]
    public void A_minimum_length_keeps_end_and_stop_tokens_away()
    {
        float[] logits = [9, 8, 7, 1];
        var sampler = new Sampler(4);
        var state = new SamplingState(
            new SamplingOptions { Temperature = 0, MinNewTokens = 2, StopTokenIds = [1] }, endTokens: [0], seed: 1);
        var tokens = new List<int>();

        for (var i = 0; i < 3; i++)
        {
            tokens.Add(sampler.Sample(logits, state));
            state.Add(tokens[^1]);
        }

        Assert.Equal([2, 2, 0], tokens);
    }

    [Theory]
    [InlineData(float.NaN, SamplingFault.NotANumber)]
    [InlineData(float.PositiveInfinity, SamplingFault.Infinite)]
    public void A_broken_logit_anywhere_is_a_fault(float broken, SamplingFault fault)
    {
        var sampler = new Sampler(100);
        foreach (var temperature in (float[])[0, 1])
        {
            for (var position = 0; position < 100; position++)
            {
                var logits = new float[100];
                logits[position] = broken;

                Assert.Equal(-1, sampler.Sample(logits, new SamplingState(new() { Temperature = temperature }, [], 1)));
                Assert.Equal(fault, sampler.Fault);
            }
        }
    }

    [Fact]
    public void Nothing_to_choose_from_is_a_fault()
    {
        var logits = Enumerable.Repeat(float.NegativeInfinity, 20).ToArray();
        var sampler = new Sampler(20);

        Assert.Equal(-1, sampler.Sample(logits, new SamplingState(new SamplingOptions(), [], 1)));
        Assert.Equal(SamplingFault.NothingLeft, sampler.Fault);
    }

    [Fact]
    public void Logits_are_left_as_they_were()
    {
        var logits = Enumerable.Range(0, 64).Select(i => (float)i).ToArray();
        var state = new SamplingState(
            new SamplingOptions { FrequencyPenalty = 1, LogitBias = new Dictionary<int, float> { [3] = 5 } }, [], 1);
        state.Add(7);

        new Sampler(64).Sample(logits, state);

        Assert.Equal(Enumerable.Range(0, 64).Select(i => (float)i), logits);
    }

    [Fact]
    public void Top_of_the_whole_vocabulary_is_everything_in_order()
    {
        float[] logits = [1, 3, 3, -0f, 0, 2];
        var sampler = new Sampler(6);
        Assert.True(sampler.Score(logits));
        var tokens = new int[6];

        sampler.Top(logits, tokens, new float[6]);

        Assert.Equal([1, 2, 5, 0, 3, 4], tokens);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(11)]
    [InlineData(200)]
    [InlineData(3000)]
    public void Top_is_what_sorting_gives(int count)
    {
        var random = new Random(count);
        var logits = Enumerable.Range(0, 3_000).Select(_ => (float)random.Next(1_000)).ToArray();
        var sampler = new Sampler(logits.Length);
        Assert.True(sampler.Score(logits));
        var tokens = new int[count];

        sampler.Top(logits, tokens, new float[count]);

        Assert.Equal(Enumerable.Range(0, 3_000).OrderByDescending(i => logits[i]).ThenBy(i => i).Take(count), tokens);
    }

    [Fact]
    public void Choosing_a_token_allocates_nothing()
    {
        var logits = Enumerable.Range(0, 25_600).Select(i => (i * 7919 % 25_600) * 1e-3f).ToArray();
        var sampler = new Sampler(logits.Length);
        SamplingState[] states =
        [
            new(new() { Temperature = 0 }, [], 1),
            new(new() { FrequencyPenalty = 1 }, [], 1),
            new(new() { TopP = 0.9f, TopK = 50 }, [], 1),
            new(new() { TopP = 0.999f, Temperature = 3 }, [], 1),
        ];
        Choose();
        var before = GC.GetAllocatedBytesForCurrentThread();

        Choose();

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Choose()
        {
            foreach (var state in states)
            {
                Assert.True(sampler.Sample(logits, state) >= 0);
                state.Add(17);
                sampler.LogprobOf(17, logits);
            }
        }
    }

    /// <summary>The definition: sort, walk, cut.</summary>
    private static List<int> SortedCut(float[] logits, SamplingOptions options)
    {
        var max = logits.Max();
        var weights = logits.Select(logit => Math.Exp(logit - max)).ToArray();
        var total = weights.Sum();
        var kept = new List<int>();
        var before = 0.0;
        foreach (var token in Enumerable.Range(0, logits.Length).OrderByDescending(i => logits[i]).ThenBy(i => i))
        {
            if ((options.TopK >= 0 && kept.Count >= options.TopK)
                || before > (double)(decimal)options.TopP * total
                || weights[token] < options.MinP)
            {
                break;
            }

            kept.Add(token);
            before += weights[token];
        }

        return kept;
    }
}
