using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Weights;

namespace LsglangSharp.Runtime.Tests.Weights;

public sealed class ElementConversionTests
{
    [Theory]
    [InlineData(DType.BF16)]
    [InlineData(DType.F16)]
    public void Widens_every_value_exactly(DType type)
    {
        ushort[] all = [.. Enumerable.Range(0, 65536).Select(bits => (ushort)bits)];
        var wide = new float[all.Length];

        Assert.True(Convert(all, type, wide, DType.F32));

        for (var i = 0; i < all.Length; i++)
        {
            var expected = type == DType.BF16 ? BFloat16.ToSingle(all[i]) : (float)BitConverter.UInt16BitsToHalf(all[i]);
            Assert.True(
                BitConverter.SingleToUInt32Bits(expected) == BitConverter.SingleToUInt32Bits(wide[i])
                || (float.IsNaN(expected) && float.IsNaN(wide[i])),
                $"{all[i]:x4}: {expected} and not {wide[i]}");
        }
    }

    [Theory]
    [InlineData(DType.BF16)]
    [InlineData(DType.F16)]
    public void Narrows_as_the_definition_does(DType type)
    {
        var values = Interesting().ToArray();
        var narrow = new ushort[values.Length];

        Convert(values, DType.F32, narrow, type);

        for (var i = 0; i < values.Length; i++)
        {
            var expected = type == DType.BF16
                ? BFloat16.FromSingle(values[i])
                : BitConverter.HalfToUInt16Bits((Half)values[i]);
            Assert.True(
                expected == narrow[i] || (float.IsNaN(values[i]) && IsNaN(narrow[i], type)),
                $"{values[i]:r}: {expected:x4} and not {narrow[i]:x4}");
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(15)]
    [InlineData(17)]
    [InlineData(2049)]
    [InlineData(5000)]
    public void Converts_between_narrow_types_for_any_length(int length)
    {
        ushort[] source = [.. Enumerable.Range(0, length).Select(i => BitConverter.HalfToUInt16Bits((Half)(i - 700)))];
        var brain = new ushort[length];
        var back = new ushort[length];

        Assert.True(Convert(source, DType.F16, brain, DType.BF16));
        Assert.True(Convert(brain, DType.BF16, back, DType.F16));

        for (var i = 0; i < length; i++)
        {
            var rounded = BFloat16.FromSingle((float)BitConverter.UInt16BitsToHalf(source[i]));
            Assert.Equal(rounded, brain[i]);
            Assert.Equal(BitConverter.HalfToUInt16Bits((Half)BFloat16.ToSingle(rounded)), back[i]);
        }
    }

    [Theory]
    [InlineData(65520f, false)]
    [InlineData(65519f, true)]
    [InlineData(1e30f, false)]
    [InlineData(float.PositiveInfinity, true)]
    [InlineData(float.NaN, true)]
    public void Says_whether_float16_can_hold_the_values(float value, bool fits)
    {
        for (var at = 0; at < 40; at++)
        {
            var values = new float[40];
            values[at] = -value;

            Assert.Equal(fits, Convert(values, DType.F32, new ushort[40], DType.F16));
        }
    }

    private static IEnumerable<float> Interesting()
    {
        var random = new Random(7);
        for (var i = 0; i < 200_000; i++)
        {
            yield return BitConverter.UInt32BitsToSingle((uint)random.NextInt64(1L << 32));
        }

        for (var bits = 0; bits < 65536; bits++)
        {
            // Halves, their midpoints and both neighbours of those: where rounding decides.
            var half = (float)BitConverter.UInt16BitsToHalf((ushort)bits);
            var next = (float)BitConverter.UInt16BitsToHalf((ushort)(bits + 1));
            var middle = (half / 2) + (next / 2);
            yield return half;
            yield return middle;
            yield return MathF.BitIncrement(middle);
            yield return MathF.BitDecrement(middle);
        }
    }

    private static bool IsNaN(ushort bits, DType type) => type == DType.BF16
        ? float.IsNaN(BFloat16.ToSingle(bits))
        : Half.IsNaN(BitConverter.UInt16BitsToHalf(bits));

    private static bool Convert<TSource, TTarget>(TSource[] source, DType sourceType, TTarget[] target, DType targetType)
        where TSource : unmanaged
        where TTarget : unmanaged => ElementConversion.Convert(
            MemoryMarshal.AsBytes(source.AsSpan()), sourceType, MemoryMarshal.AsBytes(target.AsSpan()), targetType);
}
