using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Support;

namespace LsglangSharp.Conformance;

/// <summary>The router and the routed experts, against exact arithmetic.</summary>
public abstract class ExpertsConformance : DeviceConformance
{
    private sealed record Bank(ExpertBank Experts, KnownMatrix[] Gate, KnownMatrix[] Up, KnownMatrix[] Down);

    [Theory]
    [MemberData(nameof(RowCounts))]
    public void Experts_add_their_weighted_sum(int rows)
    {
        foreach (var type in Types)
        {
            var bank = Fill(type, 8, 3, 24, 16);
            Compute(bank, type, Choices(rows, 3, 8));
        }
    }

    [Theory]
    [InlineData(1, 1, 1, 1)]
    [InlineData(5, 5, 33, 17)]
    [InlineData(6, 2, 64, 48)]
    [InlineData(128, 8, 16, 8)]
    [InlineData(3, 1, 40, 130)]
    public void Experts_take_odd_shapes(int experts, int topK, int hidden, int intermediate)
    {
        foreach (var type in Types)
        {
            var bank = Fill(type, experts, topK, hidden, intermediate);
            Compute(bank, type, Choices(1, topK, experts));
            Compute(bank, type, Choices(11, topK, experts));
        }
    }

    [Theory]
    [InlineData(230, 2, 1)]
    [InlineData(2100, 3, 2)]
    public void Experts_take_many_rows(int rows, int experts, int topK)
    {
        foreach (var type in Types)
        {
            Compute(Fill(type, experts, topK, 16, 8), type, Choices(rows, topK, experts));
        }
    }

    [Fact]
    public void One_expert_may_serve_all_rows_and_the_others_none()
    {
        var bank = Fill(DType.BF16, 6, 1, 32, 24);
        Compute(bank, DType.BF16, Same(40, 4));
        Compute(bank, DType.BF16, Same(1, 0));
    }

    [Fact]
    public void Ragged_routing_gives_each_expert_another_number_of_rows()
    {
        var bank = Fill(DType.BF16, 7, 2, 32, 24);
        var choices = new int[28, 2];
        for (var t = 0; t < 28; t++)
        {
            // Expert e gets e rows as a first choice; the second choice is always expert 0.
            var expert = 1;
            for (var left = t; left >= expert && expert < 6; expert++)
            {
                left -= expert;
            }

            choices[t, 0] = expert;
        }

        Compute(bank, DType.BF16, choices);
    }

    [Fact]
    public void Experts_accept_no_rows()
    {
        var bank = Fill(DType.F32, 4, 2, 16, 8);
        var routes = Upload(Choices(1, 2, 4), (_, _) => 1).SliceRows(0, 0);
        var x = Random(1, 16).View.SliceRows(0, 0);

        var run = Device.Experts.Start(bank.Experts, x, routes);
        Device.Experts.Join(run, x);
    }

    [Fact]
    public void Work_between_start_and_join_is_kept()
    {
        var bank = Fill(DType.F32, 4, 2, 16, 8);
        var w = RandomMatrix(DType.F32, 16, 16);
        var (x, y) = (Random(5, 16), Zeros(5, 16));
        var choices = Choices(5, 2, 4);
        var routes = Upload(choices, (_, _) => 0.5f);

        var run = Device.Experts.Start(bank.Experts, x, routes);
        Device.Ops.Linear(x, w, null, y, accumulate: true);
        Device.Experts.Join(run, y);

        var (from, after) = (x.Read(), y.Read());
        for (var t = 0; t < 5; t++)
        {
            var experts = Sum(bank, DType.F32, i => from[t, i], choices, t, _ => 0.5f);
            for (var i = 0; i < 16; i++)
            {
                var shared = Dot(16, c => new(from[t, c], 0), c => w[i, c], ActivationRounding(DType.F32));
                var expected = Add(experts[i], shared.Value);
                (expected with { Error = expected.Error + shared.Error }).Holds(after[t, i], $"row {t}, column {i}");
            }
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(30)]
    public void A_NaN_stays_in_its_row_and_is_never_hidden(int rows)
    {
        foreach (var type in Types)
        {
            var bank = Fill(type, 4, 2, 16, 8);
            var x = new PaddedTensor(Device, rows, 16, (row, i) => row == 1 && i == 3 ? float.NaN : Uniform());
            var y = Zeros(rows, 16);

            Device.Experts.Join(
                Device.Experts.Start(bank.Experts, x, Upload(Choices(rows, 2, 4), (_, _) => 0.5f)), y);

            var result = y.Read();
            for (var i = 0; i < rows * 16; i++)
            {
                Assert.Equal(i / 16 == 1, float.IsNaN(result[i / 16, i % 16]));
            }
        }
    }

    [Theory]
    [InlineData(RouterScoring.Softmax, false)]
    [InlineData(RouterScoring.Softmax, true)]
    [InlineData(RouterScoring.Sigmoid, false)]
    [InlineData(RouterScoring.Sigmoid, true)]
    public void Router_keeps_the_best_by_falling_weight(RouterScoring scoring, bool renormalize)
    {
        foreach (var type in Types)
        {
            foreach (var (rows, experts, topK) in new[] { (1, 1, 1), (7, 8, 3), (3, 128, 8), (33, 60, 60), (64, 17, 4) })
            {
                Route(type, rows, 24, new Router(experts, topK, scoring) { Renormalize = renormalize });
            }
        }
    }

    [Fact]
    public void Ties_go_to_the_lower_expert()
    {
        // Experts 1, 4 and 6 have the same row, as have all others.
        var gate = new KnownMatrix(
            Device.Memory.AllocateMatrix(DType.F32, 9, 16), (row, column) => row is 1 or 4 or 6 ? column : column * 0.5f);
        var x = new PaddedTensor(Device, 2, 16, (row, column) => row + 1);
        var routes = Zeroed(2, 5);

        Device.Ops.Route(x, gate, null, new Router(9, 5, RouterScoring.Softmax), routes);
        Assert.Equal([1, 4, 6, 0, 2, 1, 4, 6, 0, 2], Device.Memory.Read<int>(routes.Experts).ToArray());

        var grouped = new Router(9, 5, RouterScoring.Sigmoid) { Groups = 3, GroupsKept = 2, GroupScoring = GroupScoring.BestTwo };
        var small = new PaddedTensor(Device, 2, 16, (row, column) => (row + 1) / 64f);
        Device.Ops.Route(small, gate, Zeros(1, 9), grouped, routes);
        Assert.Equal([1, 4, 0, 2, 3, 1, 4, 0, 2, 3], Device.Memory.Read<int>(routes.Experts).ToArray());
    }

    [Theory]
    [InlineData(RouterScoring.Sigmoid, 1, 1, GroupScoring.Best, 8, 128)]
    [InlineData(RouterScoring.Sigmoid, 8, 4, GroupScoring.BestTwo, 8, 256)]
    [InlineData(RouterScoring.Softmax, 4, 2, GroupScoring.Best, 6, 60)]
    [InlineData(RouterScoring.Softmax, 5, 2, GroupScoring.BestTwo, 6, 60)]
    [InlineData(RouterScoring.Sigmoid, 32, 5, GroupScoring.BestTwo, 7, 64)]
    [InlineData(RouterScoring.Sigmoid, 32, 31, GroupScoring.Best, 3, 32)]
    [InlineData(RouterScoring.Softmax, 1, 1, GroupScoring.Best, 64, 512)]
    [InlineData(RouterScoring.Sigmoid, 2, 1, GroupScoring.BestTwo, 64, 512)]
    public void Corrected_scores_and_groups_choose_and_plain_scores_weigh(
        RouterScoring scoring, int groups, int groupsKept, GroupScoring groupScoring, int topK, int experts)
    {
        var router = new Router(experts, topK, scoring)
        {
            Groups = groups,
            GroupsKept = groupsKept,
            GroupScoring = groupScoring,
            Renormalize = topK % 2 == 0,
            Scale = 2.5f,
        };
        const int Rows = 21;
        var gate = RandomMatrix(DType.BF16, experts, 40);
        var x = Random(Rows, 40, left: 1, right: 2);
        foreach (var correction in new[] { null, Random(1, experts) })
        {
            var routes = Zeroed(Rows, topK);

            Device.Ops.Route(x, gate, correction?.View, router, routes);

            HoldsCorrected(x.Read(), gate, correction?.Read(), router, routes);
        }
    }

    [Fact]
    public void Rows_beyond_the_live_ones_get_no_expert()
    {
        var gate = RandomMatrix(DType.F32, 6, 8);
        var x = new PaddedTensor(Device, 4, 8, (row, _) => row < 3 ? Uniform() : float.NaN);
        foreach (var live in new[] { 0, 3, 4 })
        {
            var routes = Zeroed(4, 2);

            Device.Ops.Route(x, gate, null, new Router(6, 2, RouterScoring.Softmax), routes, Integers(live));

            var experts = Device.Memory.Read<int>(routes.Experts).ToArray();
            Assert.All(experts[..(2 * live)], expert => Assert.InRange(expert, 0, 5));
            Assert.All(experts[(2 * live)..], expert => Assert.Equal(-1, expert));
            Assert.All(Device.Memory.Read<float>(routes.Weights).ToArray()[(2 * live)..], weight => Assert.Equal(0, weight));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(9)]
    [InlineData(40)]
    public void No_expert_adds_nothing_and_one_named_twice_counts_twice(int rows)
    {
        foreach (var type in Types)
        {
            var bank = Fill(type, 5, 3, 32, 24);
            var choices = Choices(rows, 3, 5);
            for (var t = 0; t < rows; t++)
            {
                choices[t, t % 3] = -1;
                choices[t, (t + 1) % 3] = choices[t, (t + 2) % 3];
            }

            choices[0, 0] = choices[0, 1] = choices[0, 2] = -1;
            Compute(bank, type, choices);
        }
    }

    [Fact]
    public void Large_logits_do_not_overflow()
    {
        var gate = new KnownMatrix(Device.Memory.AllocateMatrix(DType.F32, 4, 1), (row, _) => row * 1000);
        var x = new PaddedTensor(Device, 2, 1, (row, _) => row == 0 ? 1 : -1);
        var routes = Zeroed(2, 2);

        Device.Ops.Route(x, gate, null, new Router(4, 2, RouterScoring.Softmax) { Renormalize = true }, routes);

        Assert.Equal([3, 2, 0, 1], Device.Memory.Read<int>(routes.Experts).ToArray());
        Assert.Equal([1f, 0, 1, 0], Device.Memory.Read<float>(routes.Weights).ToArray());
    }

    [Fact]
    public void A_NaN_row_gets_experts_that_exist_and_weights_that_tell()
    {
        var gate = RandomMatrix(DType.F32, 6, 8);
        var x = new PaddedTensor(Device, 3, 8, (row, i) => row == 1 && i == 0 ? float.NaN : Uniform());
        var routes = Zeroed(3, 2);

        Device.Ops.Route(x, gate, null, new Router(6, 2, RouterScoring.Softmax) { Renormalize = true }, routes);

        Assert.All(Device.Memory.Read<int>(routes.Experts).ToArray(), expert => Assert.InRange(expert, 0, 5));
        var weights = Device.Memory.Read<float>(routes.Weights).ToArray();
        Assert.Equal([false, false, true, true, false, false], weights.Select(float.IsNaN));

        var grouped = new Router(6, 2, RouterScoring.Sigmoid) { Groups = 3, GroupsKept = 2, GroupScoring = GroupScoring.BestTwo };
        Device.Ops.Route(x, gate, Random(1, 6), grouped, routes);

        var chosen = Device.Memory.Read<int>(routes.Experts).ToArray();
        Assert.All(chosen, expert => Assert.InRange(expert, 0, 5));
        Assert.All([0, 2, 4], at => Assert.NotEqual(chosen[at], chosen[at + 1]));
    }

    private void Route(DType type, int rows, int hidden, Router router)
    {
        var gate = RandomMatrix(type, router.Experts, hidden);
        var x = Random(rows, hidden, left: 1, right: 2);
        var routes = Zeroed(rows, router.TopK);

        Device.Ops.Route(x, gate, null, router, routes);

        var from = x.Read();
        var chosen = Device.Memory.Read<int>(routes.Experts).ToArray();
        var weights = Device.Memory.Read<float>(routes.Weights).ToArray();
        for (var t = 0; t < rows; t++)
        {
            var at = t * router.TopK;
            HoldsRoute(
                [.. Enumerable.Range(0, router.Experts).Select(expert => Dot(
                    hidden, c => new(from[t, c], 0), c => gate[expert, c], ActivationRounding(type)))],
                router, chosen[at..(at + router.TopK)], weights[at..(at + router.TopK)]);
        }
    }

    private static void HoldsRoute(Bounded[] logits, Router router, int[] chosen, float[] weights)
    {
        Assert.Equal(chosen.Length, chosen.Distinct().Count());
        var error = 2 * logits.Max(logit => logit.Error);
        var falling = logits.Select(logit => logit.Value).OrderDescending().ToArray();
        for (var k = 0; k < chosen.Length; k++)
        {
            // Only experts whose logits lie within their errors of each other may change places.
            Assert.InRange(logits[chosen[k]].Value, falling[k] - error, falling[k] + error);
        }

        double Score(double logit) => router.Scoring == RouterScoring.Sigmoid
            ? 1 / (1 + Math.Exp(-logit))
            : Math.Exp(logit - falling[0]) / falling.Sum(other => Math.Exp(other - falling[0]));
        var kept = router.Renormalize ? chosen.Sum(expert => Score(logits[expert].Value)) : 1;
        var spread = falling[0] - falling[^1] + Math.Abs(falling[0]);
        var relative = Math.Exp(2 * (error + (Tolerance.Single * spread) + Tolerance.Transcendental)) - 1
            + (2 * Tolerance.Dot(logits.Length));
        for (var k = 0; k < chosen.Length; k++)
        {
            var expected = Score(logits[chosen[k]].Value) / kept;
            new Bounded(expected, relative * expected).Holds(weights[k], $"weight {k}");
            Assert.True(k == 0 || weights[k] <= weights[k - 1] * (1 + relative));
        }
    }

    /// <summary>
    /// By definition, in exact arithmetic; where two values are as near to each other as rounding may bring them, either may
    /// come first.
    /// </summary>
    private void HoldsCorrected(float[,] x, KnownMatrix gate, float[,]? correction, Router router, Routes routes)
    {
        const double Near = 1e-4;
        var (rows, topK, size) = (x.GetLength(0), router.TopK, router.Experts / router.Groups);
        var chosen = Device.Memory.Read<int>(routes.Experts).ToArray();
        var weights = Device.Memory.Read<float>(routes.Weights).ToArray();
        var clear = 0;
        for (var t = 0; t < rows; t++)
        {
            var row = t;
            var logits = Enumerable.Range(0, router.Experts)
                .Select(expert => Enumerable.Range(0, gate.Matrix.Columns).Sum(c => x[row, c] * gate[expert, c])).ToArray();
            var sum = router.Scoring == RouterScoring.Softmax ? logits.Sum(Math.Exp) : 1;
            var scores = logits
                .Select(logit => router.Scoring == RouterScoring.Softmax ? Math.Exp(logit) / sum : 1 / (1 + Math.Exp(-logit)))
                .ToArray();
            var values = scores.Select((score, expert) => score + (correction?[0, expert] ?? 0)).ToArray();
            var worths = Enumerable.Range(0, router.Groups)
                .Select(group => values.Skip(group * size).Take(size).OrderDescending()
                    .Take(router.GroupScoring == GroupScoring.BestTwo ? 2 : 1).Sum())
                .ToArray();
            var order = worths.OrderDescending().ToArray();
            if (router.GroupsKept < router.Groups && order[router.GroupsKept - 1] - order[router.GroupsKept] < Near)
            {
                continue;
            }

            clear++;
            var falling = values.Where((_, expert) => worths[expert / size] >= order[router.GroupsKept - 1])
                .OrderDescending().ToArray();
            var own = chosen[(t * topK)..((t + 1) * topK)];
            Assert.Equal(topK, own.Distinct().Count());
            var kept = router.Renormalize ? own.Sum(expert => scores[expert]) : 1;
            for (var k = 0; k < topK; k++)
            {
                Assert.True(worths[own[k] / size] >= order[router.GroupsKept - 1], $"row {t}: the group of {own[k]}");
                Assert.InRange(values[own[k]], falling[k] - Near, falling[k] + Near);
                var expected = scores[own[k]] / kept * router.Scale;
                new Bounded(expected, Near * expected).Holds(weights[(t * topK) + k], $"row {t}, weight {k}");
            }
        }

        Assert.InRange(clear, rows / 2, rows);
    }

    private void Compute(Bank bank, DType type, int[,] choices)
    {
        var rows = choices.GetLength(0);
        var hidden = bank.Experts.Hidden;
        var x = Random(rows, hidden, left: 3);
        var y = Random(rows, hidden, right: 2);
        var weights = new float[rows, choices.GetLength(1)];
        var routes = Upload(choices, (row, k) => weights[row, k] = MathF.Abs(Uniform()));
        var (from, before) = (x.Read(), y.Read());

        Device.Experts.Join(Device.Experts.Start(bank.Experts, x, routes), y);

        var after = y.Read();
        for (var t = 0; t < rows; t++)
        {
            var expected = Sum(bank, type, i => from[t, i], choices, t, k => weights[t, k]);
            for (var i = 0; i < hidden; i++)
            {
                Add(expected[i], before[t, i]).Holds(after[t, i], $"{type}, row {t}, column {i}");
            }
        }
    }

    /// <summary>Σ weight · expert(x) over the choices of one row.</summary>
    private Bounded[] Sum(
        Bank bank, DType type, Func<int, double> x, int[,] choices, int row, Func<int, float> weight)
    {
        var topK = choices.GetLength(1);
        var parts = new Bounded[topK][];
        for (var k = 0; k < topK; k++)
        {
            var expert = choices[row, k];
            parts[k] = expert < 0
                ? [.. Enumerable.Repeat(Bounded.Zero, bank.Experts.Hidden)]
                : Mlp(x, bank.Gate[expert], bank.Up[expert], bank.Down[expert]);
        }

        // Weights may be applied before the inner activations are rounded.
        return [.. Enumerable.Range(0, bank.Experts.Hidden).Select(i =>
            Dot(topK, k => parts[k][i], k => weight(k), ActivationRounding(type)))];
    }

    private Bank Fill(DType type, int experts, int topK, int hidden, int intermediate)
    {
        var bank = Device.Experts.Allocate(type, experts, topK, hidden, intermediate);
        KnownMatrix[] All(Func<int, WeightMatrix> part) =>
            [.. Enumerable.Range(0, experts).Select(expert => new KnownMatrix(part(expert), (_, _) => Uniform()))];
        return new(bank, All(bank.Gate), All(bank.Up), All(bank.Down));
    }

    /// <summary>Different experts in each row.</summary>
    private int[,] Choices(int rows, int topK, int experts)
    {
        var choices = new int[rows, topK];
        for (var t = 0; t < rows; t++)
        {
            var order = Enumerable.Range(0, experts).OrderBy(_ => Uniform()).ToArray();
            for (var k = 0; k < topK; k++)
            {
                choices[t, k] = order[k];
            }
        }

        return choices;
    }

    private static int[,] Same(int rows, int expert)
    {
        var choices = new int[rows, 1];
        for (var t = 0; t < rows; t++)
        {
            choices[t, 0] = expert;
        }

        return choices;
    }

    private Routes Upload(int[,] choices, Func<int, int, float> weight) => new(
        Integers(choices), new PaddedTensor(Device, choices.GetLength(0), choices.GetLength(1), weight).View);

    private Routes Zeroed(int rows, int topK) => new(
        Device.Memory.Allocate(DType.I32, rows, topK), Device.Memory.Allocate(DType.F32, rows, topK));
}
