using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Layers;

/// <summary>
/// The angles that a rotary embedding turns by for each position: one frequency a pair, and what cosine and sine are
/// multiplied by. Rounded to float32 where the reference implementations round, since an error here grows with the
/// position.
/// </summary>
public sealed record RotaryFrequencies(float[] Inverse, float Scale)
{
    public static RotaryFrequencies Of(Rotary rotary)
    {
        Check.That(rotary.Dimensions > 0 && rotary.Dimensions % 2 == 0);
        var periods = new float[rotary.Dimensions / 2];
        for (var i = 0; i < periods.Length; i++)
        {
            periods[i] = (float)Math.Pow((float)rotary.Theta, (float)(2 * i) / rotary.Dimensions);
        }

        var inverse = Array.ConvertAll(periods, period => 1 / period);

        return rotary.Scaling switch
        {
            null => new RotaryFrequencies(inverse, 1),
            LinearScaling linear => new RotaryFrequencies(Divide(inverse, linear.Factor), 1),
            Llama3Scaling llama => new RotaryFrequencies(Blend(inverse, llama), 1),
            YarnScaling yarn => new RotaryFrequencies(Ramp(periods, inverse, rotary, yarn), AttentionFactor(yarn)),
            var other => throw new InvariantException($"no frequencies for {other.GetType().Name}"),
        };
    }

    private static float[] Divide(float[] inverse, double factor) =>
        Array.ConvertAll(inverse, frequency => frequency / (float)factor);

    /// <summary>
    /// Long wavelengths are divided, short ones kept, those between blended linearly in the number of turns.
    /// </summary>
    private static float[] Blend(float[] inverse, Llama3Scaling scaling)
    {
        var factor = (float)scaling.Factor;
        var low = (float)scaling.LowFrequencyFactor;
        var high = (float)scaling.HighFrequencyFactor;
        return Array.ConvertAll(inverse, frequency =>
        {
            var wavelength = 2 * MathF.PI / frequency;
            if (wavelength > scaling.OriginalContext / low)
            {
                return frequency / factor;
            }

            if (wavelength < scaling.OriginalContext / high)
            {
                return frequency;
            }

            var smooth = ((scaling.OriginalContext / wavelength) - low) / (high - low);
            return ((1 - smooth) * frequency / factor) + (smooth * frequency);
        });
    }

    /// <summary>
    /// YaRN (Peng et al. 2023), section 3.2: pairs that turn often extrapolate, pairs that turn rarely interpolate.
    /// </summary>
    private static float[] Ramp(float[] periods, float[] inverse, Rotary rotary, YarnScaling scaling)
    {
        var low = PairThatTurns(scaling.BetaFast, rotary, scaling);
        var high = PairThatTurns(scaling.BetaSlow, rotary, scaling);
        if (scaling.Truncate)
        {
            low = Math.Floor(low);
            high = Math.Ceiling(high);
        }

        low = Math.Max(low, 0);
        high = Math.Min(high, rotary.Dimensions - 1);
        if (low == high)
        {
            high += 0.001;
        }

        var ramped = new float[inverse.Length];
        for (var i = 0; i < inverse.Length; i++)
        {
            var interpolated = 1 / ((float)scaling.Factor * periods[i]);
            var extrapolation = 1 - Math.Clamp((i - (float)low) / (float)(high - low), 0, 1);
            ramped[i] = (interpolated * (1 - extrapolation)) + (inverse[i] * extrapolation);
        }

        return ramped;
    }

    /// <summary>The pair index at which a head turns the given number of times over the original context.</summary>
    private static double PairThatTurns(double turns, Rotary rotary, YarnScaling scaling) =>
        rotary.Dimensions * Math.Log(scaling.OriginalContext / (turns * 2 * Math.PI)) / (2 * Math.Log(rotary.Theta));

    private static float AttentionFactor(YarnScaling scaling)
    {
        if (scaling.AttentionFactor is { } given)
        {
            return (float)given;
        }

        return scaling is { Mscale: { } mscale, MscaleAllDim: { } allDim } && mscale != 0 && allDim != 0
            ? (float)(Mscale(scaling.Factor, mscale) / Mscale(scaling.Factor, allDim))
            : (float)Mscale(scaling.Factor, 1);
    }

    private static double Mscale(double factor, double mscale) =>
        factor <= 1 ? 1 : (0.1 * mscale * Math.Log(factor)) + 1;
}
