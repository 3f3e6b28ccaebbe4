using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Runtime.Weights;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Weights;

public sealed class CheckpointTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void Stacks_the_rows_of_several_tensors_in_one_matrix(int threads)
    {
        new SafetensorsWriter()
            .Add("q", "F32", [4, 3], Floats(0, 12))
            .Add("k", "F32", [2, 3], Floats(100, 6))
            .Save(_folder.File("model.safetensors"));
        var memory = new PlainMemory();
        var plan = new WeightPlan(memory);
        var matrix = (PlainMatrix)memory.AllocateMatrix(DType.F32, 6, 3);
        plan.Matrix(matrix, new TensorSpec("q", [4, 3]), new TensorSpec("k", [2, 3]));

        Load(plan, threads);

        Assert.Equal(Enumerable.Range(0, 12).Concat(Enumerable.Range(100, 6)).Select(i => (float)i), matrix.Floats.ToArray());
    }

    [Theory]
    [InlineData("F32")]
    [InlineData("F16")]
    [InlineData("BF16")]
    public void Reads_every_stored_type_into_every_other(string stored)
    {
        float[] values = [0, 1, -2, 0.5f, 96, -0.0078125f];
        var bytes = values.SelectMany(value => stored switch
        {
            "F32" => BitConverter.GetBytes(value),
            "F16" => BitConverter.GetBytes((Half)value),
            _ => BitConverter.GetBytes(BFloat16.FromSingle(value)),
        }).ToArray();
        new SafetensorsWriter().Add("w", stored, [3, 2], bytes).Save(_folder.File("model.safetensors"));
        var memory = new PlainMemory(rowsPerCall: 2);
        var plan = new WeightPlan(memory);
        var f32 = (PlainMatrix)memory.AllocateMatrix(DType.F32, 3, 2);
        var f16 = (PlainMatrix)memory.AllocateMatrix(DType.F16, 3, 2);
        var bf16 = (PlainMatrix)memory.AllocateMatrix(DType.BF16, 3, 2);
        plan.Matrix(f32, new TensorSpec("w", [3, 2]));
        plan.Matrix(f16, new TensorSpec("w", [3, 2]));
        plan.Matrix(bf16, new TensorSpec("w", [3, 2]));

        Load(plan);

        Assert.Equal(values, f32.Floats.ToArray());
        Assert.Equal(values, f16.Shorts.ToArray().Select(bits => (float)BitConverter.UInt16BitsToHalf(bits)));
        Assert.Equal(values, bf16.Shorts.ToArray().Select(BFloat16.ToSingle));
    }

    [Fact]
    public void Vectors_become_float32_one_behind_the_other()
    {
        new SafetensorsWriter()
            .Add("q.bias", "BF16", [2], MemoryMarshal.AsBytes<ushort>([BFloat16.FromSingle(1), BFloat16.FromSingle(2)]))
            .Add("k.bias", "F32", [1], Floats(3, 1))
            .Save(_folder.File("model.safetensors"));
        var memory = new PlainMemory();
        var plan = new WeightPlan(memory);
        var vector = plan.Vector(new TensorSpec("q.bias", [2]), new TensorSpec("k.bias", [1]));

        Load(plan);

        Assert.Equal((1, 3, DType.F32), (vector.Rows, vector.Columns, vector.Type));
        Assert.Equal([1, 2, 3], memory.Read<float>(vector).ToArray());
    }

    [Theory]
    [InlineData("mlp.experts.gate_up_proj", "mlp.experts.down_proj")]
    [InlineData("mlp.experts.gate_up_proj.weight", "mlp.experts.down_proj.weight")]
    public void Experts_may_be_fused_in_one_tensor(string gateUp, string down)
    {
        var moe = new Moe("mlp", 3, 2, new Router(4, 1, RouterScoring.Softmax));
        new SafetensorsWriter()
            .Add(gateUp, "F32", [4, 4, 3], Floats(0, 48))
            .Add(down, "F32", [4, 3, 2], Floats(1000, 24))
            .Save(_folder.File("model.safetensors"));
        var plan = new WeightPlan(new PlainMemory());
        var bank = new PlainBank(DType.F32, 4, 3, 2);
        plan.Experts(bank, moe.Expert);

        Load(plan);

        for (var expert = 0; expert < 4; expert++)
        {
            Assert.Equal(Range(expert * 12, 6), ((PlainMatrix)bank.Gate(expert)).Floats.ToArray());
            Assert.Equal(Range((expert * 12) + 6, 6), ((PlainMatrix)bank.Up(expert)).Floats.ToArray());
            Assert.Equal(Range(1000 + (expert * 6), 6), ((PlainMatrix)bank.Down(expert)).Floats.ToArray());
        }
    }

    [Fact]
    public void Everything_that_does_not_fit_is_told_at_once_by_name()
    {
        new SafetensorsWriter()
            .Add("good", "F32", [1, 1], Floats(0, 1))
            .Add("wrong", "F32", [1, 2], Floats(0, 2))
            .Add("packed", "I32", [1, 1], Floats(0, 1))
            .Add("extra", "F32", [1], Floats(0, 1))
            .Add("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", [1], Floats(0, 1))
            .Add("lm_head.weight", "F32", [1, 1], Floats(0, 1))
            .Save(_folder.File("model.safetensors"));
        var plan = Plan(
            new TensorSpec("good", [1, 1]),
            new TensorSpec("wrong", [2, 1]),
            new TensorSpec("packed", [1, 1]),
            new TensorSpec("gone", [1, 1]));

        var error = Assert.Throws<ConfigurationException>(() => Load(plan));

        Assert.EndsWith(
            "1 missing: gone; 1 of another shape: wrong is [1, 2] and not [2, 1]; " +
            "1 of a type that is not supported: packed is I32; 1 left over: extra",
            error.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Long_lists_are_cut_with_a_count()
    {
        new SafetensorsWriter().Add("w", "F32", [1, 1], Floats(0, 1)).Save(_folder.File("model.safetensors"));
        var plan = Plan([.. Enumerable.Range(0, 100).Select(i => new TensorSpec($"t{i}", [1, 1]))]);

        var error = Assert.Throws<ConfigurationException>(() => Load(plan));

        Assert.Contains("100 missing: t0, t1, ", error.Message, StringComparison.Ordinal);
        Assert.Contains("t11 and 88 more; 1 left over: w", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Shards_are_found_through_the_index()
    {
        new SafetensorsWriter().Add("a", "F32", [1, 1], Floats(1, 1)).Add("b", "F32", [1, 1], Floats(9, 1))
            .Save(_folder.File("one.safetensors"));
        new SafetensorsWriter().Add("b", "F32", [1, 1], Floats(2, 1)).Save(_folder.File("two.safetensors"));
        new SafetensorsWriter().Add("unlisted", "F32", [1, 1], Floats(3, 1)).Save(_folder.File("consolidated.safetensors"));
        _folder.Write("model.safetensors.index.json", """{"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}""");
        var memory = new PlainMemory();
        var plan = new WeightPlan(memory);
        var matrix = (PlainMatrix)memory.AllocateMatrix(DType.F32, 2, 1);
        plan.Matrix(matrix, new TensorSpec("a", [1, 1]), new TensorSpec("b", [1, 1]));

        Load(plan);

        Assert.Equal([1, 2], matrix.Floats.ToArray());
    }

    [Theory]
    [InlineData("""{"weight_map":{"a":"../one.safetensors"}}""", "outside of its folder: ../one.safetensors")]
    [InlineData("""{"weight_map":{"a":"/etc/passwd"}}""", "outside of its folder: /etc/passwd")]
    [InlineData("""{"weight_map":{"a":"x.safetensors","b":"y.safetensors"}}""", "2 of its files are missing: x.safetensors, y.safetensors")]
    [InlineData("""{"weight_map":{"a":"one.safetensors","b":"one.safetensors"}}""", "not in the file that the index names for them: b")]
    [InlineData("""{"weight_map":{"a":1}}""", "a does not name a file")]
    [InlineData("""{"weight_map":{"a":"one\u0000"}}""", "a does not name a file")]
    [InlineData("""{"weight_map":[]}""", "no \"weight_map\" object")]
    [InlineData("""{"weight_map":""", "not valid JSON")]
    public void Refuses_an_index_that_cannot_be_followed(string index, string reason)
    {
        new SafetensorsWriter().Add("a", "F32", [1, 1], Floats(1, 1)).Save(_folder.File("one.safetensors"));
        _folder.Write("model.safetensors.index.json", index);

        var error = Assert.Throws<ConfigurationException>(() => Checkpoint.Open(_folder.Path));

        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_an_index_every_file_of_the_folder_counts()
    {
        new SafetensorsWriter().Add("a", "F32", [1, 1], Floats(1, 1)).Save(_folder.File("model-00001-of-00002.safetensors"));
        new SafetensorsWriter().Add("b", "F32", [1, 1], Floats(2, 1)).Save(_folder.File("model-00002-of-00002.safetensors"));

        Load(Plan(new TensorSpec("a", [1, 1]), new TensorSpec("b", [1, 1])));
    }

    [Fact]
    public void Names_that_count_their_files_show_which_is_missing()
    {
        new SafetensorsWriter().Add("a", "F32", [1, 1], Floats(1, 1)).Save(_folder.File("model-00001-of-00003.safetensors"));
        new SafetensorsWriter().Add("c", "F32", [1, 1], Floats(1, 1)).Save(_folder.File("model-00003-of-00003.safetensors"));

        var error = Assert.Throws<ConfigurationException>(() => Checkpoint.Open(_folder.Path));

        Assert.Contains("1 of its files are missing: model-00002-of-00003.safetensors", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tensor_in_two_files_is_refused()
    {
        new SafetensorsWriter().Add("a", "F32", [1, 1], Floats(1, 1)).Save(_folder.File("x.safetensors"));
        new SafetensorsWriter().Add("a", "F32", [1, 1], Floats(1, 1)).Save(_folder.File("y.safetensors"));

        var error = Assert.Throws<ConfigurationException>(() => Checkpoint.Open(_folder.Path));

        Assert.Contains("tensor a is in two files", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nowhere", "there is no model folder")]
    [InlineData("", "has no *.safetensors")]
    public void Says_what_a_folder_lacks(string name, string reason)
    {
        var error = Assert.Throws<ConfigurationException>(() => Checkpoint.Open(_folder.File(name)));

        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Names_the_format_that_a_folder_has_instead()
    {
        _folder.Write("pytorch_model.bin", "");

        var error = Assert.Throws<ConfigurationException>(() => Checkpoint.Open(_folder.Path));

        Assert.Contains("pytorch_model.bin, a format that is not read here", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(11)]
    [InlineData(30)]
    public void A_truncated_file_is_refused_before_anything_is_read(int bytesLost)
    {
        var whole = new SafetensorsWriter().Add("a", "F32", [2, 2], Floats(1, 4)).ToArray();
        File.WriteAllBytes(_folder.File("model.safetensors"), whole[..^bytesLost]);

        var error = Assert.Throws<ConfigurationException>(() => Checkpoint.Open(_folder.Path));

        Assert.Contains("truncated", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_shrinks_after_it_was_opened_is_an_error_with_file_and_tensor()
    {
        var path = _folder.File("model.safetensors");
        new SafetensorsWriter().Add("a", "F32", [2, 2], Floats(1, 4)).Save(path);
        using var checkpoint = Checkpoint.Open(_folder.Path);
        using (var file = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.SetLength(file.Length - 5);
        }

        var error = Assert.Throws<ConfigurationException>(
            () => WeightLoader.Load(Plan(new TensorSpec("a", [2, 2])), checkpoint, new LoadOptions()));

        Assert.Contains(path, error.Message, StringComparison.Ordinal);
        Assert.Contains("within tensor a", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Values_beyond_float16_are_refused_by_name()
    {
        new SafetensorsWriter().Add("big", "F32", [1, 1], MemoryMarshal.AsBytes<float>([70_000])).Save(_folder.File("model.safetensors"));
        var plan = new WeightPlan(new PlainMemory());
        plan.Matrix(new PlainMatrix(DType.F16, 1, 1, 1), new TensorSpec("big", [1, 1]));

        var error = Assert.Throws<ConfigurationException>(() => Load(plan));

        Assert.Contains("tensor big", error.Message, StringComparison.Ordinal);
    }

    private static float[] Range(int start, int count) => [.. Enumerable.Range(start, count).Select(i => (float)i)];

    private static ReadOnlySpan<byte> Floats(int start, int count) => MemoryMarshal.AsBytes<float>(Range(start, count));

    /// <summary>Each tensor into a matrix of its own.</summary>
    private static WeightPlan Plan(params TensorSpec[] tensors)
    {
        var plan = new WeightPlan(new PlainMemory());
        foreach (var tensor in tensors)
        {
            plan.Matrix(new PlainMatrix(DType.F32, (int)tensor.Rows, (int)tensor.Columns, 3), tensor);
        }

        return plan;
    }

    private void Load(WeightPlan plan, int threads = 2)
    {
        using var checkpoint = Checkpoint.Open(_folder.Path);
        WeightLoader.Load(plan, checkpoint, new LoadOptions { Threads = threads });
    }
}
