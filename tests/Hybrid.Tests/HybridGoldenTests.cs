using LsglangSharp.Conformance;
using LsglangSharp.GpuPrefill;
using LsglangSharp.GpuPrefill.Tests;
using LsglangSharp.NumaExperts;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Support;
using Xunit.Abstractions;

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

/// <summary>Every other layer's experts on the GPU; decode steps recorded.</summary>
[Collection(Alone.Name)]
public sealed class PartlyResidentGoldenTests(ITestOutputHelper output) : GoldenModels(output)
{
    protected override PagedSetting Setting { get; } = new()
    {
        IsResident = layer => layer % 2 == 0,
        Recorded = HybridMachine.Recorded,
    };

    protected override IDevice NewDevice() => HybridMachine.New();
}

/// <summary>The whole engine over recorded hybrid steps.</summary>
[Collection(Alone.Name)]
public sealed class HybridEngineGoldenTests : EngineGoldens
{
    protected override PagedSetting Setting { get; } = new() { Recorded = HybridMachine.Recorded };

    protected override IDevice NewDevice() => HybridMachine.New();
}
