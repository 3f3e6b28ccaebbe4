namespace LsglangSharp.Runtime.Sampling;

/// <summary>
/// Random numbers without a state: the one of a position does not depend on what was drawn before, nor for whom.
/// SplitMix64 (Steele, Lea and Flood 2014) as a counter-based generator.
/// </summary>
public static class SeededUniform
{
    private const ulong Gamma = 0x9e3779b97f4a7c15;

    public static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
        value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
        return value ^ (value >> 31);
    }

    /// <summary>Uniform in [0, 1), 53 bits.</summary>
    public static double At(ulong mixedSeed, int position) =>
        (Mix(mixedSeed + (((ulong)position + 1) * Gamma)) >> 11) * (1.0 / (1UL << 53));
}
