using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Layers;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Reference;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Runtime.Weights;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Execution;

public sealed class CoordinatorTests
{
    private const string Attention = "norm linear norm norm rotate write attention add-linear";

    private static readonly StepSizes _sizes = new(8, 4, 6, 5);

    [Fact]
    public void A_dense_layer_mixes_then_feeds_forward()
    {
        var spec = SmallModel.Of(true, (SmallModel.Attention("0.attn"), SmallModel.Dense("0.mlp")));

        Assert.Equal($"angles embed {Attention} norm mlp gather norm linear", Story(spec));
    }

    [Fact]
    public void The_shared_expert_runs_while_the_routed_experts_do()
    {
        var spec = SmallModel.Of(false, (SmallModel.Attention("0.attn"), SmallModel.Sparse("0.mlp", shared: true)));

        Assert.Equal($"angles embed {Attention} norm route start mlp join gather norm linear", Story(spec));
    }

    [Fact]
    public void A_layer_without_a_shared_expert_joins_at_once()
    {
        var spec = SmallModel.Of(false, (SmallModel.Attention("0.attn"), SmallModel.Sparse("0.mlp", shared: false)));

        Assert.Equal($"angles embed {Attention} norm route start join gather norm linear", Story(spec));
    }

    [Fact]
    public void Layers_that_rotate_alike_share_their_angles()
    {
        var slow = new Rotary(8, 500_000);
        var spec = SmallModel.Of(
            true,
            (SmallModel.Attention("0.attn"), SmallModel.Dense("0.mlp")),
            (SmallModel.Attention("1.attn", slow), SmallModel.Dense("1.mlp")),
            (SmallModel.Attention("2.attn"), SmallModel.Dense("2.mlp")));

        Assert.StartsWith("angles angles embed ", Story(spec), StringComparison.Ordinal);
    }

    [Fact]
    public void Attention_without_norms_and_with_biases_leaves_out_and_adds_them()
    {
        var mix = SmallModel.Attention("0.attn") with { QkNormEpsilon = null, QkvBias = true, OutputBias = true };

        Assert.Equal(
            "angles embed norm linear-bias rotate write attention add-linear-bias norm mlp gather norm linear",
            Story(SmallModel.Of(true, (mix, SmallModel.Dense("0.mlp")))));
    }

    [Fact]
    public void A_step_that_wants_no_logits_ends_with_the_last_layer()
    {
        var spec = SmallModel.Of(true, (SmallModel.Attention("0.attn"), SmallModel.Dense("0.mlp")));

        Assert.Equal($"angles embed {Attention} norm mlp", Story(spec, logitRows: 0));
    }

    [Fact]
    public void Observers_hear_of_every_layer_and_every_router()
    {
        using var device = new ReferenceDevice();
        var coordinator = Bind(Mixed, device);
        var heard = new List<string>();
        coordinator.OnResidual = (layer, x) => heard.Add($"{layer}:{x.Rows}x{x.Columns}");
        coordinator.OnRoutes = routes => heard.Add($"route:{routes.Experts.Rows}x{routes.Experts.Columns}");

        coordinator.Run(Batch(3, 1));

        Assert.Equal(["-1:3x16", "0:3x16", "route:3x2", "1:3x16"], heard);
    }

    [Fact]
    public void A_tied_head_and_the_embedding_are_one_matrix()
    {
        using var device = new ReferenceDevice();
        var plan = new WeightPlan(device.Memory);

        var model = Binding.Bind(Mixed, device, DType.BF16, plan, Cache(device));

        Assert.Same(model.Embedding, model.Head);
    }

    [Fact]
    public void Logits_are_those_of_the_rows_asked_for()
    {
        using var device = new ReferenceDevice();
        var coordinator = Bind(Mixed, device);
        var all = Batch(5, 5);
        var some = Batch(5, 2);
        (some.LogitRows[0], some.LogitRows[1]) = (1, 4);

        var expected = coordinator.Run(all).ToArray();
        var actual = coordinator.Run(some).ToArray();

        Assert.Equal([.. expected.Skip(32).Take(32), .. expected.Skip(4 * 32)], actual);
    }

    [Fact]
    public void A_step_allocates_nothing()
    {
        using var device = new ReferenceDevice();
        var coordinator = Bind(Mixed, device);
        var (prefill, decode) = (Batch(8, 5), Batch(1, 1));
        Run(coordinator, prefill, decode);
        var before = GC.GetAllocatedBytesForCurrentThread();

        Run(coordinator, prefill, decode);

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void A_step_beyond_the_sizes_is_refused()
    {
        using var device = new ReferenceDevice();
        var coordinator = Bind(Mixed, device);
        var larger = new StepSizes(9, 5, 6, 6).NewBatch();

        larger.TokenCount = 9;
        Assert.Throws<InvariantException>(() => coordinator.Run(larger).Length);
        larger.TokenCount = 0;
        Assert.Throws<InvariantException>(() => coordinator.Run(larger).Length);
        (larger.TokenCount, larger.SequenceCount) = (1, 5);
        Assert.Throws<InvariantException>(() => coordinator.Run(larger).Length);
        (larger.SequenceCount, larger.LogitRowCount) = (1, 6);
        Assert.Throws<InvariantException>(() => coordinator.Run(larger).Length);
    }

    private static ModelSpec Mixed => SmallModel.Of(
        true,
        (SmallModel.Attention("0.attn"), SmallModel.Dense("0.mlp")),
        (SmallModel.Attention("1.attn"), SmallModel.Sparse("1.mlp", shared: true)));

    private static string Story(ModelSpec spec, int logitRows = 1)
    {
        var tape = new Tape();
        using var device = new TapeDevice(tape, new ReferenceDevice());
        var coordinator = Bind(spec, device);
        tape.Clear();

        coordinator.Run(Batch(2, logitRows));

        return tape.Text;
    }

    private static void Run(Coordinator coordinator, StepBatch first, StepBatch second)
    {
        // Often enough for the just-in-time compiler to be done with the loops.
        for (var i = 0; i < 60; i++)
        {
            coordinator.Run(first);
            coordinator.Run(second);
        }
    }

    private static Coordinator Bind(ModelSpec spec, IDevice device)
    {
        var plan = new WeightPlan(device.Memory);
        var model = Binding.Bind(spec, device, DType.BF16, plan, Cache(device));
        WeightLoader.Load(plan, new DummyWeights(3), new LoadOptions { Threads = 1 });
        return new Coordinator(model, device, _sizes);
    }

    private static Func<Gqa, KvLayer> Cache(IDevice device) =>
        new KvCacheMemory(device.Memory, DType.BF16, pages: 6, pageSize: 2).Allocate;

    /// <summary>One sequence with the given number of rows; the last of them are asked for.</summary>
    private static StepBatch Batch(int rows, int logitRows)
    {
        var batch = _sizes.NewBatch();
        (batch.TokenCount, batch.SequenceCount, batch.LogitRowCount) = (rows, 1, logitRows);
        (batch.QueryStarts[1], batch.ContextLengths[0]) = (rows, rows);
        for (var i = 0; i < rows; i++)
        {
            (batch.Tokens[i], batch.Positions[i], batch.Slots[i]) = (i * 3, i, i);
        }

        for (var i = 0; i < batch.PagesPerSequenceMax; i++)
        {
            batch.PageTables[i] = i;
        }

        for (var i = 0; i < logitRows; i++)
        {
            batch.LogitRows[i] = rows - logitRows + i;
        }

        return batch;
    }
}
