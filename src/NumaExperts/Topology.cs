using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using LsglangSharp.NumaExperts.Interop;

namespace LsglangSharp.NumaExperts;

/// <summary>What this machine is made of and what of it this process may use.</summary>
public sealed record Topology
{
    public required int Packages { get; init; }

    /// <summary>Physical cores.</summary>
    public required int Cores { get; init; }

    /// <summary>Hardware threads.</summary>
    public required int Cpus { get; init; }

    /// <summary>Cpus that the control group grants; 0: no limit.</summary>
    public required double CpuQuota { get; init; }

    /// <summary>Bytes that the control group grants; 0: no limit.</summary>
    public required long MemoryLimit { get; init; }

    /// <summary>Transparent huge pages: always, madvise, never, or empty where unknown.</summary>
    public required string HugePages { get; init; }

    public required NodeTopology[] Nodes { get; init; }

    public required string[] Warnings { get; init; }

    public static unsafe Topology Read()
    {
        NativeLibraryCheck.Ensure();
        LkException.ThrowIfFailed(LkMoe.TopologyDescribe(null, null, 0, out var length));

        // Again if the machine has more to say than a moment ago.
        byte[] text;
        do
        {
            text = new byte[length + 1];
            fixed (byte* target = text)
            {
                LkException.ThrowIfFailed(LkMoe.TopologyDescribe(null, target, (uint)text.Length, out length));
            }
        }
        while (length >= text.Length);

        return JsonSerializer.Deserialize(text.AsSpan(0, (int)length), DescriptionJson.Default.Topology)!;
    }
}

/// <summary>A NUMA node: its memory, and those of its cores that this process may use.</summary>
public sealed record NodeTopology
{
    public required int Id { get; init; }

    /// <summary>Bytes.</summary>
    public required long Memory { get; init; }

    public required int Cores { get; init; }

    /// <summary>Such as 0-3,8-11.</summary>
    public required string Cpus { get; init; }

    /// <summary>The cpus that share each last-level cache.</summary>
    public required string[] Caches { get; init; }
}

/// <summary>What a CPU device chose.</summary>
public sealed record DeviceDescription
{
    /// <summary>The kernel table in use.</summary>
    public required string Isa { get; init; }

    public required int Threads { get; init; }

    public required DeviceRank[] Ranks { get; init; }

    public required string[] Warnings { get; init; }

    internal static unsafe DeviceDescription Of(DeviceHandle device)
    {
        LkException.ThrowIfFailed(LkMoe.DeviceDescribe(device, out var text));
        var json = System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text);
        return JsonSerializer.Deserialize(json, DescriptionJson.Default.DeviceDescription)!;
    }
}

/// <summary>One slice of every weight: the node that holds it and the threads that compute it.</summary>
public sealed record DeviceRank
{
    public required int Node { get; init; }

    public required int Threads { get; init; }

    /// <summary>Such as 0-3,8-11.</summary>
    public required string Cpus { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(Topology))]
[JsonSerializable(typeof(DeviceDescription))]
internal sealed partial class DescriptionJson : JsonSerializerContext;
