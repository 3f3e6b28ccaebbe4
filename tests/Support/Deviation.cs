namespace LsglangSharp.Support;

/// <summary>How far two results lie apart.</summary>
public static class Deviation
{
    /// <summary>The largest absolute difference; NaN where one side has one.</summary>
    public static double Largest(ReadOnlySpan<float> actual, ReadOnlySpan<float> expected)
    {
        if (actual.Length != expected.Length)
        {
            throw new ArgumentException($"{actual.Length} values instead of {expected.Length}");
        }

        var largest = 0.0;
        for (var i = 0; i < actual.Length; i++)
        {
            largest = Math.Max(largest, Math.Abs((double)actual[i] - expected[i]));
        }

        return largest;
    }
}
