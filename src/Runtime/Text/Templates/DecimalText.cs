using System.Globalization;
using System.Numerics;

namespace LsglangSharp.Runtime.Text.Templates;

/// <summary>Floats in decimal with a given precision, rounded exactly and half to even as Python does.</summary>
internal static class DecimalText
{
    /// <summary>Digits after the point that a format may ask for.</summary>
    private const int PrecisionMax = 1 << 12;

    /// <summary>|value| with a fixed number of digits after the point.</summary>
    public static string Fixed(double value, int precision)
    {
        var digits = Scaled(Math.Abs(value), precision).ToString(CultureInfo.InvariantCulture);
        if (precision == 0)
        {
            return digits;
        }

        digits = digits.PadLeft(precision + 1, '0');
        var point = digits.Length - precision;
        return string.Concat(digits.AsSpan(0, point), ".", digits.AsSpan(point));
    }

    /// <summary>Python's round() with digits.</summary>
    public static double Round(double value, int digits)
    {
        // Beyond 323 digits nothing is left to round; below -308 nothing remains.
        if (!double.IsFinite(value) || digits > 323)
        {
            return value;
        }

        if (digits < -308)
        {
            return value * 0;
        }

        var scaled = digits >= 0 ? Scaled(Math.Abs(value), digits)
            : HalfEven((BigInteger)Math.Truncate(Math.Abs(value)), BigInteger.Pow(10, -digits),
                Math.Abs(value) % 1 != 0);
        return Math.CopySign(double.Parse($"{scaled}e{-digits}", CultureInfo.InvariantCulture), value);
    }

    /// <summary>|value| as digits and exponent of ten, for the scientific notation.</summary>
    public static (string Digits, int Exponent) Scientific(double value, int precision)
    {
        value = Math.Abs(value);
        CheckPrecision(precision);
        if (value == 0)
        {
            return (new string('0', precision + 1), 0);
        }

        var exponent = (int)Math.Floor(Math.Log10(value));
        while (true)
        {
            var digits = Scaled(value, precision - exponent).ToString(CultureInfo.InvariantCulture);
            if (digits.Length == precision + 1)
            {
                return (digits, exponent);
            }

            exponent += digits.Length > precision + 1 ? 1 : -1;
        }
    }

    /// <summary>value * 10^digits as an integer.</summary>
    private static BigInteger Scaled(double value, int digits)
    {
        CheckPrecision(digits);
        var bits = BitConverter.DoubleToInt64Bits(value);
        var exponent = (int)(bits >> 52) & 0x7ff;
        BigInteger mantissa = bits & 0xfffffffffffff;
        mantissa += exponent == 0 ? 0 : 1L << 52;
        exponent = Math.Max(exponent, 1) - 1075;
        var numerator = exponent > 0 ? mantissa << exponent : mantissa;
        var denominator = exponent < 0 ? BigInteger.One << -exponent : BigInteger.One;
        return digits >= 0
            ? HalfEven(numerator * BigInteger.Pow(10, digits), denominator)
            : HalfEven(numerator, denominator * BigInteger.Pow(10, -digits));
    }

    private static BigInteger HalfEven(BigInteger numerator, BigInteger denominator, bool hasMore = false)
    {
        var quotient = BigInteger.DivRem(numerator, denominator, out var remainder);
        var order = (remainder * 2).CompareTo(denominator);
        var isUp = order > 0 || (order == 0 && (hasMore || !quotient.IsEven));
        return isUp ? quotient + 1 : quotient;
    }

    private static void CheckPrecision(int precision)
    {
        if (precision > PrecisionMax)
        {
            throw TemplateFault.Value("precision too big");
        }
    }
}
