using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Sampling;

namespace LsglangSharp.Conformance;

/// <summary>Tokens chosen on a device against the host's <see cref="Sampler"/>, rule for rule and row for row.</summary>
public abstract class ChooserConformance
{
    private readonly Random _random = new(7);

    protected abstract IDevice Device { get; }

    /// <summary>A row as a request has it: how its token is chosen, after what it has generated.</summary>
    private sealed record Row(float[] Logits, SamplingOptions Options, int[] Generated, long Seed, int TopCount);

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(1000)]
    [InlineData(2048)]
    [InlineData(5003)]
    public void Chooses_what_the_host_chooses(int vocabulary)
    {
        float[] spreads = [0, 0.01f, 1, 5, 30];
        var rows = new List<Row>();
        foreach (var options in Options(vocabulary))
        {
            foreach (var spread in spreads)
            {
                rows.Add(MakeRow(Enumerable.Range(0, vocabulary).Select(_ => Normal() * spread).ToArray(), options));
            }
        }

        Compare(vocabulary, rows);
    }

    [Fact]
    public void Ties_extremes_and_forbidden_tokens_go_as_on_the_host()
    {
        const int Vocabulary = 4500;
        float[][] shapes =
        [
            [.. Enumerable.Range(0, Vocabulary).Select(token => (float)(token % 3))],
            [.. Enumerable.Range(0, Vocabulary).Select(token => token == 4321 ? 1e30f : -1e30f)],
            [.. Enumerable.Range(0, Vocabulary).Select(token => token < 4400 ? float.NegativeInfinity : token * 0.01f)],
            [.. Enumerable.Range(0, Vocabulary).Select(token => token % 2 == 0 ? 0f : -0f)],
            [.. Enumerable.Range(0, Vocabulary).Select(token => -token * 0.02f)],
            [.. Enumerable.Range(0, Vocabulary).Select(token => float.MaxValue * (token == 5 ? 0.5f : -1))],
            [.. Enumerable.Range(0, Vocabulary).Select(token => token * float.Epsilon)],
        ];

        Compare(Vocabulary, [.. shapes.SelectMany(shape => Options(Vocabulary).Select(options => MakeRow(shape, options)))]);
    }

    [Fact]
    public void Broken_rows_say_what_is_wrong_and_leave_the_others_alone()
    {
        var nan = new float[3000];
        nan[2999] = float.NaN;
        var infinite = new float[3000];
        infinite[7] = float.PositiveInfinity;
        var nothing = Enumerable.Repeat(float.NegativeInfinity, 3000).ToArray();
        var sound = Enumerable.Range(0, 3000).Select(_ => Normal()).ToArray();

        Compare(3000, [.. Options(3000).SelectMany(options => new[]
        {
            MakeRow(nan, options), MakeRow(sound, options), MakeRow(infinite, options), MakeRow(nothing, options),
        })]);
    }

    [Fact]
    public void The_next_step_takes_the_tokens_from_the_device()
    {
        using var chooser = Device.NewChooser(50, 8)!;
        var rows = Enumerable.Range(0, 3)
            .Select(_ => MakeRow([.. Enumerable.Range(0, 50).Select(_ => Normal())], new SamplingOptions { Temperature = 0 }))
            .ToArray();
        var logits = Upload(50, rows);
        var tokens = Device.Memory.Allocate(DType.I32, 1, 5);
        Device.Memory.Upload<int>([11, 12, 13, 14, 15], tokens);

        chooser.Start(logits, Rules(rows), 1);
        chooser.TakeTokens(1, [2, -1, 0, 2, 1], tokens);

        var taken = Device.Memory.Read<int>(tokens).ToArray();
        var chosen = chooser.Finish(1).ToArray().Select(choice => choice.Token).ToArray();
        Assert.Equal([chosen[2], 12, chosen[0], chosen[2], chosen[1]], taken);
    }

    [Fact]
    public void A_second_step_leaves_what_the_first_has_chosen()
    {
        using var chooser = Device.NewChooser(600, 4)!;
        var options = new SamplingOptions { Temperature = 0.7f, TopP = 0.8f };
        var first = new[] { MakeRow([.. Enumerable.Range(0, 600).Select(_ => Normal())], options) };
        var second = new[] { MakeRow([.. Enumerable.Range(0, 600).Select(_ => Normal())], options) };

        chooser.Start(Upload(600, first), Rules(first), 0);
        chooser.Start(Upload(600, second), Rules(second), 1);

        Hold(first[0], chooser.Finish(0)[0]);
        Hold(second[0], chooser.Finish(1)[0]);
    }

    private static IEnumerable<SamplingOptions> Options(int vocabulary)
    {
        yield return new SamplingOptions { Temperature = 0 };
        yield return new SamplingOptions();
        yield return new SamplingOptions { Temperature = 0.3f, TopP = 0.9f };
        yield return new SamplingOptions { Temperature = 1.7f, TopK = Math.Min(40, vocabulary), MinP = 0.02f };
        yield return new SamplingOptions { TopK = 1, Temperature = 0.5f };
        yield return new SamplingOptions { TopP = 0.5f, TopK = Math.Min(3, vocabulary), Temperature = 4 };
        yield return new SamplingOptions { MinP = 0.3f };
        yield return new SamplingOptions { TopP = 0.9999f };
        yield return new SamplingOptions { RepetitionPenalty = 1.3f, FrequencyPenalty = 0.4f, PresencePenalty = -0.3f, TopP = 0.95f };
        yield return new SamplingOptions
        {
            MinNewTokens = 50,
            StopTokenIds = [0],
            LogitBias = new Dictionary<int, float> { [vocabulary - 1] = 2.5f, [vocabulary / 2] = -100 },
        };
    }

    private Row MakeRow(float[] logits, SamplingOptions options) => new(
        logits,
        options,
        [.. Enumerable.Range(0, _random.Next(5)).Select(_ => _random.Next(logits.Length))],
        _random.NextInt64(),
        _random.Next(2) == 0 ? 0 : Math.Min(logits.Length, _random.Next(1, ChosenToken.TopMax + 1)));

    private void Compare(int vocabulary, List<Row> rows)
    {
        using var chooser = Device.NewChooser(vocabulary, rows.Count)!;

        chooser.Start(Upload(vocabulary, rows), Rules(rows), 0);

        var chosen = chooser.Finish(0).ToArray();
        Assert.Equal(rows.Count, chosen.Length);
        for (var i = 0; i < rows.Count; i++)
        {
            Hold(rows[i], chosen[i]);
        }
    }

    private static void Hold(Row row, in ChosenToken choice)
    {
        var sampler = new Sampler(row.Logits.Length);
        var state = State(row);
        var token = sampler.Sample(row.Logits, state);
        Assert.Equal(token, choice.Token);
        Assert.Equal(sampler.Fault, (SamplingFault)choice.Fault);
        if (token < 0)
        {
            return;
        }

        var (max, logTotal) = (choice.Max, Math.Log(choice.Total));
        void Near(int of, float score)
        {
            var expected = sampler.LogprobOf(of, row.Logits);
            var actual = (float)((((double)score - max) / state.Temperature) - logTotal);
            Assert.True(
                expected == actual || Math.Abs(expected - actual) <= 2e-6 + (1e-6 * Math.Abs(expected)), $"{actual} for {expected}");
        }

        Near(token, choice.Score);
        var top = new int[row.TopCount];
        sampler.Top(row.Logits, top, new float[row.TopCount]);
        for (var i = 0; i < top.Length; i++)
        {
            Assert.Equal(top[i], choice.Tokens[i]);
            Near(top[i], choice.Scores[i]);
        }
    }

    private static SamplingState State(Row row)
    {
        var state = new SamplingState(row.Options, [], row.Seed);
        foreach (var token in row.Generated)
        {
            state.Add(token);
        }

        return state;
    }

    /// <summary>The last row first, so that nothing depends on where a row lies.</summary>
    private Tensor Upload(int vocabulary, IReadOnlyList<Row> rows)
    {
        var tensor = Device.Memory.Allocate(DType.F32, rows.Count, vocabulary);
        Device.Memory.Upload<float>([.. rows.Reverse().SelectMany(row => row.Logits)], tensor);
        return tensor;
    }

    private static ChoiceRules Rules(IReadOnlyList<Row> rows)
    {
        var rules = new ChoiceRules(rows.Count, 100_000);
        for (var i = 0; i < rows.Count; i++)
        {
            var (options, state) = (rows[i].Options, State(rows[i]));
            var penalizes = options.RepetitionPenalty != 1 || options.FrequencyPenalty != 0 || options.PresencePenalty != 0;
            var counts = penalizes ? rows[i].Generated.CountBy(token => token).ToArray() : [];
            int[] masked = rows[i].Generated.Length < options.MinNewTokens ? [.. options.StopTokenIds] : [];
            var biases = options.LogitBias?.ToArray() ?? [];
            rules.Add(new ChoiceRule
            {
                Uniform = state.NextUniform(),
                TopP = state.TopP,
                Temperature = state.Temperature,
                MinP = state.MinP,
                Repetition = options.RepetitionPenalty,
                Frequency = options.FrequencyPenalty,
                Presence = options.PresencePenalty,
                TopK = state.TopK,
                LogitRow = rows.Count - 1 - i,
                Flags = ChoiceFlags.Chooses | ChoiceFlags.Sums
                    | (state.IsGreedy ? ChoiceFlags.Greedy : state.Filters ? ChoiceFlags.Filters : ChoiceFlags.None),
                TopCount = rows[i].TopCount,
                Penalties = counts.Length,
                Masks = masked.Length,
                Biases = biases.Length,
            });
            foreach (var edit in counts.Select(pair => new TokenEdit(pair.Key, pair.Value))
                .Concat(masked.Select(token => new TokenEdit(token, 0)))
                .Concat(biases.Select(pair => new TokenEdit(pair.Key, pair.Value))))
            {
                rules.Add(edit);
            }
        }

        return rules;
    }

    private float Normal() =>
        (float)(Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble())) * Math.Cos(2 * Math.PI * _random.NextDouble()));
}
