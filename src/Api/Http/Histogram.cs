using System.Globalization;
using System.Text;

namespace LsglangSharp.Api.Http;

/// <summary>Counts of values per bucket, as Prometheus reads them. Safe from any thread.</summary>
internal sealed class Histogram(string name, string help, double[] bounds)
{
    // Sums are kept in millionths, so that adding is one atomic instruction.
    private const double Scale = 1e6;

    private readonly long[] _counts = new long[bounds.Length + 1];
    private long _sum;

    public void Observe(double value, long times = 1)
    {
        var bucket = Array.BinarySearch(bounds, value);
        Interlocked.Add(ref _counts[bucket < 0 ? ~bucket : bucket], times);
        Interlocked.Add(ref _sum, (long)(value * Scale) * times);
    }

    public void Write(StringBuilder text, string labels)
    {
        text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} histogram\n");
        long total = 0;
        for (var i = 0; i < bounds.Length; i++)
        {
            total += Volatile.Read(ref _counts[i]);
            text.Append(CultureInfo.InvariantCulture, $"{name}_bucket{{{labels},le=\"{bounds[i]}\"}} {total}\n");
        }

        total += Volatile.Read(ref _counts[^1]);
        text.Append(CultureInfo.InvariantCulture, $"{name}_bucket{{{labels},le=\"+Inf\"}} {total}\n");
        text.Append(CultureInfo.InvariantCulture, $"{name}_sum{{{labels}}} {Volatile.Read(ref _sum) / Scale}\n");
        text.Append(CultureInfo.InvariantCulture, $"{name}_count{{{labels}}} {total}\n");
    }
}
