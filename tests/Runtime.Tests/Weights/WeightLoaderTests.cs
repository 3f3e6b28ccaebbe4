using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Runtime.Weights;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Weights;

public sealed class WeightLoaderTests
{
    [SkippableTheory]
    [InlineData("qwen3_moe")]
    [InlineData("qwen3_moe_mixed")]
    [InlineData("qwen3")]
    [InlineData("llama3")]
    [InlineData("qwen2")]
    [InlineData("mistral")]
    [InlineData("mixtral")]
    [InlineData("fmt_f16")]
    [InlineData("fmt_f32")]
    public void A_published_layout_loads_with_nothing_missing_and_nothing_left_over(string model)
    {
        Skip.If(Repository.Shared is null, "reference data is not here");
        var folder = ModelFolder.Open(Repository.SharedPath("goldens", "models", model)!);
        folder.RequireLoadable();
        var (plan, matrices) = PlanEveryTensor(folder.Spec, DType.F32);

        using (var checkpoint = Checkpoint.Open(folder.Path))
        {
            WeightLoader.Load(plan, checkpoint, new LoadOptions { Threads = 2 });
        }

        // Random weights: hardly one of them is zero, and none is odd.
        Assert.All(matrices, matrix => Assert.InRange(Deviation(matrix.Floats), 1e-4, 10));
    }

    [Fact]
    public void A_model_of_millions_of_tiny_matrices_is_refused()
    {
        var plan = new WeightPlan(new PlainMemory());
        var matrix = new PlainMatrix(DType.F32, 1, 1, 1);
        var tensor = new TensorSpec("experts.9", [1, 1]);
        for (var count = 0; count < 1 << 20; count++)
        {
            plan.Matrix(matrix, tensor);
        }

        var error = Assert.Throws<ConfigurationException>(() => plan.Matrix(matrix, tensor));

        Assert.Equal("the model has more than 1048576 weight matrices, up to experts.9", error.Message);
    }

    [Fact]
    public void Reports_every_byte_at_the_end()
    {
        var (plan, _) = PlanEveryTensor(Tiny(), DType.BF16);
        var reports = new List<LoadProgress>();

        WeightLoader.Load(plan, new DummyWeights(1), new LoadOptions { Threads = 2, Progress = new Recorder(reports) });

        Assert.Equal(new LoadProgress(plan.Bytes, plan.Bytes), reports[^1]);
        Assert.Equal(1, reports[^1].Fraction);
        Assert.Equal(reports.OrderBy(report => report.BytesDone), reports);
    }

    [Fact]
    public void The_first_failure_ends_all_threads_and_reaches_the_caller()
    {
        var (plan, _) = PlanEveryTensor(Tiny(), DType.F32, rowsPerCall: 1000);
        var source = new Breaking(failAt: 3);

        var error = Assert.Throws<ConfigurationException>(
            () => WeightLoader.Load(plan, source, new LoadOptions { Threads = 3 }));

        Assert.Equal("broken", error.Message);
        Assert.InRange(source.Reads, 3, 3 + 3);
    }

    [Fact]
    public void Cancellation_ends_loading()
    {
        var (plan, _) = PlanEveryTensor(Tiny(), DType.F32, rowsPerCall: 1000);
        using var cancellation = new CancellationTokenSource();
        var source = new Breaking(cancellation);

        Assert.Throws<OperationCanceledException>(
            () => WeightLoader.Load(plan, source, new LoadOptions { Threads = 2 }, cancellation.Token));

        Assert.InRange(source.Reads, 1, 3);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 5)]
    [InlineData(7, 1000)]
    public void Dummy_weights_do_not_depend_on_threads_or_slices(int threads, int rowsPerCall)
    {
        var (expectedPlan, expected) = PlanEveryTensor(Tiny(), DType.BF16);
        WeightLoader.Load(expectedPlan, new DummyWeights(5), new LoadOptions { Threads = 1 });
        var (plan, matrices) = PlanEveryTensor(Tiny(), DType.BF16, rowsPerCall);

        WeightLoader.Load(plan, new DummyWeights(5), new LoadOptions { Threads = threads });

        Assert.Equal(expected.Select(matrix => matrix.Data), matrices.Select(matrix => matrix.Data));
    }

    [Fact]
    public void Norms_stored_around_zero_are_loaded_around_one()
    {
        var plain = new RmsNorm("a", 9, 1e-6f);
        var centred = plain with { ZeroCentred = true };
        var memory = new PlainMemory();
        var plan = new WeightPlan(memory);
        var (expected, joined) = (plan.Vector(plain.Weight), plan.Vector(centred.Weight, new TensorSpec("b.bias", [5])));

        WeightLoader.Load(plan, new DummyWeights(7), new LoadOptions());

        Assert.Equal(memory.Read<float>(expected).ToArray(), memory.Read<float>(joined)[..9].ToArray());
        Assert.All(memory.Read<float>(expected).ToArray(), weight => Assert.InRange(weight, 0.9f, 1.1f));
        Assert.All(memory.Read<float>(joined)[9..].ToArray(), bias => Assert.InRange(bias, -0.02f, 0.02f));
    }

    internal static ModelSpec Tiny() => Architectures.Describe(HfConfig.Parse("""
        {
          "architectures": ["Qwen3MoeForCausalLM"], "hidden_size": 34, "intermediate_size": 51, "moe_intermediate_size": 13,
          "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 10, "vocab_size": 77,
          "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "num_experts": 3, "num_experts_per_tok": 2,
          "mlp_only_layers": [0]
        }
        """));

    /// <summary>Every matrix of the model alone; vectors as vectors.</summary>
    internal static (WeightPlan Plan, List<PlainMatrix> Matrices) PlanEveryTensor(ModelSpec spec, DType type, int rowsPerCall = 3)
    {
        var plan = new WeightPlan(new PlainMemory());
        var matrices = new List<PlainMatrix>();
        foreach (var tensor in spec.Tensors)
        {
            if (tensor.Shape.Length == 1)
            {
                plan.Vector(tensor);
                continue;
            }

            matrices.Add(new PlainMatrix(type, (int)tensor.Rows, (int)tensor.Columns, rowsPerCall));
            plan.Matrix(matrices[^1], tensor);
        }

        return (plan, matrices);
    }

    private static double Deviation(ReadOnlySpan<float> values)
    {
        double squares = 0;
        foreach (var value in values)
        {
            squares += (double)value * value;
        }

        return Math.Sqrt(squares / values.Length);
    }

    private sealed class Recorder(List<LoadProgress> reports) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value) => reports.Add(value);
    }

    /// <summary>Fails at one of its reads, or cancels at the first.</summary>
    private sealed class Breaking(CancellationTokenSource? cancellation = null, int failAt = 0) : IWeightSource
    {
        private int _reads;

        public Breaking(int failAt)
            : this(null, failAt)
        {
        }

        public int Reads => _reads;

        public IReadOnlyList<TensorReader> Open(IReadOnlyList<TensorSpec> tensors) =>
            [.. tensors.Select(tensor => new Reader(tensor, this))];

        private sealed class Reader(TensorSpec tensor, Breaking source) : TensorReader(tensor)
        {
            public override (int File, long Offset) Position => (0, 0);

            public override void ReadElements(long first, DType type, Span<byte> target)
            {
                if (Tensor.Shape.Length == 1)
                {
                    return;
                }

                source.Count();
                target.Clear();
            }
        }

        private void Count()
        {
            var read = Interlocked.Increment(ref _reads);
            cancellation?.Cancel();
            if (read == failAt)
            {
                throw new ConfigurationException("broken");
            }
        }
    }
}
