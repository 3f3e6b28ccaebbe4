using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Runtime.Weights;

namespace LsglangSharp.Runtime.Tests.Weights;

public sealed class DummyWeightsTests
{
    [Theory]
    [InlineData(64)]
    [InlineData(768)]
    [InlineData(2048)]
    [InlineData(7168)]
    public void A_matrix_deviates_by_about_one_over_the_root_of_its_columns(int columns)
    {
        var values = Read(new TensorSpec("w", [300, columns]), 1);

        var deviation = Math.Sqrt(values.Average(value => (double)value * value));
        Assert.InRange(deviation * Math.Sqrt(columns), 0.7, 1.42);
        Assert.InRange(values.Average() / deviation, -0.03, 0.03);
    }

    [Fact]
    public void Bytes_are_spread_evenly()
    {
        // Chi-squared over 256 levels, 255 degrees of freedom: mean 255, deviation 23; 6 deviations never happen by
        // chance.
        var values = Read(new TensorSpec("w", [1000, 1024]), 3);
        var counts = values.GroupBy(value => value).Select(group => group.Count()).ToArray();

        Assert.Equal(256, counts.Length);
        var expected = values.Length / 256.0;
        Assert.InRange(counts.Sum(count => (count - expected) * (count - expected) / expected), 255 - 138, 255 + 138);
    }

    [Fact]
    public void Norms_are_near_one_and_biases_near_zero()
    {
        Assert.All(Read(new TensorSpec("model.norm.weight", [999]), 1), value => Assert.InRange(value, 0.9f, 1.1f));
        Assert.All(Read(new TensorSpec("q_proj.bias", [999]), 1), value => Assert.InRange(value, -0.02f, 0.02f));
    }

    [Theory]
    [InlineData("model.norm.weight", 1)]
    [InlineData("q_proj.bias", 1)]
    [InlineData("w", 5)]
    public void Every_element_type_holds_the_same_values(string name, int rows)
    {
        var tensor = new TensorSpec(name, rows == 1 ? [997] : [rows, 997]);

        var wide = Read(tensor, 9);

        Assert.Equal(wide, Bits(tensor, DType.BF16).Select(BFloat16.ToSingle));
        Assert.Equal(wide, Bits(tensor, DType.F16).Select(bits => (float)BitConverter.UInt16BitsToHalf(bits)));
    }

    [Fact]
    public void Seeds_and_names_make_different_weights()
    {
        var a = Read(new TensorSpec("a", [64, 64]), 1);

        Assert.Equal(a, Read(new TensorSpec("a", [64, 64]), 1));
        Assert.True(Agreement(a, Read(new TensorSpec("b", [64, 64]), 1)) < 0.02);
        Assert.True(Agreement(a, Read(new TensorSpec("a", [64, 64]), 2)) < 0.02);
    }

    [Fact]
    public void Any_range_of_rows_is_a_part_of_the_whole()
    {
        var tensor = new TensorSpec("w", [50, 37]);
        var whole = Read(tensor, 4);
        var reader = new DummyWeights(4).Open([tensor])[0];

        for (var start = 0; start < 50; start += 3)
        {
            var part = new float[Math.Min(7, 50 - start) * 37];
            reader.Read(start, part.Length / 37, DType.F32, MemoryMarshal.AsBytes(part.AsSpan()));

            Assert.Equal(whole.AsSpan(start * 37, part.Length).ToArray(), part);
        }
    }

    private static double Agreement(float[] a, float[] b) => a.Zip(b).Count(pair => pair.First == pair.Second) / (double)a.Length;

    private static float[] Read(TensorSpec tensor, ulong seed)
    {
        var values = new float[tensor.ElementCount];
        new DummyWeights(seed).Open([tensor])[0].Read(0, (int)tensor.Rows, DType.F32, MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }

    private static ushort[] Bits(TensorSpec tensor, DType type)
    {
        var bits = new ushort[tensor.ElementCount];
        new DummyWeights(9).Open([tensor])[0].Read(0, (int)tensor.Rows, type, MemoryMarshal.AsBytes(bits.AsSpan()));
        return bits;
    }
}
