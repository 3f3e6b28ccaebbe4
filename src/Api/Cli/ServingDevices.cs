using LsglangSharp.NumaExperts;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli;

/// <summary>
/// The devices that a model runs on: the GPUs or the CPUs with the attention, and beside GPUs the CPUs with the experts. The only
/// place that knows which adapters there are.
/// </summary>
internal sealed class ServingDevices : IDisposable
{
    private readonly CpuDevice _cpu;

    private ServingDevices(CpuDevice cpu)
    {
        _cpu = cpu;
        Ranks = [cpu];
        Machine = Hardware.Of(cpu, []);
    }

    /// <summary>"cpu" or "cuda".</summary>
    public string Name => Ranks[0].Name;

    /// <summary>The devices that share every layer.</summary>
    public IReadOnlyList<IDevice> Ranks { get; }

    public Machine Machine { get; }

    /// <summary>What this machine denies.</summary>
    public IEnumerable<string> Warnings => _cpu.Description.Warnings;

    public static ServingDevices Open(DeviceFlags flags, EnvironmentVariables environment)
    {
        if (flags.Kind == DeviceKind.Cuda)
        {
            throw new ConfigurationException("--device cuda: this version runs whole models on the CPU only.");
        }

        if (flags.Ranks > 1)
        {
            throw new ConfigurationException(
                $"--tp-size {flags.Ranks} needs {flags.Ranks} GPUs; on the CPU the threads of all NUMA nodes work together without it. "
                + "Leave the flag out.");
        }

        return new ServingDevices(new CpuDevice(CpuOptions(environment)));
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
        yield return ("processor", $"{_cpu.Description.Isa}, {_cpu.Description.Threads} threads on "
            + string.Join(", ", _cpu.Description.Ranks.Select(rank => $"node {rank.Node} (cores {rank.Cpus})")));
    }

    /// <summary>Binds the calling thread, the one that will run the steps, to where the devices want it.</summary>
    public void AttachThread() => _cpu.AttachThread();

    /// <summary>Bytes a second that plain reads reach where the weights are read; null where it cannot be measured.</summary>
    public double? ReadBandwidth() => _cpu.MeasureBandwidth(TimeSpan.FromSeconds(1)).Sum() is > 0 and var rate ? rate : null;

    public void Dispose() => _cpu.Dispose();
}
