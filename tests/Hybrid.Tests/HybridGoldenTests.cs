using LsglangSharp.Conformance;
using LsglangSharp.GpuPrefill;
using LsglangSharp.GpuPrefill.Tests;
using LsglangSharp.NumaExperts;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Support;

namespace LsglangSharp.Hybrid.Tests;

/// <summary>A GPU with experts on the CPUs beside it.</summary>
internal static class HybridMachine
{
    public static readonly IReadOnlyList<int> Recorded = [1, 2, 4, 8, 24];

    public static HybridDevice New()
    {
        var cpu = new CpuDevice(new CpuDeviceOptions { Threads = 2, ExactActivations = true });
        return new HybridDevice(new CudaDevice(new CudaDeviceOptions()), cpu.MailboxExperts, cpu);
    }
}

/// <summary>The whole engine over recorded hybrid steps.</summary>
[Collection(Alone.Name)]
public sealed class HybridEngineGoldenTests : SimulatedEngineGoldens
{
    protected override PagedSetting Setting { get; } = new() { Recorded = HybridMachine.Recorded };

    protected override IDevice NewDevice() => HybridMachine.New();
}
