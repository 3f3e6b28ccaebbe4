using System.Globalization;
using System.Text.RegularExpressions;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>What a PTX text says about the kernels in it.</summary>
internal static partial class PtxText
{
    /// <summary>Each kernel's name and the bytes of its parameters.</summary>
    public static IEnumerable<(string Name, int ParameterBytes)> Kernels(string ptx)
    {
        foreach (Match entry in Entry().Matches(ptx))
        {
            var bytes = Parameter().Matches(entry.Groups["parameters"].Value)
                .Sum(match => int.Parse(match.Groups["bytes"].Value, CultureInfo.InvariantCulture));
            yield return (entry.Groups["name"].Value, bytes);
        }
    }

    [GeneratedRegex(@"\.entry\s+(?<name>\w+)\s*\((?<parameters>[^)]*)\)")]
    private static partial Regex Entry();

    /// <summary>A struct is an array of bytes.</summary>
    [GeneratedRegex(@"\.param\s+\.align\s+\d+\s+\.b8\s+\w+\[(?<bytes>\d+)\]")]
    private static partial Regex Parameter();
}
