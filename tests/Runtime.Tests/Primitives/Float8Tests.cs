using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Tests.Primitives;

public sealed class Float8Tests
{
    [Fact]
    public void Every_value_survives_the_way_there_and_back()
    {
        for (var bits = 0; bits < 256; bits++)
        {
            var value = Float8.ToSingle((byte)bits);

            Assert.Equal((bits & 0x7f) == 0x7f, float.IsNaN(value));
            Assert.Equal(float.IsNaN(value) ? 0x7f : bits, Float8.FromSingle(value));
        }
    }

    /// <summary>OCP 8-bit Floating Point Specification 1.0, table 1.</summary>
    [Theory]
    [InlineData(0x7e, 448)]
    [InlineData(0x08, 0.015625)]
    [InlineData(0x07, 0.013671875)]
    [InlineData(0x01, 0.001953125)]
    [InlineData(0xb8, -1)]
    public void Bits_mean_what_the_specification_says(byte bits, float value) => Assert.Equal(value, Float8.ToSingle(bits));

    [Fact]
    public void Everything_between_two_values_goes_to_the_nearer_and_a_middle_to_the_even()
    {
        for (byte bits = 0; bits < 0x7e; bits++)
        {
            var (low, high) = (Float8.ToSingle(bits), Float8.ToSingle((byte)(bits + 1)));
            var middle = (low + high) / 2;
            var even = bits % 2 == 0 ? bits : bits + 1;

            Assert.Equal(even, Float8.FromSingle(middle));
            Assert.Equal(bits, Float8.FromSingle(MathF.BitDecrement(middle)));
            Assert.Equal(bits + 1, Float8.FromSingle(MathF.BitIncrement(middle)));
            Assert.Equal((bits + 1) | 0x80, Float8.FromSingle(-MathF.BitIncrement(middle)));
        }
    }

    [Theory]
    [InlineData(float.PositiveInfinity, 0x7e)]
    [InlineData(float.NegativeInfinity, 0xfe)]
    [InlineData(1e30f, 0x7e)]
    [InlineData(464.1f, 0x7e)]
    [InlineData(float.NaN, 0x7f)]
    public void What_is_too_large_becomes_the_largest(float value, byte bits) =>
        Assert.Equal(bits, Float8.FromSingle(value));
}
