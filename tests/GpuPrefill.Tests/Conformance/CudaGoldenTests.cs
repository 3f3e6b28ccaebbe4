using LsglangSharp.Conformance;
using LsglangSharp.Runtime.Ports;
using Xunit.Abstractions;

namespace LsglangSharp.GpuPrefill.Tests.Conformance;

public sealed class CudaGoldenTests(ITestOutputHelper output) : GoldenModels(output)
{
    protected override IDevice NewDevice() => new CudaDevice(new CudaDeviceOptions());
}

public sealed class CudaEngineGoldenTests : EngineGoldens
{
    protected override IDevice NewDevice() => new CudaDevice(new CudaDeviceOptions());
}
