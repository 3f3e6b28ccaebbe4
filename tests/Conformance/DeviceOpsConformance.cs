using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Support;

namespace LsglangSharp.Conformance;

/// <summary>Every operation but attention and the experts, against exact arithmetic.</summary>
public abstract class DeviceOpsConformance : DeviceConformance
{
    [Theory]
    [MemberData(nameof(WeightTypes))]
    public void Embed_copies_the_rows_that_ids_name(DType type)
    {
        var table = RandomMatrix(type, 37, 19);
        int[] ids = [0, 36, 5, 5, 17];
        var y = Zeros(ids.Length, 19, left: 3, right: 2);

        Device.Ops.Embed(table, Integers(ids), y);

        var rows = y.Read();
        for (var t = 0; t < ids.Length; t++)
        {
            for (var i = 0; i < 19; i++)
            {
                Assert.Equal((float)table[ids[t], i], rows[t, i]);
            }
        }
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(1, 7, 1)]
    [InlineData(3, 64, 1)]
    [InlineData(5, 48, 3)]
    [InlineData(4, 128, 32)]
    [InlineData(2, 2048, 1)]
    [InlineData(33, 33, 2)]
    public void Norm_divides_each_group_by_its_root_mean_square(int rows, int width, int groups)
    {
        var x = Random(rows, width * groups, left: 1, right: 4);
        var weight = Random(1, width);
        var y = Zeros(rows, width * groups, left: 5);

        Device.Ops.RmsNorm(x, weight, 1e-5f, y);

        HoldsNorm(x.Read(), weight.Read(), 1e-5f, y.Read());
    }

    [Fact]
    public void Norm_works_in_place_on_a_column_view()
    {
        var x = Random(6, 96, left: 32, right: 64);
        var before = x.Read();
        var weight = Random(1, 32);

        Device.Ops.RmsNorm(x, weight, 1e-6f, x);

        HoldsNorm(before, weight.Read(), 1e-6f, x.Read());
    }

    [Fact]
    public void Norm_takes_its_epsilon_to_the_mean_square()
    {
        var x = new PaddedTensor(Device, 1, 16, (_, _) => 1e-3f);
        var weight = new PaddedTensor(Device, 1, 16, (_, _) => 1);
        var y = Zeros(1, 16);

        Device.Ops.RmsNorm(x, weight, 1e-5f, y);

        HoldsNorm(x.Read(), weight.Read(), 1e-5f, y.Read());
        Assert.InRange(y.Read()[0, 0], 0.30f, 0.31f);
    }

    [Theory]
    [MemberData(nameof(RowCounts))]
    public void Linear_multiplies_any_number_of_rows(int rows)
    {
        foreach (var type in Types)
        {
            Linear(type, rows, 64, 40, bias: false, accumulate: false);
            Linear(type, rows, 64, 40, bias: true, accumulate: false, isAligned: true);
        }
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 129)]
    [InlineData(3, 31)]
    [InlineData(17, 33)]
    [InlineData(65, 15)]
    [InlineData(130, 257)]
    [InlineData(320, 64)]
    [InlineData(12, 1024)]
    public void Linear_multiplies_odd_shapes(int outputs, int inputs)
    {
        foreach (var type in Types)
        {
            Linear(type, 1, inputs, outputs, bias: true, accumulate: false);
            Linear(type, 6, inputs, outputs, bias: true, accumulate: true);
            Linear(type, 40, inputs, outputs, bias: false, accumulate: true);
        }
    }

    /// <summary>Rows and columns around what kernels for one token, a few and many take at a time.</summary>
    [Theory]
    [InlineData(1, 2056, 300)]
    [InlineData(1, 520, 540)]
    [InlineData(3, 1032, 9)]
    [InlineData(7, 264, 50)]
    [InlineData(16, 1096, 33)]
    [InlineData(29, 72, 17)]
    [InlineData(66, 136, 130)]
    [InlineData(130, 40, 260)]
    public void Linear_multiplies_aligned_rows(int rows, int inputs, int outputs)
    {
        foreach (var type in Types)
        {
            Linear(type, rows, inputs, outputs, bias: true, accumulate: true, isAligned: true);
        }
    }

    /// <summary>Larger than f16 can hold, and smaller than what it holds at full precision.</summary>
    [Theory]
    [InlineData(1e6f)]
    [InlineData(1e30f)]
    [InlineData(1e-9f)]
    public void Linear_takes_activations_of_any_size(float magnitude)
    {
        foreach (var type in Types)
        {
            foreach (var rows in new[] { 1, 9, 40 })
            {
                var w = RandomMatrix(type, 24, 64);
                var x = new PaddedTensor(Device, rows, 64, (row, _) => row % 2 == 0 ? Uniform() * magnitude : Uniform());
                var y = Zeros(rows, 24);

                Device.Ops.Linear(x, w, null, y);

                var (from, to) = (x.Read(), y.Read());
                for (var t = 0; t < rows; t++)
                {
                    for (var i = 0; i < 24; i++)
                    {
                        Dot(64, c => new(from[t, c], 0), c => w[i, c], ActivationRounding(type))
                            .Holds(to[t, i], $"{type}, {rows} rows, row {t}, column {i}");
                    }
                }
            }
        }
    }

    [Fact]
    public void Operations_accept_no_rows()
    {
        var w = RandomMatrix(DType.F32, 24, 16);
        var x = Random(2, 16).View.SliceRows(1, 0);
        var y = Random(2, 24).View.SliceRows(0, 0);
        var angles = Random(2, 8).View.SliceRows(0, 0);
        var none = Integers(1).SliceColumns(0, 0);

        Device.Ops.Embed(RandomMatrix(DType.F32, 4, 16), none, x);
        Device.Ops.RmsNorm(x, Random(1, 16), 1e-6f, x);
        Device.Ops.Linear(x, w, null, y);
        Device.Ops.RotaryAngles(none, Random(1, 4), 1, angles);
        Device.Ops.Rotate(x, 16, angles, interleaved: false);
        Device.Ops.GatedMlp(x, w, w, RandomMatrix(DType.F32, 24, 24), y);
        Device.Ops.GatherRows(Random(2, 16), none, x);
    }

    [Fact]
    public void Angles_are_taken_of_the_product_in_single_precision()
    {
        int[] positions = [0, 1, 7, 4095, 40_959, 131_071, 1_048_575];
        float[] frequencies = [1, 0.86596434f, 0.1f, 0.0031622776f, 1e-5f, 1.1547e-6f];
        const float Scale = 1.3465736f;
        var y = Zeros(positions.Length, 12, left: 1, right: 1);

        Device.Ops.RotaryAngles(Integers(positions), Floats(frequencies), Scale, y);

        var rows = y.Read();
        for (var t = 0; t < positions.Length; t++)
        {
            for (var i = 0; i < 6; i++)
            {
                double angle = positions[t] * frequencies[i];
                var error = Tolerance.Transcendental * Scale;
                new Bounded(Math.Cos(angle) * Scale, error).Holds(rows[t, i], $"cosine {positions[t]}, {i}");
                new Bounded(Math.Sin(angle) * Scale, error).Holds(rows[t, 6 + i], $"sine {positions[t]}, {i}");
            }
        }
    }

    [Theory]
    [InlineData(1, 1, 2, 2, false)]
    [InlineData(5, 3, 64, 64, false)]
    [InlineData(5, 3, 64, 64, true)]
    [InlineData(4, 2, 128, 128, false)]
    [InlineData(3, 7, 20, 12, false)]
    [InlineData(3, 7, 20, 12, true)]
    [InlineData(19, 4, 96, 32, false)]
    public void Rotation_turns_pairs_and_leaves_the_rest(int rows, int heads, int headDim, int dimensions, bool interleaved)
    {
        var x = Random(rows, heads * headDim, left: 7, right: 5);
        var angles = Random(rows, dimensions);
        var (before, cosSin) = (x.Read(), angles.Read());

        Device.Ops.Rotate(x, headDim, angles, interleaved);

        var after = x.Read();
        var pairs = dimensions / 2;
        for (var t = 0; t < rows; t++)
        {
            for (var column = 0; column < heads * headDim; column++)
            {
                var at = column % headDim;
                if (at >= dimensions)
                {
                    Assert.Equal(before[t, column], after[t, column]);
                    continue;
                }

                var (pair, second) = interleaved ? (at / 2, at % 2 == 1) : (at % pairs, at >= pairs);
                var other = column + ((second ? -1 : 1) * (interleaved ? 1 : pairs));
                var own = (double)before[t, column] * cosSin[t, pair];
                var turned = (double)before[t, other] * cosSin[t, pairs + pair] * (second ? 1 : -1);
                new Bounded(own + turned, 3 * Tolerance.Single * (Math.Abs(own) + Math.Abs(turned)))
                    .Holds(after[t, column], $"row {t}, column {column}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(RowCounts))]
    public void Gated_mlp_adds_to_what_is_there(int rows)
    {
        foreach (var type in Types)
        {
            GatedMlp(type, rows, 24, 40);
            GatedMlp(type, rows, 64, 72, isAligned: true);
        }
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(33, 17)]
    [InlineData(64, 200)]
    [InlineData(130, 31)]
    public void Gated_mlp_takes_odd_shapes(int hidden, int intermediate)
    {
        foreach (var type in Types)
        {
            GatedMlp(type, 1, hidden, intermediate);
            GatedMlp(type, 9, hidden, intermediate);
        }
    }

    [Fact]
    public void Silu_neither_overflows_nor_underflows()
    {
        float[] inputs = [-1e4f, -200, -90, -1e-20f, 0, 1e-20f, 90, 1e4f];
        var one = new KnownMatrix(Device.Memory.AllocateMatrix(DType.F32, 1, 1), (_, _) => 1);
        var x = new PaddedTensor(Device, inputs.Length, 1, (row, _) => inputs[row]);
        var y = Zeros(inputs.Length, 1);

        Device.Ops.GatedMlp(x, one, one, one, y);

        for (var t = 0; t < inputs.Length; t++)
        {
            double v = inputs[t];
            var expected = v * v / (1 + Math.Exp(-v));
            var error = (Tolerance.Transcendental * (1 + Math.Abs(v)) * Math.Abs(expected)) + 1e-30;
            new Bounded(expected, error).Holds(y.Read()[t, 0], $"silu of {v}");
        }
    }

    [Fact]
    public void Gathered_rows_are_copies_in_the_order_asked()
    {
        var x = Random(9, 21, left: 2, right: 1);
        var y = Zeros(4, 21, right: 3);
        int[] rows = [8, 0, 3, 3];

        Device.Ops.GatherRows(x, Integers(rows), y);

        var (from, to) = (x.Read(), y.Read());
        for (var i = 0; i < rows.Length; i++)
        {
            for (var column = 0; column < 21; column++)
            {
                Assert.Equal(from[rows[i], column], to[i, column]);
            }
        }
    }

    [Theory]
    [InlineData(3)]
    [InlineData(40)]
    public void A_NaN_stays_in_its_row_and_is_never_hidden(int rows)
    {
        const int Bad = 1;
        var x = new PaddedTensor(Device, rows, 32, (row, column) => row == Bad && column == 5 ? float.NaN : Uniform());
        foreach (var type in Types)
        {
            var (w, down) = (RandomMatrix(type, 32, 32), RandomMatrix(type, 32, 32));
            var (normed, product, mlp) = (Zeros(rows, 32), Zeros(rows, 32), Zeros(rows, 32));

            Device.Ops.RmsNorm(x, Random(1, 32), 1e-6f, normed);
            Device.Ops.Linear(x, w, null, product);
            Device.Ops.GatedMlp(x, w, w, down, mlp);

            foreach (var y in new[] { normed.Read(), product.Read(), mlp.Read() })
            {
                for (var i = 0; i < rows * 32; i++)
                {
                    Assert.Equal(i / 32 == Bad, float.IsNaN(y[i / 32, i % 32]));
                }
            }
        }
    }

    [Fact]
    public void A_stacked_matrix_gives_each_part_in_its_columns()
    {
        var w = RandomMatrix(DType.BF16, 48 + 16 + 16, 32);
        var x = Random(5, 32);
        var all = Zeros(5, 80);

        Device.Ops.Linear(x, w, null, all);

        var (from, to) = (x.Read(), all.Read());
        for (var t = 0; t < 5; t++)
        {
            for (var i = 0; i < 80; i++)
            {
                Dot(32, c => new(from[t, c], 0), c => w[i, c], ActivationRounding(DType.BF16))
                    .Holds(to[t, i], $"row {t}, column {i}");
            }
        }
    }

    private void Linear(DType type, int rows, int inputs, int outputs, bool bias, bool accumulate, bool isAligned = false)
    {
        var w = RandomMatrix(type, outputs, inputs);
        var x = isAligned ? Random(rows, inputs, left: 4, right: 8) : Random(rows, inputs, left: 3, right: 6);
        var y = Random(rows, outputs, left: 1, right: 9);
        var b = bias ? Random(1, outputs) : null;
        var (from, before, offset) = (x.Read(), y.Read(), b?.Read());

        Device.Ops.Linear(x, w, b is null ? (Tensor?)null : b.View, y, accumulate);

        var after = y.Read();
        for (var t = 0; t < rows; t++)
        {
            for (var i = 0; i < outputs; i++)
            {
                var expected = Dot(inputs, c => new(from[t, c], 0), c => w[i, c], ActivationRounding(type));
                expected = offset is null ? expected : Add(expected, offset[0, i]);
                (accumulate ? Add(expected, before[t, i]) : expected)
                    .Holds(after[t, i], $"{type} {rows}x{inputs} to {outputs}, row {t}, column {i}");
            }
        }
    }

    private void GatedMlp(DType type, int rows, int hidden, int intermediate, bool isAligned = false)
    {
        var (gate, up) = (RandomMatrix(type, intermediate, hidden), RandomMatrix(type, intermediate, hidden));
        var down = RandomMatrix(type, hidden, intermediate);
        var x = Random(rows, hidden, left: isAligned ? 4 : 2);
        var y = Random(rows, hidden, right: 3);
        var (from, before) = (x.Read(), y.Read());

        Device.Ops.GatedMlp(x, gate, up, down, y);

        var after = y.Read();
        for (var t = 0; t < rows; t++)
        {
            var expected = Mlp(i => from[t, i], gate, up, down);
            for (var i = 0; i < hidden; i++)
            {
                Add(expected[i], before[t, i]).Holds(after[t, i], $"{type}, row {t}, column {i}");
            }
        }
    }

    private static void HoldsNorm(float[,] x, float[,] weight, float epsilon, float[,] y)
    {
        var width = weight.GetLength(1);
        for (var t = 0; t < x.GetLength(0); t++)
        {
            for (var column = 0; column < x.GetLength(1); column++)
            {
                var start = column / width * width;
                var squares = 0.0;
                for (var i = 0; i < width; i++)
                {
                    squares += (double)x[t, start + i] * x[t, start + i];
                }

                var expected = x[t, column] / Math.Sqrt((squares / width) + epsilon) * weight[0, column - start];
                // Half of the sum's relative error passes the root; then come a root, a quotient and two products.
                var error = ((Tolerance.Dot(width) / 2) + (8 * Tolerance.Single)) * Math.Abs(expected);
                new Bounded(expected, error).Holds(y[t, column], $"row {t}, column {column}");
            }
        }
    }
}
