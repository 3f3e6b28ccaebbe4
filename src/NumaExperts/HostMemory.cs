using System.Globalization;
using LsglangSharp.NumaExperts.Interop;

namespace LsglangSharp.NumaExperts;

/// <summary>What RAM is free, as the kernel says it.</summary>
public static class HostMemory
{
    /// <summary>Bytes that may still be allocated on all nodes together, without being killed for it.</summary>
    public static long BytesFree
    {
        get
        {
            NativeLibraryCheck.Ensure();
            LkException.ThrowIfFailed(LkMoe.MemoryAvailable(out var bytes));
            return (long)Math.Min(bytes, long.MaxValue);
        }
    }

    /// <summary>Bytes of a NUMA node that are free or hold only cached files; null where the kernel does not say.</summary>
    public static long? BytesFreeOn(int node)
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
