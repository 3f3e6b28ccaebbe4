using System.Collections.Immutable;
using LsglangSharp.GpuPrefill;
using LsglangSharp.NumaExperts;
using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Api.Cli;

/// <summary>
/// The devices that a model runs on: the GPUs or the CPUs with the attention, and beside GPUs perhaps the CPUs with experts. The only
/// place that knows which adapters there are.
/// </summary>
internal sealed class ServingDevices : IDisposable
{
    private readonly CpuDevice? _cpu;
    private readonly ImmutableArray<CudaDevice> _gpus;
    private HybridExperts? _hostExperts;
    private CudaCollective? _collective;
    private long _mailboxBytes;

    private ServingDevices(CpuDevice? cpu, ImmutableArray<CudaDevice> gpus, string? whyNoGpu)
    {
        _cpu = cpu;
        _gpus = gpus;
        WhyNoGpu = whyNoGpu;
        Ranks = gpus.IsEmpty ? [cpu!] : [.. gpus];
        Machine = Hardware.Of(cpu, gpus);
    }

    /// <summary>"cpu" or "cuda".</summary>
    public string Name => Ranks[0].Name;

    /// <summary>The devices that share every layer.</summary>
    public IReadOnlyList<IDevice> Ranks { get; }

    public Machine Machine { get; }

    /// <summary>Why --device auto means the CPU here; null where it does not, or nobody said auto.</summary>
    public string? WhyNoGpu { get; }

    /// <summary>What this machine denies.</summary>
    public IEnumerable<string> Warnings => _cpu?.Description.Warnings ?? [];

    /// <summary>
    /// Opens what the flags name. Throws <see cref="ConfigurationException"/> with one sentence where that cannot be, and with
    /// --device auto only if GPUs were asked for in particular.
    /// </summary>
    public static ServingDevices Open(DeviceFlags flags, EnvironmentVariables environment)
    {
        var (gpus, why) = flags.Kind == DeviceKind.Cpu ? ([], null) : OpenGpus(flags, environment);
        try
        {
            if (gpus.IsEmpty && flags.Ranks > 1)
            {
                throw new ConfigurationException(
                    $"--tp-size {flags.Ranks} needs {flags.Ranks} GPUs; on the CPU the threads of all NUMA nodes work together without it. "
                    + (why ?? "Leave the flag out."));
            }

            var cpu = gpus.IsEmpty || environment.MoeNumaEnabled ? new CpuDevice(CpuOptions(environment)) : null;
            return new ServingDevices(cpu, gpus, why);
        }
        catch
        {
            Dispose(gpus);
            throw;
        }
    }

    public static CpuDeviceOptions CpuOptions(EnvironmentVariables environment) => new()
    {
        Threads = environment.Threads,
        Binding = environment.BindToNode ? ThreadBinding.NumaNode : ThreadBinding.CpuCore,
        PowerSaving = environment.PowerSaving,
        NumaInterleave = environment.NumaInterleave,
        CoresPerRank = environment.Cores,
        ExactActivations = !environment.RoundPrefill,
    };

    /// <summary>Each device in a line.</summary>
    public IEnumerable<(string Name, string Value)> Describe()
    {
        foreach (var gpu in _gpus)
        {
            yield return ($"GPU {gpu.Options.DeviceIndex}", FormattableString.Invariant(
                $"{gpu.Description.Name}, compute capability {gpu.Description.Major}.{gpu.Description.Minor}, ")
                + $"{gpu.Description.Multiprocessors} multiprocessors, {Units.Bytes(gpu.Description.BytesTotal)}");
        }

        if (_cpu is not null)
        {
            yield return ("processor", $"{_cpu.Description.Isa}, {_cpu.Description.Threads} threads on "
                + string.Join(", ", _cpu.Description.Ranks.Select(rank => $"node {rank.Node} (cores {rank.Cpus})")));
        }

        if (WhyNoGpu is not null)
        {
            yield return ("device", $"cpu. {WhyNoGpu}");
        }
    }

    /// <summary>Binds the calling thread, the one that will run the steps, to where the devices want it.</summary>
    public void AttachThread() => _cpu?.AttachThread();

    /// <summary>What is allocated now, in bytes: on each GPU, in RAM beside the CPUs' workspace, page-locked.</summary>
    public (IReadOnlyList<long> Gpus, long Host, long Pinned) Allocated =>
        ([.. _gpus.Select(gpu => gpu.BytesAllocated)], _cpu?.BytesAllocated ?? 0, _gpus.Sum(gpu => gpu.PinnedBytes) + _mailboxBytes);

    /// <summary>
    /// Who computes the experts of layers that keep them in RAM, asked by the first rank through a mailbox; null if none does.
    /// </summary>
    public HybridExperts? HostExperts(ModelSpec spec, ExpertPlacement placement, StepSizes sizes)
    {
        if (placement.Layers(spec, onDevice: false).IsEmpty)
        {
            return null;
        }

        var options = new MailboxOptions();
        var shape = DeviceCostsOf.Mailbox(spec, placement, sizes);
        _mailboxBytes = shape.Bytes;
        var mailbox = ((IMailboxDevice)Ranks[0]).NewMailbox(shape, options);
        return _hostExperts = new HybridExperts(mailbox, _cpu!.MailboxExperts, options);
    }

    /// <summary>What puts the shares of several GPUs together; null for one device.</summary>
    public ICollective? Collective(StepSizes sizes, int hidden) =>
        _gpus.Length < 2 ? null : _collective = new CudaCollective(_gpus, sizes.TokensMax, hidden);

    /// <summary>All weights are in place: gives back what loading needed and takes what steps will need.</summary>
    public void FinishLoading(ModelSpec spec, ServingBudget budget)
    {
        var sizes = budget.Plan.Sizes;
        for (var rank = 0; rank < _gpus.Length; rank++)
        {
            // Logits come from the first rank.
            _gpus[rank].FinishLoading(
                rank == 0 ? DeviceCostsOf.ReadBytes(spec, sizes) : 0,
                new CudaWorkspace(spec, new Shard(rank, _gpus.Length), budget.Experts, sizes).RouterBytes);
        }
    }

    /// <summary>
    /// Bytes a second that plain reads reach where the weights are read; null where that is not one place or cannot be measured.
    /// </summary>
    public double? ReadBandwidth() =>
        _gpus.IsEmpty && _cpu!.MeasureBandwidth(TimeSpan.FromSeconds(1)).Sum() is > 0 and var rate ? rate : null;

    public void Dispose()
    {
        // The GPUs before the CPUs: what they still run may be waiting for these.
        _hostExperts?.Dispose();
        _collective?.Dispose();
        Dispose(_gpus);
        _cpu?.Dispose();
    }

    private static (ImmutableArray<CudaDevice> Gpus, string? Why) OpenGpus(DeviceFlags flags, EnvironmentVariables environment)
    {
        if (flags.Kind == DeviceKind.Auto && CudaGpus.Complaint is { } complaint)
        {
            return ([], complaint);
        }

        var opened = ImmutableArray.CreateBuilder<CudaDevice>();
        try
        {
            foreach (var index in flags.GpuIds)
            {
                opened.Add(new CudaDevice(new CudaDeviceOptions
                {
                    DeviceIndex = index,
                    ExactActivations = !environment.RoundPrefill,
                }));
            }

            return (opened.ToImmutable(), null);
        }
        catch (ConfigurationException fault) when (flags.Kind == DeviceKind.Auto && flags.OnlyForGpus.IsEmpty && flags.Ranks == 1)
        {
            Dispose(opened);
            return ([], fault.Message);
        }
        catch
        {
            Dispose(opened);
            throw;
        }
    }

    private static void Dispose(IEnumerable<CudaDevice> gpus)
    {
        foreach (var gpu in gpus)
        {
            gpu.Dispose();
        }
    }
}
