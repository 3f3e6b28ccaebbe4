using System.Collections.Immutable;
using System.Globalization;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli;

/// <summary>What --device may say.</summary>
internal enum DeviceKind
{
    /// <summary>CUDA where a driver and a GPU can be used, else the CPU.</summary>
    Auto,

    Cpu,

    Cuda,
}

/// <summary>Where --device and its companions say that a model shall run.</summary>
internal sealed record DeviceFlags
{
    private static readonly string[] _forGpus =
    [
        "--base-gpu-id", "--gpu-id-step", "--cuda-graph-max-bs", "--cuda-graph-max-bs-decode", "--cuda-graph-bs", "--cuda-graph-bs-decode",
    ];

    public DeviceKind Kind { get; init; } = DeviceKind.Auto;

    /// <summary>The first GPU, among those that CUDA_VISIBLE_DEVICES leaves visible.</summary>
    public int BaseGpuId { get; init; }

    public int GpuIdStep { get; init; } = 1;

    /// <summary>GPUs that share every layer.</summary>
    public int Ranks { get; init; } = 1;

    /// <summary>Steps of up to so many rows are recorded and replayed; null derives it from the GPU's memory.</summary>
    public int? GraphRowsMax { get; init; }

    /// <summary>The numbers of rows to record steps for, ascending; empty derives them.</summary>
    public ImmutableArray<int> GraphRows { get; init; } = [];

    public bool Graphs { get; init; } = true;

    /// <summary>The GPUs by rank.</summary>
    public ImmutableArray<int> GpuIds => [.. Enumerable.Range(0, Ranks).Select(rank => BaseGpuId + (rank * GpuIdStep))];

    /// <summary>Flags that were given and mean nothing on the CPU.</summary>
    public ImmutableArray<string> OnlyForGpus { get; init; } = [];

    public static DeviceFlags Read(FlagReader flags)
    {
        var (kind, index) = KindOf(flags.Text("--device"));
        var first = flags.Count("--base-gpu-id", 0);
        if (index is not null && first is not null && index != first)
        {
            throw new ConfigurationException($"--device {flags.Text("--device")} and --base-gpu-id {first} name different GPUs.");
        }

        return new DeviceFlags
        {
            Kind = kind,
            BaseGpuId = index ?? first ?? 0,
            GpuIdStep = flags.Count("--gpu-id-step", 1) ?? 1,
            Ranks = flags.Count("--tp-size", 1, 64) ?? 1,
            GraphRowsMax = flags.Count("--cuda-graph-max-bs-decode", 1) ?? flags.Count("--cuda-graph-max-bs", 1),
            GraphRows = RowCounts(flags, flags.Has("--cuda-graph-bs-decode") ? "--cuda-graph-bs-decode" : "--cuda-graph-bs"),
            Graphs = !flags.IsSet("--disable-cuda-graph") && !flags.IsSet("--disable-decode-cuda-graph"),
            OnlyForGpus = [.. _forGpus.Where(flags.Has)],
        };
    }

    /// <summary>
    /// The numbers of rows for which a decode step is recorded, ascending: what the flags say, or else 1, 2, 4 and multiples of 8 up to
    /// what GPUs of this size can make use of.
    /// </summary>
    public ImmutableArray<int> GraphBuckets(long gpuBytes, int rowsMax)
    {
        if (!Graphs)
        {
            return [];
        }

        var most = Math.Min(GraphRowsMax ?? ByMemory(gpuBytes), rowsMax);
        if (!GraphRows.IsEmpty)
        {
            return [.. GraphRows.Where(rows => rows <= rowsMax && rows <= (GraphRowsMax ?? int.MaxValue))];
        }

        int[] usual = [1, 2, 4, .. Enumerable.Range(1, (most + 7) / 8).Select(i => 8 * i)];
        return [.. usual.Select(rows => Math.Min(rows, most)).Distinct()];
    }

    // As sglang chooses for one GPU.
    private static int ByMemory(long gpuBytes) => (gpuBytes >> 30) switch
    {
        < 20 => 8,
        < 35 => 24,
        < 60 => 32,
        < 160 => 256,
        _ => 512,
    };

    private static (DeviceKind Kind, int? Index) KindOf(string? device)
    {
        switch (device)
        {
            case null or "auto":
                return (DeviceKind.Auto, null);
            case "cpu":
                return (DeviceKind.Cpu, null);
            case "cuda" or "gpu":
                return (DeviceKind.Cuda, null);
            default:
                return device.StartsWith("cuda:", StringComparison.Ordinal)
                    && int.TryParse(device[5..], NumberStyles.None, CultureInfo.InvariantCulture, out var index)
                    ? (DeviceKind.Cuda, index)
                    : throw new ConfigurationException($"--device must be auto, cpu, cuda or cuda:N, got \"{device}\".");
        }
    }

    private static ImmutableArray<int> RowCounts(FlagReader flags, string name) =>
    [
        .. flags.List(name).Select(text => FlagTable.HumanNumber(text) is >= 1 and <= 65536 and { } rows
            ? (int)rows
            : throw new ConfigurationException($"{name} must be whole numbers of at least 1, got \"{text}\".")).Distinct().Order(),
    ];
}
