using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Support;

/// <summary>
/// Bounds derived from formats and lengths, so that no test carries a number that somebody remembered.
/// </summary>
public static class Tolerance
{
    /// <summary>Half a unit in the last place of 1 in float32, 24 bits of significand.</summary>
    public const double Single = 1.0 / (1 << 24);

    /// <summary>
    /// Relative error granted to exp, sin, cos and quotients of a vectorised implementation: 16 roundings, as a
    /// polynomial of about a dozen steps with its range reduction makes.
    /// </summary>
    public const double Transcendental = 16 * Single;

    /// <summary>Largest relative error of rounding to the type.</summary>
    public static double Rounding(DType type) => type switch
    {
        DType.F32 => Single,
        DType.F16 => 1.0 / (1 << 11),
        DType.BF16 => 1.0 / (1 << 8),
        _ => 0,
    };

    /// <summary>
    /// Largest relative error of a number as the sum of two of the type, the second being what rounding the first left.
    /// </summary>
    public static double TwoTerms(DType type) => Rounding(type) * Rounding(type);

    /// <summary>
    /// Relative to the sum of absolute products: the worst error of a float32 dot product in any order. Each term
    /// passes at most
    /// <paramref name="length"/> roundings, and two more on its way out.
    /// </summary>
    public static double Dot(int length) => (length + 2) * Single;
}
