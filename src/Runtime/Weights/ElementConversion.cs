using System.Numerics;
using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Weights;

/// <summary>
/// Between the element types of weights, many at a time. Widening is exact; narrowing rounds to nearest, ties to even.
/// </summary>
internal static class ElementConversion
{
    /// <summary>Floats between two narrow types; a block of them stays in the first-level cache.</summary>
    private const int BlockElements = 2048;

    private const uint Infinity = 0x7f800000;

    /// <summary>False when a finite value became an infinity, which only float16 as the target can do.</summary>
    public static bool Convert(ReadOnlySpan<byte> source, DType sourceType, Span<byte> target, DType targetType)
    {
        if (sourceType == targetType)
        {
            source.CopyTo(target);
            return true;
        }

        if (sourceType == DType.F32)
        {
            return Narrow(MemoryMarshal.Cast<byte, float>(source), target, targetType);
        }

        var narrow = MemoryMarshal.Cast<byte, ushort>(source);
        if (targetType == DType.F32)
        {
            Widen(narrow, sourceType, MemoryMarshal.Cast<byte, float>(target));
            return true;
        }

        Span<float> block = stackalloc float[BlockElements];
        var fits = true;
        for (var start = 0; start < narrow.Length; start += BlockElements)
        {
            var count = Math.Min(BlockElements, narrow.Length - start);
            Widen(narrow.Slice(start, count), sourceType, block);
            var place = target.Slice(start * targetType.Bytes(), count * targetType.Bytes());
            fits &= Narrow(block[..count], place, targetType);
        }

        return fits;
    }

    private static void Widen(ReadOnlySpan<ushort> source, DType type, Span<float> target)
    {
        Check.That(type is DType.BF16 or DType.F16 && target.Length >= source.Length);
        var i = 0;
        for (; i + Vector<ushort>.Count <= source.Length; i += Vector<ushort>.Count)
        {
            Vector.Widen(new Vector<ushort>(source[i..]), out var low, out var high);
            (type == DType.BF16 ? Vector.ShiftLeft(low, 16) : WidenHalf(low)).As<uint, float>().CopyTo(target[i..]);
            (type == DType.BF16 ? Vector.ShiftLeft(high, 16) : WidenHalf(high)).As<uint, float>()
                .CopyTo(target[(i + Vector<uint>.Count)..]);
        }

        for (; i < source.Length; i++)
        {
            target[i] = type == DType.BF16
                ? BFloat16.ToSingle(source[i])
                : (float)BitConverter.UInt16BitsToHalf(source[i]);
        }
    }

    /// <summary>
    /// Exponent and mantissa as if they were a float's, times 2^112, the distance of the two exponents' biases.
    /// </summary>
    private static Vector<uint> WidenHalf(Vector<uint> half)
    {
        var magnitude = Vector.ShiftLeft(half & new Vector<uint>(0x7fff), 13);
        var finite = (magnitude.As<uint, float>() * new Vector<float>(5.192296858534828e33f)).As<float, uint>();
        var isSpecial = Vector.Equals(half & new Vector<uint>(0x7c00), new Vector<uint>(0x7c00));
        var bits = Vector.ConditionalSelect(isSpecial, magnitude | new Vector<uint>(Infinity), finite);
        return bits | Vector.ShiftLeft(half & new Vector<uint>(0x8000), 16);
    }

    private static bool Narrow(ReadOnlySpan<float> source, Span<byte> target, DType type)
    {
        Check.That(type is DType.BF16 or DType.F16);
        var narrow = MemoryMarshal.Cast<byte, ushort>(target);
        var overflows = Vector<uint>.Zero;
        var i = 0;
        for (; i + Vector<ushort>.Count <= source.Length; i += Vector<ushort>.Count)
        {
            var low = new Vector<float>(source[i..]).As<float, uint>();
            var high = new Vector<float>(source[(i + Vector<uint>.Count)..]).As<float, uint>();
            var narrowed = type == DType.BF16
                ? Vector.Narrow(NarrowToBFloat16(low), NarrowToBFloat16(high))
                : Vector.Narrow(NarrowToHalf(low, ref overflows), NarrowToHalf(high, ref overflows));
            narrowed.CopyTo(narrow[i..]);
        }

        var fits = overflows == Vector<uint>.Zero;
        for (; i < source.Length; i++)
        {
            if (type == DType.BF16)
            {
                narrow[i] = BFloat16.FromSingle(source[i]);
            }
            else
            {
                var half = (Half)source[i];
                fits &= !Half.IsInfinity(half) || float.IsInfinity(source[i]);
                narrow[i] = BitConverter.HalfToUInt16Bits(half);
            }
        }

        return fits;
    }

    /// <summary>As <see cref="BFloat16.FromSingle"/>.</summary>
    private static Vector<uint> NarrowToBFloat16(Vector<uint> bits)
    {
        var upper = Vector.ShiftRightLogical(bits, 16);
        var rounded = Vector.ShiftRightLogical(bits + new Vector<uint>(0x7fff) + (upper & Vector<uint>.One), 16);
        var isNaN = Vector.GreaterThan(bits & new Vector<uint>(0x7fffffff), new Vector<uint>(Infinity));
        return Vector.ConditionalSelect(isNaN, upper | new Vector<uint>(0x40), rounded);
    }

    /// <summary>
    /// Three cases by magnitude: too large, normal (round away the lower 13 bits of the mantissa), and subnormal
    /// (adding a number whose last bit is the smallest subnormal lets the addition round).
    /// </summary>
    private static Vector<uint> NarrowToHalf(Vector<uint> bits, ref Vector<uint> overflows)
    {
        var magnitude = bits & new Vector<uint>(0x7fffffff);
        var isOdd = Vector.ShiftRightLogical(magnitude, 13) & Vector<uint>.One;
        var rebiased = magnitude - new Vector<uint>(112u << 23);
        var normal = Vector.ShiftRightLogical(rebiased + new Vector<uint>(0xfff) + isOdd, 13);

        var halfUnit = new Vector<uint>(126u << 23);
        var subnormal = (magnitude.As<uint, float>() + halfUnit.As<uint, float>()).As<float, uint>() - halfUnit;
        var isSubnormal = Vector.LessThan(magnitude, new Vector<uint>(113u << 23));
        var half = Vector.ConditionalSelect(isSubnormal, subnormal, normal);

        var isInfinite = Vector.GreaterThanOrEqual(magnitude, new Vector<uint>(143u << 23));
        half = Vector.ConditionalSelect(isInfinite, new Vector<uint>(0x7c00), half);
        var isNaN = Vector.GreaterThan(magnitude, new Vector<uint>(Infinity));
        half = Vector.ConditionalSelect(isNaN, new Vector<uint>(0x7e00), half);

        var wasFinite = Vector.LessThan(magnitude, new Vector<uint>(Infinity));
        overflows |= Vector.Equals(half, new Vector<uint>(0x7c00)) & wasFinite;
        return half | Vector.ShiftRightLogical(bits & new Vector<uint>(0x80000000), 16);
    }
}
