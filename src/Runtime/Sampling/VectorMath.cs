using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LsglangSharp.Runtime.Sampling;

/// <summary>
/// The passes over a whole row of logits. Where the machine has narrower vectors, the runtime splits these.
/// </summary>
internal static class VectorMath
{
    private const int Lanes = 16;

    /// <summary>The largest value, NaN if there is one among them.</summary>
    public static float Max(ReadOnlySpan<float> values)
    {
        var vectors = MemoryMarshal.Cast<float, Vector512<float>>(values);
        var max0 = Vector512.Create(float.NegativeInfinity);
        var max1 = max0;
        var ordered = Vector512<float>.AllBitsSet;
        var i = 0;
        for (; i + 1 < vectors.Length; i += 2)
        {
            var x0 = vectors[i];
            var x1 = vectors[i + 1];
            max0 = Vector512.MaxNative(max0, x0);
            max1 = Vector512.MaxNative(max1, x1);
            ordered &= Vector512.Equals(x0, x0) & Vector512.Equals(x1, x1);
        }

        for (; i < vectors.Length; i++)
        {
            max0 = Vector512.MaxNative(max0, vectors[i]);
            ordered &= Vector512.Equals(vectors[i], vectors[i]);
        }

        if (ordered.AsInt32() != Vector512<int>.AllBitsSet)
        {
            return float.NaN;
        }

        max0 = Vector512.MaxNative(max0, max1);
        var max = float.NegativeInfinity;
        for (var lane = 0; lane < Lanes; lane++)
        {
            max = MathF.Max(max, max0[lane]);
        }

        foreach (var value in values[(vectors.Length * Lanes)..])
        {
            max = MathF.Max(max, value);
        }

        return max;
    }

    /// <summary>Where the value stands first; -1 if nowhere.</summary>
    public static int IndexOf(ReadOnlySpan<float> values, float wanted)
    {
        var vectors = MemoryMarshal.Cast<float, Vector512<float>>(values);
        var target = Vector512.Create(wanted);
        for (var i = 0; i < vectors.Length; i++)
        {
            var hits = Vector512.Equals(vectors[i], target).ExtractMostSignificantBits();
            if (hits != 0)
            {
                return (i * Lanes) + BitOperations.TrailingZeroCount(hits);
            }
        }

        for (var i = vectors.Length * Lanes; i < values.Length; i++)
        {
            if (values[i] == wanted)
            {
                return i;
            }
        }

        return -1;
    }

    /// <summary>weights = exp((logits - max) * factor), no logit being larger than max.</summary>
    public static void Exponentials(ReadOnlySpan<float> logits, float max, float factor, Span<float> weights)
    {
        var source = MemoryMarshal.Cast<float, Vector512<float>>(logits);
        var target = MemoryMarshal.Cast<float, Vector512<float>>(weights[..logits.Length]);
        for (var i = 0; i < source.Length; i++)
        {
            target[i] = Exp((source[i] - Vector512.Create(max)) * Vector512.Create(factor));
        }

        for (var i = source.Length * Lanes; i < logits.Length; i++)
        {
            weights[i] = ExpOf((logits[i] - max) * factor);
        }
    }

    /// <summary>The sum of the same without storing them, for so few values that sixteen float32 sums do not lose much.</summary>
    public static double SumOfExponentials(ReadOnlySpan<float> logits, float max, float factor)
    {
        var source = MemoryMarshal.Cast<float, Vector512<float>>(logits);
        var maxima = Vector512.Create(max);
        var factors = Vector512.Create(factor);
        var sums0 = Vector512<float>.Zero;
        var sums1 = Vector512<float>.Zero;
        var i = 0;
        for (; i + 1 < source.Length; i += 2)
        {
            sums0 += Exp((source[i] - maxima) * factors);
            sums1 += Exp((source[i + 1] - maxima) * factors);
        }

        for (; i < source.Length; i++)
        {
            sums0 += Exp((source[i] - maxima) * factors);
        }

        double sum = Vector512.Sum(sums0 + sums1);
        foreach (var logit in logits[(source.Length * Lanes)..])
        {
            sum += ExpOf((logit - max) * factor);
        }

        return sum;
    }

    /// <summary>Indices, from <paramref name="first"/> on, of the values that are at least as large as the bound.</summary>
    public static int IndicesFrom(ReadOnlySpan<float> values, float bound, int first, Span<int> indices)
    {
        var vectors = MemoryMarshal.Cast<float, Vector512<float>>(values);
        var least = Vector512.Create(bound);
        var count = 0;
        for (var i = 0; i < vectors.Length; i++)
        {
            var hits = Vector512.GreaterThanOrEqual(vectors[i], least).ExtractMostSignificantBits();
            for (; hits != 0; hits &= hits - 1)
            {
                indices[count++] = first + (i * Lanes) + BitOperations.TrailingZeroCount(hits);
            }
        }

        for (var i = vectors.Length * Lanes; i < values.Length; i++)
        {
            if (values[i] >= bound)
            {
                indices[count++] = first + i;
            }
        }

        return count;
    }

    private static float ExpOf(float x) => Exp(Vector512.Create(x))[0];

    /// <summary>
    /// e^x for x ≤ 0, within 2 units in the last place; 0 below the smallest normal number. x = n ln 2 + r with |r| ≤
    /// ln 2 / 2, and e^r by a polynomial of degree 7, whose remainder is below r^8 / 8! = 5e-9.
    /// </summary>
    private static Vector512<float> Exp(Vector512<float> x)
    {
        const float smallest = -87.33654f; // ln 2^-126
        var clamped = Vector512.MaxNative(x, Vector512.Create(smallest));
        var n = Vector512.Round(clamped * Vector512.Create(1.44269504f));
        var r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693359375f), clamped);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(2.12194440e-4f), r);
        var p = Vector512.Create(1 / 5040f);
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1 / 720f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1 / 120f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1 / 24f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1 / 6f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(0.5f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512<float>.One);
        p = Vector512.FusedMultiplyAdd(p, r, Vector512<float>.One);
        var exponent = Vector512.ShiftLeft(Vector512.ConvertToInt32(n) + Vector512.Create(127), 23);
        var power = p * exponent.AsSingle();
        return power & Vector512.GreaterThanOrEqual(x, Vector512.Create(smallest));
    }
}
