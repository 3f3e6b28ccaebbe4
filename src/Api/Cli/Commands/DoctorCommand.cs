using System.CommandLine;
using System.Globalization;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.NumaExperts;

namespace LsglangSharp.Api.Cli.Commands;

/// <summary>lsglang doctor: what this machine is, how fast its memory is, and what to change.</summary>
internal static class DoctorCommand
{
    private static readonly TimeSpan _measuring = TimeSpan.FromSeconds(2);

    public static Command Create()
    {
        var command = new Command("doctor", "Look at this machine: processor, memory, GPUs, and what to change.");
        command.SetAction(_ => Run(Console.Out));
        return command;
    }

    private static int Run(TextWriter screen)
    {
        var environment = EnvironmentVariables.Read();
        var topology = Topology.Read();
        using var device = new CpuDevice(ServingDevices.CpuOptions(environment));
        var advice = new List<string>(environment.Warnings);

        Row(screen, "processor", $"{ProcessorName()}, {topology.Packages} package{Plural(topology.Packages)}");
        Row(screen, "cores", $"{topology.Cores} physical, {topology.Cpus} threads"
            + (topology.CpuQuota > 0 ? $", control group grants {topology.CpuQuota:0.##}" : ""));
        Row(screen, "kernels", device.Description.Isa);
        foreach (var node in topology.Nodes)
        {
            Row(screen, $"node {node.Id}", $"{Units.Bytes(node.Memory)}, {node.Cores} core{Plural(node.Cores)} ({node.Cpus}), "
                + $"{node.Caches.Length} last-level cache{Plural(node.Caches.Length)}");
        }

        var available = Available();
        Row(screen, "memory", $"{Units.Bytes(available)} available"
            + (topology.MemoryLimit > 0 ? $", control group limits to {Units.Bytes(topology.MemoryLimit)}" : ""));
        Row(screen, "huge pages", topology.HugePages.Length == 0 ? "unknown" : topology.HugePages);
        Row(screen, "threads", $"{device.Description.Threads} compute (LK_THREADS), on "
            + string.Join("; ", device.Description.Ranks.Select(rank => $"node {rank.Node}: cores {rank.Cpus}")));

        device.AttachThread();
        var rates = device.MeasureBandwidth(_measuring);
        Row(screen, "bandwidth", string.Join(", ", rates.Select((rate, rank) =>
            $"{Units.Rate(rate)} on node {device.Description.Ranks[rank].Node}")));
        Row(screen, "decode bound", $"{Units.Rate(rates.Sum())} ÷ active bytes; Qwen3-30B-A3B in bf16 (6.1 GB a token): "
            + string.Create(CultureInfo.InvariantCulture, $"{rates.Sum() / 6.1e9:F1} tokens/s"));
        GpuReport.Write(screen, advice);

        Advise(advice, topology, device.Description, available);
        screen.WriteLine();
        if (advice.Count == 0)
        {
            screen.WriteLine("Nothing to change.");
        }

        foreach (var line in advice)
        {
            screen.WriteLine($"* {line}");
        }

        return 0;
    }

    private static void Advise(List<string> advice, Topology topology, DeviceDescription device, long available)
    {
        advice.AddRange(topology.Warnings);
        advice.AddRange(device.Warnings.Except(topology.Warnings));
        if (topology.HugePages == "never")
        {
            advice.Add("Transparent huge pages are off. As root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
        }

        if (device.Isa is "reference")
        {
            advice.Add("This processor (or LK_ISA) offers no AVX2: everything runs on the reference kernels, which are slow.");
        }

        if (topology.CpuQuota > 0 && device.Threads > topology.CpuQuota)
        {
            advice.Add($"{device.Threads} threads share {topology.CpuQuota:0.##} CPUs of the control group: spinning workers will be "
                + "throttled. Raise the quota or set LK_THREADS lower.");
        }

        if (available < 4L << 30)
        {
            advice.Add($"Only {Units.Bytes(available)} of memory are available; most models need more.");
        }
    }

    internal static string ProcessorName() =>
        File.Exists("/proc/cpuinfo")
            ? File.ReadLines("/proc/cpuinfo")
                .FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1].Trim() ?? "unknown"
            : "unknown";

    private static long Available() =>
        File.ReadLines("/proc/meminfo").First(line => line.StartsWith("MemAvailable:", StringComparison.Ordinal))
            .Split(' ', StringSplitOptions.RemoveEmptyEntries) is [_, var kibibytes, ..]
            ? long.Parse(kibibytes, CultureInfo.InvariantCulture) * 1024 : 0;

    private static string Plural(int count) => count == 1 ? "" : "s";

    internal static void Row(TextWriter screen, string name, string value) => screen.WriteLine($"{name,-13} {value}");
}
