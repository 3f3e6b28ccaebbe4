using LsglangSharp.Conformance;
using LsglangSharp.Runtime.Ports;
using Xunit.Abstractions;

namespace LsglangSharp.NumaExperts.Tests.Execution;

public sealed class CpuGoldenTests(ITestOutputHelper output) : GoldenModels(output)
{
    protected override IDevice NewDevice() => new CpuDevice(new CpuDeviceOptions { Threads = 2 });
}

/// <summary>As a machine with two sockets computes: each rank holds a slice of every weight.</summary>
public sealed class SlicedGoldenTests(ITestOutputHelper output) : GoldenModels(output)
{
    protected override IDevice NewDevice() =>
        new CpuDevice(new CpuDeviceOptions { CoresPerRank = Environment.ProcessorCount > 1 ? "0|1" : "0" });
}
