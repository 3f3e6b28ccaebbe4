using LsglangSharp.Runtime.Layers;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Layers;

public sealed class RotaryFrequenciesTests
{
    [Theory]
    [InlineData(128, 1e6)]
    [InlineData(64, 500_000)]
    [InlineData(2, 10_000)]
    public void Frequencies_fall_by_a_power_of_theta(int dimensions, double theta)
    {
        var (inverse, scale) = RotaryFrequencies.Of(new Rotary(dimensions, theta));

        Assert.Equal(dimensions / 2, inverse.Length);
        Assert.Equal(1, scale);
        for (var i = 0; i < inverse.Length; i++)
        {
            Near(Math.Pow(theta, -2.0 * i / dimensions), inverse[i], theta);
        }
    }

    [Fact]
    public void Linear_scaling_divides_all()
    {
        var plain = RotaryFrequencies.Of(new Rotary(32, 10_000)).Inverse;

        var (inverse, scale) = RotaryFrequencies.Of(new Rotary(32, 10_000) { Scaling = new LinearScaling(8) });

        Assert.Equal(plain.Select(frequency => frequency / 8), inverse);
        Assert.Equal(1, scale);
    }

    [Fact]
    public void Llama3_scaling_keeps_short_wavelengths_and_divides_long_ones()
    {
        const double Factor = 8, Low = 1, High = 4, Original = 8192;
        var plain = RotaryFrequencies.Of(new Rotary(128, 500_000)).Inverse;

        var (inverse, scale) = RotaryFrequencies.Of(
            new Rotary(128, 500_000) { Scaling = new Llama3Scaling(Factor, Low, High, (int)Original) });

        Assert.Equal(1, scale);
        var kinds = new int[3];
        for (var i = 0; i < inverse.Length; i++)
        {
            var turns = Original * plain[i] / (2 * Math.PI);
            var smooth = Math.Clamp((turns - Low) / (High - Low), 0, 1);
            Near(plain[i] * (((1 - smooth) / Factor) + smooth), inverse[i], 500_000);
            kinds[smooth == 0 ? 0 : smooth == 1 ? 2 : 1]++;
        }

        Assert.All(kinds, count => Assert.True(count > 0));
    }

    [Theory]
    [InlineData(128, 1e6, 4, 32_768, true)]
    [InlineData(64, 150_000, 32, 4096, false)]
    [InlineData(64, 1e6, 4, 32, true)]
    [InlineData(64, 10_000, 40, 4096, true)]
    public void Yarn_ramps_from_kept_to_divided(int dimensions, double theta, double factor, int original, bool truncate)
    {
        var rotary = new Rotary(dimensions, theta)
        {
            Scaling = new YarnScaling(factor, original) { Truncate = truncate },
        };

        var (inverse, scale) = RotaryFrequencies.Of(rotary);

        Assert.Equal((float)((0.1 * Math.Log(factor)) + 1), scale);
        double Pair(double turns) => dimensions * Math.Log(original / (turns * 2 * Math.PI)) / (2 * Math.Log(theta));
        var low = Math.Max(0, truncate ? Math.Floor(Pair(32)) : Pair(32));
        var high = Math.Min(dimensions - 1, truncate ? Math.Ceiling(Pair(1)) : Pair(1));
        for (var i = 0; i < inverse.Length; i++)
        {
            var plain = Math.Pow(theta, -2.0 * i / dimensions);
            var ramp = Math.Clamp((i - low) / (high - low), 0, 1);
            Near((plain * (1 - ramp)) + (plain / factor * ramp), inverse[i], theta);
        }

        Assert.Equal(1, inverse[0]);
        Assert.True(inverse[^1] < Math.Pow(theta, 2.0 / dimensions - 1));
    }

    [Fact]
    public void Yarn_with_one_beta_steps_at_one_pair()
    {
        // As Kimi-K2 has it: both ends of the ramp fall on pair 19.17, which rounds to 19 and 20.
        var scaling = new YarnScaling(32, 4096) { BetaFast = 1, BetaSlow = 1 };

        var inverse = RotaryFrequencies.Of(new Rotary(64, 50_000) { Scaling = scaling }).Inverse;

        for (var i = 0; i < inverse.Length; i++)
        {
            var plain = Math.Pow(50_000, -2.0 * i / 64);
            Near(i <= 19 ? plain : plain / 32, inverse[i], 50_000);
        }
    }

    [Fact]
    public void Yarn_with_equal_ends_does_not_divide_by_nothing()
    {
        // Untruncated, the ends are one number; a thousandth of a pair keeps them apart.
        var scaling = new YarnScaling(32, 4096) { BetaFast = 1, BetaSlow = 1, Truncate = false };

        var inverse = RotaryFrequencies.Of(new Rotary(64, 50_000) { Scaling = scaling }).Inverse;

        Assert.All(inverse, frequency => Assert.True(float.IsFinite(frequency) && frequency > 0));
    }

    [Theory]
    [InlineData(null, 1.0, 1.0, 1.0)]
    [InlineData(null, 1.0, null, 1.3688879)]
    [InlineData(null, null, null, 1.3688879)]
    [InlineData(null, 0.0, 0.0, 1.3688879)]
    [InlineData(null, 0.707, 1.0, 0.9210424)]
    [InlineData(1.25, 1.0, 1.0, 1.25)]
    public void Yarn_multiplies_by_what_is_given_or_by_the_two_mscales(
        double? given, double? mscale, double? mscaleAllDim, double expected)
    {
        var scaling = new YarnScaling(40, 4096) { AttentionFactor = given, Mscale = mscale, MscaleAllDim = mscaleAllDim };

        Assert.Equal(expected, RotaryFrequencies.Of(new Rotary(64, 10_000) { Scaling = scaling }).Scale, 1e-6);
    }

    [Fact]
    public void Yarn_does_not_shrink_below_one()
    {
        var scaling = new YarnScaling(0.5, 4096);

        Assert.Equal(1, RotaryFrequencies.Of(new Rotary(64, 10_000) { Scaling = scaling }).Scale);
    }

    /// <summary>
    /// The exponent is rounded, which theta's logarithm enlarges; a power, a quotient and a blend of five roundings
    /// follow.
    /// </summary>
    private static void Near(double expected, float actual, double theta) =>
        Assert.InRange(actual / expected, 1 - Error(theta), 1 + Error(theta));

    private static double Error(double theta) => (Math.Log(theta) + 12) * Tolerance.Single;
}
