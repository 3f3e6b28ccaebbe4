using LsglangSharp.Conformance;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Reference;

namespace LsglangSharp.Runtime.Tests.Generation;

public sealed class ReferenceEngineGoldenTests : EngineGoldens
{
    protected override IDevice NewDevice() => new ReferenceDevice();
}
