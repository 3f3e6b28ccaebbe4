using System.Globalization;

namespace LsglangSharp.Api.Cli;

/// <summary>Bytes and counts as people read them.</summary>
internal static class Size
{
    /// <summary>Such as 24.7 MB; powers of 1000, as disks and memory bandwidth are quoted.</summary>
    public static string Of(long bytes)
    {
        string[] units = ["B", "kB", "MB", "GB", "TB"];
        double value = bytes;
        var unit = 0;
        while (value >= 999.95 && unit < units.Length - 1)
        {
            value /= 1000;
            unit++;
        }

        return unit == 0
            ? string.Create(CultureInfo.InvariantCulture, $"{value:F0} {units[unit]}")
            : string.Create(CultureInfo.InvariantCulture, $"{value:F1} {units[unit]}");
    }

    /// <summary>Such as 30.5 B parameters.</summary>
    public static string Parameters(long count) => count switch
    {
        >= 999_500_000_000 => string.Create(CultureInfo.InvariantCulture, $"{count / 1e12:F2} T"),
        >= 999_500_000 => string.Create(CultureInfo.InvariantCulture, $"{count / 1e9:F1} B"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{count / 1e6:F1} M"),
    };
}
