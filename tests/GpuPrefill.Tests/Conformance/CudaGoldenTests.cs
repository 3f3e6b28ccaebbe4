using LsglangSharp.Conformance;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Support;
using Xunit.Abstractions;

namespace LsglangSharp.GpuPrefill.Tests.Conformance;

public sealed class CudaGoldenTests(ITestOutputHelper output) : GoldenModels(output)
{
    protected override IDevice NewDevice() => new CudaDevice(new CudaDeviceOptions());
}

public sealed class CudaEngineGoldenTests : SimulatedEngineGoldens
{
    /// <summary>Recorded steps whose tokens come from the step before, which the host has not seen yet.</summary>
    protected override PagedSetting Setting { get; } = new() { Recorded = [1, 4] };

    protected override IDevice NewDevice() => new CudaDevice(new CudaDeviceOptions());
}
