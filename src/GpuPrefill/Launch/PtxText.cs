using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>
/// One of the PTX texts in this assembly: the name of its source, the text as the driver takes it, ending in a zero, and each
/// kernel in it with the bytes of its parameters.
/// </summary>
internal sealed partial record PtxText(string Name, byte[] Image, ImmutableArray<(string Name, int ParameterBytes)> Kernels)
{
    private const string Prefix = "ptx/";

    // Read once, however many devices are opened.
    private static readonly ConcurrentDictionary<string, ImmutableArray<PtxText>> _families = new();

    /// <summary>Whether this build has any.</summary>
    public static bool IsBuilt => typeof(PtxText).Assembly.GetManifestResourceNames()
        .Any(name => name.StartsWith(Prefix, StringComparison.Ordinal));

    /// <summary>The texts of a family, by name.</summary>
    public static ImmutableArray<PtxText> Embedded(string family) => _families.GetOrAdd(family, static family =>
    [
        .. typeof(PtxText).Assembly.GetManifestResourceNames()
            .Where(name => name.StartsWith($"{Prefix}{family}/", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal)
            .Select(Read),
    ]);

    /// <summary>The kernels that a text declares, and the bytes of their parameters.</summary>
    public static IEnumerable<(string Name, int ParameterBytes)> KernelsOf(string ptx)
    {
        foreach (Match entry in Entry().Matches(ptx))
        {
            var bytes = Parameter().Matches(entry.Groups["parameters"].Value)
                .Sum(match => int.Parse(match.Groups["bytes"].Value, CultureInfo.InvariantCulture));
            yield return (entry.Groups["name"].Value, bytes);
        }
    }

    private static PtxText Read(string resource)
    {
        using var stream = typeof(PtxText).Assembly.GetManifestResourceStream(resource)!;
        var image = new byte[stream.Length + 1];
        stream.ReadExactly(image.AsSpan(0, image.Length - 1));
        return new PtxText(
            Path.GetFileNameWithoutExtension(resource), image, [.. KernelsOf(Encoding.UTF8.GetString(image))]);
    }

    [GeneratedRegex(@"\.entry\s+(?<name>\w+)\s*\((?<parameters>[^)]*)\)")]
    private static partial Regex Entry();

    /// <summary>A struct is an array of bytes.</summary>
    [GeneratedRegex(@"\.param\s+\.align\s+\d+\s+\.b8\s+\w+\[(?<bytes>\d+)\]")]
    private static partial Regex Parameter();
}
