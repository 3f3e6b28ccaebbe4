using LsglangSharp.Conformance;
using LsglangSharp.Runtime.Ports;

namespace LsglangSharp.NumaExperts.Tests.Conformance;

public sealed class CpuEngineGoldenTests : EngineGoldens
{
    protected override IDevice NewDevice() => new CpuDevice(new CpuDeviceOptions { Threads = 2, ExactActivations = true });
}
