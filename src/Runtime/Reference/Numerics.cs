using System.Numerics;
using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Reference;

/// <summary>The arithmetic that every operation here is made of.</summary>
internal static class Numerics
{
    /// <summary>The sum of products, in double.</summary>
    public static double Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        Check.That(a.Length == b.Length);
        var sums = Vector<double>.Zero;
        var i = 0;
        for (; i <= a.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector.Widen(new Vector<float>(a[i..]), out var aLow, out var aHigh);
            Vector.Widen(new Vector<float>(b[i..]), out var bLow, out var bHigh);
            sums += (aLow * bLow) + (aHigh * bHigh);
        }

        var sum = Vector.Sum(sums);
        for (; i < a.Length; i++)
        {
            sum += (double)a[i] * b[i];
        }

        return sum;
    }

    /// <summary>x / (1 + e^-x).</summary>
    public static double Silu(double x) => x * Sigmoid(x);

    public static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    /// <summary>The stored elements as float32, exactly.</summary>
    public static void Widen(DType type, ReadOnlySpan<byte> stored, Span<float> target)
    {
        switch (type)
        {
            case DType.F32:
                MemoryMarshal.Cast<byte, float>(stored).CopyTo(target);
                break;
            case DType.BF16:
                var bfloats = MemoryMarshal.Cast<byte, ushort>(stored);
                for (var i = 0; i < target.Length; i++)
                {
                    target[i] = BFloat16.ToSingle(bfloats[i]);
                }

                break;
            case DType.F16:
                var halves = MemoryMarshal.Cast<byte, Half>(stored);
                for (var i = 0; i < target.Length; i++)
                {
                    target[i] = (float)halves[i];
                }

                break;
            case DType.F8E4M3:
                for (var i = 0; i < target.Length; i++)
                {
                    target[i] = Float8.ToSingle(stored[i]);
                }

                break;
            default:
                throw new InvariantException($"{type} is not a type of real numbers");
        }
    }

    /// <summary>Rounded to nearest, ties to even.</summary>
    public static void Narrow(DType type, ReadOnlySpan<float> source, Span<byte> stored)
    {
        switch (type)
        {
            case DType.F32:
                source.CopyTo(MemoryMarshal.Cast<byte, float>(stored));
                break;
            case DType.BF16:
                var bfloats = MemoryMarshal.Cast<byte, ushort>(stored);
                for (var i = 0; i < source.Length; i++)
                {
                    bfloats[i] = BFloat16.FromSingle(source[i]);
                }

                break;
            case DType.F16:
                var halves = MemoryMarshal.Cast<byte, Half>(stored);
                for (var i = 0; i < source.Length; i++)
                {
                    halves[i] = (Half)source[i];
                }

                break;
            case DType.F8E4M3:
                for (var i = 0; i < source.Length; i++)
                {
                    stored[i] = Float8.FromSingle(source[i]);
                }

                break;
            default:
                throw new InvariantException($"{type} is not a type of real numbers");
        }
    }
}
