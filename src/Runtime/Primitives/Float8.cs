namespace LsglangSharp.Runtime.Primitives;

/// <summary>
/// FP8 E4M3 as raw bits: a sign, four bits of exponent (bias 7), three of fraction; no infinities, and one NaN of each
/// sign, all other bits set. OCP 8-bit Floating Point Specification 1.0, section 5, where it is called E4M3; elsewhere
/// E4M3FN.
/// </summary>
public static class Float8
{
    /// <summary>The largest finite value.</summary>
    public const float Largest = 448;

    private const byte NotANumber = 0x7f;
    private const int FractionBits = 3;
    private const int Bias = 7;

    /// <summary>Exact.</summary>
    public static float ToSingle(byte bits)
    {
        var magnitude = bits & NotANumber;
        var (exponent, fraction) = (magnitude >> FractionBits, magnitude & ((1 << FractionBits) - 1));
        var value = magnitude == NotANumber ? float.NaN
            : exponent == 0 ? MathF.ScaleB(fraction, 1 - Bias - FractionBits)
            : MathF.ScaleB(fraction + (1 << FractionBits), exponent - Bias - FractionBits);
        return bits > NotANumber ? -value : value;
    }

    /// <summary>
    /// Rounds to nearest, ties to even. What is beyond the largest finite value, infinity too, becomes that value, as
    /// CUDA's cvt.rn.satfinite does; a NaN stays one.
    /// </summary>
    public static byte FromSingle(float value)
    {
        if (float.IsNaN(value))
        {
            return NotANumber;
        }

        var sign = BitConverter.SingleToUInt32Bits(value) >> 31 << 7;

        // In units of the last place that the format has at this size, a power of two: the quotient is exact. Rounding up
        // to the next power of two carries into the exponent by itself.
        var magnitude = Math.Min(MathF.Abs(value), Largest);
        var exponent = magnitude < 1.0f / (1 << (Bias - 1)) ? 1 - Bias : MathF.ILogB(magnitude);
        var units = (uint)MathF.Round(MathF.ScaleB(magnitude, FractionBits - exponent), MidpointRounding.ToEven);
        return (byte)(sign | (((uint)(exponent + Bias - 1) << FractionBits) + units));
    }
}
