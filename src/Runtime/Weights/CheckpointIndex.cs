using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Weights;

/// <summary>
/// Which files a checkpoint's tensors are in: model.safetensors, or what model.safetensors.index.json lists, or,
/// without either, every *.safetensors of the folder.
/// </summary>
internal sealed partial record CheckpointIndex(IReadOnlyList<string> Files, IReadOnlyDictionary<string, string> FileOf)
{
    private const string SingleName = "model.safetensors";
    private const string IndexName = "model.safetensors.index.json";

    /// <summary>An entry takes about 150 bytes; the largest published indices have 10 MB.</summary>
    private const int IndexBytesMax = 256 << 20;

    /// <summary>
    /// Paths of files that are there, in the order of their names; FileOf is empty where no index says it.
    /// </summary>
    public static CheckpointIndex Open(string folder)
    {
        if (!Directory.Exists(folder))
        {
            throw new ConfigurationException($"there is no model folder {folder}");
        }

        var single = Path.Combine(folder, SingleName);
        if (File.Exists(single))
        {
            return new CheckpointIndex([single], new Dictionary<string, string>());
        }

        var index = Path.Combine(folder, IndexName);
        return File.Exists(index) ? FromIndex(folder, index) : FromFolder(folder);
    }

    private static CheckpointIndex FromIndex(string folder, string index)
    {
        var fileOf = ReadWeightMap(index);
        var paths = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var name in fileOf.Values.Distinct(StringComparer.Ordinal))
        {
            paths.Add(name, Inside(folder, name, index));
        }

        RequireThere(index, paths.Values);
        return new CheckpointIndex(
            [.. paths.Values.Order(StringComparer.Ordinal)],
            fileOf.ToDictionary(entry => entry.Key, entry => paths[entry.Value], StringComparer.Ordinal));
    }

    private static CheckpointIndex FromFolder(string folder)
    {
        string[] files = [.. Directory.EnumerateFiles(folder, "*.safetensors").Order(StringComparer.Ordinal)];
        if (files.Length == 0)
        {
            var other = Directory.EnumerateFiles(folder)
                .Select(Path.GetFileName)
                .FirstOrDefault(name => name!.EndsWith(".bin", StringComparison.Ordinal)
                    || name.EndsWith(".gguf", StringComparison.Ordinal)
                    || name.EndsWith(".pth", StringComparison.Ordinal));
            throw new ConfigurationException(
                $"{folder} has no *.safetensors" +
                (other is null ? "" : $"; it has {other}, a format that is not read here"));
        }

        // Names such as model-00002-of-00003 say how many there should be.
        RequireThere(
            folder,
            from file in files
            let match = ShardName().Match(Path.GetFileName(file))
            where match.Success
            let count = int.Parse(match.Groups["count"].ValueSpan, CultureInfo.InvariantCulture)
            from number in Enumerable.Range(1, count)
            let digits = number.ToString(CultureInfo.InvariantCulture).PadLeft(match.Groups["number"].Length, '0')
            select Path.Combine(folder, $"{match.Groups["stem"]}-{digits}-of-{match.Groups["count"]}.safetensors"));
        return new CheckpointIndex(files, new Dictionary<string, string>());
    }

    private static void RequireThere(string index, IEnumerable<string> paths)
    {
        string[] missing =
        [
            .. paths.Distinct(StringComparer.Ordinal)
                .Where(path => !File.Exists(path))
                .Select(path => Path.GetFileName(path)),
        ];
        if (missing.Length > 0)
        {
            throw new ConfigurationException(
                $"{index}: {missing.Length} of its files are missing: " + NameList.Shorten(missing));
        }
    }

    private static string Inside(string folder, string name, string index)
    {
        var root = Path.GetFullPath(folder) + Path.DirectorySeparatorChar;
        var path = Path.GetFullPath(Path.Combine(root, name));
        return path.StartsWith(root, StringComparison.Ordinal)
            ? path
            : throw new ConfigurationException($"{index} names a file outside of its folder: {name}");
    }

    private static Dictionary<string, string> ReadWeightMap(string path)
    {
        try
        {
            if (new FileInfo(path).Length > IndexBytesMax)
            {
                throw new ConfigurationException($"{path} has more than {IndexBytesMax >> 20} MiB, which no index has");
            }

            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (document.RootElement.ValueKind != JsonValueKind.Object
                || !document.RootElement.TryGetProperty("weight_map", out var map)
                || map.ValueKind != JsonValueKind.Object)
            {
                throw new ConfigurationException($"{path} has no \"weight_map\" object");
            }

            var fileOf = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (var entry in map.EnumerateObject())
            {
                var file = entry.Value.ValueKind == JsonValueKind.String ? entry.Value.GetString()! : "";
                fileOf[entry.Name] = file.Length > 0 && !file.Contains('\0', StringComparison.Ordinal)
                    ? file
                    : throw new ConfigurationException($"{path}: {entry.Name} does not name a file");
            }

            return fileOf;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new ConfigurationException($"{path} is not valid JSON: {error.Message}", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"cannot read {path}: {error.Message}", error);
        }
    }

    [GeneratedRegex(
        @"^(?<stem>.+)-(?<number>\d{1,6})-of-(?<count>\d{1,5})\.safetensors$", RegexOptions.CultureInvariant)]
    private static partial Regex ShardName();
}
