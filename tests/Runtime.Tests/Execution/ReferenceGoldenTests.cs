using LsglangSharp.Conformance;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Reference;
using Xunit.Abstractions;

namespace LsglangSharp.Runtime.Tests.Execution;

public sealed class ReferenceGoldenTests(ITestOutputHelper output) : GoldenModels(output)
{
    protected override IDevice NewDevice() => new ReferenceDevice();
}
