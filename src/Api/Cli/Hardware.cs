using System.Collections.Immutable;
using LsglangSharp.Api.Cli.Commands;
using LsglangSharp.GpuPrefill;
using LsglangSharp.NumaExperts;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli;

/// <summary>This machine, or one that is assumed, as the planner sees it.</summary>
internal static class Hardware
{
    /// <summary>What a CUDA context takes of a GPU before anything else does.</summary>
    private const long ContextBytes = 512L << 20;

    /// <summary>The RAM, the nodes as the CPU device uses them, if there is one, and the GPUs that are open.</summary>
    public static Machine Of(CpuDevice? cpu, IEnumerable<CudaDevice> gpus) => new(
        HostMemory.BytesFree,
        [
            .. (cpu?.Description.Ranks ?? []).Select(rank =>
                new NumaNode(rank.Node, rank.Threads, HostMemory.BytesFreeOn(rank.Node))),
        ],
        [
            .. gpus.Select(gpu => new Gpu(
                gpu.Options.DeviceIndex, gpu.Description.Name, gpu.Description.BytesTotal, gpu.Memory.BytesFree)),
        ]);

    /// <summary>The machine with what the operator assumes instead of what is here.</summary>
    public static Machine Assume(Machine here, PlanOptions options, DeviceFlags flags)
    {
        var ram = options.Ram is { } total ? total - Math.Max(total / 50, 2L << 30) : here.BytesFree;
        var nodes = options.Nodes is null && options.Cores is null && options.Ram is null
            ? here.Nodes
            : Nodes(options.Nodes ?? here.Nodes.Length, options.Cores ?? here.Nodes.Sum(node => node.Threads), ram);
        return new Machine(ram, nodes, options.Gpus is { } gpus ? Gpus(gpus, flags) : here.Gpus);
    }

    /// <summary>Those of the assumed GPUs that the flags take.</summary>
    private static ImmutableArray<Gpu> Gpus(IReadOnlyList<long> sizes, DeviceFlags flags)
    {
        if (flags.Kind == DeviceKind.Cpu || (flags.Kind == DeviceKind.Auto && sizes.Count == 0))
        {
            return [];
        }

        return [.. flags.GpuIds.Select(index => index < sizes.Count
            ? new Gpu(index, Name(sizes[index]), sizes[index], sizes[index] - ContextBytes)
            : throw new ConfigurationException($"GPU {index} is asked for and {sizes.Count} are assumed."))];

        static string Name(long bytes) => FormattableString.Invariant($"{bytes / (double)(1L << 30):0.#} GB assumed");
    }

    private static ImmutableArray<NumaNode> Nodes(int count, int cores, long ram)
    {
        // The threads that lk_moe takes by itself, spread evenly.
        var threads = Math.Max(count, cores > 8 ? cores - 4 : cores - 1);
        return
        [
            .. Enumerable.Range(0, count).Select(node => new NumaNode(
                node, (threads * (node + 1) / count) - (threads * node / count), ram / count)),
        ];
    }
}
