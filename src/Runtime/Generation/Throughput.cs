namespace LsglangSharp.Runtime.Generation;

/// <summary>
/// Tokens a second over the last whole seconds, in one bucket a second. One writer; readers may see a bucket early or
/// late.
/// </summary>
internal sealed class Throughput
{
    private const int Seconds = 5;
    private readonly long[] _counts = new long[Seconds + 2];
    private readonly long[] _seconds = new long[Seconds + 2];

    public void Add(long second, long tokens)
    {
        var bucket = (int)(second % _counts.Length);
        if (_seconds[bucket] != second)
        {
            _counts[bucket] = 0;
            _seconds[bucket] = second;
        }

        _counts[bucket] += tokens;
    }

    public double At(long second)
    {
        long tokens = 0;
        for (var i = 0; i < _counts.Length; i++)
        {
            if (_seconds[i] < second && _seconds[i] >= second - Seconds)
            {
                tokens += _counts[i];
            }
        }

        return (double)tokens / Seconds;
    }
}
