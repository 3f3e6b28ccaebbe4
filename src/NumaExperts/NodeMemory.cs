using System.Globalization;

namespace LsglangSharp.NumaExperts;

/// <summary>What a NUMA node has free, as the kernel says it.</summary>
public static class NodeMemory
{
    /// <summary>Bytes that are free or hold only cached files; null where the kernel does not say.</summary>
    public static long? BytesFree(int node)
    {
        var file = $"/sys/devices/system/node/node{node}/meminfo";
        if (!File.Exists(file))
        {
            return null;
        }

        // Lines such as "Node 0 MemFree:   24117248 kB".
        var kibibytes = File.ReadLines(file)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(words => words is [_, _, "MemFree:" or "Active(file):" or "Inactive(file):", _, ..])
            .Sum(words => long.Parse(words[3], CultureInfo.InvariantCulture));
        return kibibytes * 1024;
    }
}
