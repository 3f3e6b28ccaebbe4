using LsglangSharp.Conformance;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Reference;

namespace LsglangSharp.Runtime.Tests.Reference;

public sealed class ReferenceOpsTests : DeviceOpsConformance, IDisposable
{
    protected override IDevice Device { get; } = new ReferenceDevice();

    public void Dispose() => Device.Dispose();
}

public sealed class ReferenceAttentionTests : AttentionConformance, IDisposable
{
    protected override IDevice Device { get; } = new ReferenceDevice();

    protected override IReadOnlyList<DType> CacheTypes => [.. Types, DType.F8E4M3];

    public void Dispose() => Device.Dispose();
}

public sealed class ReferenceExpertsTests : ExpertsConformance, IDisposable
{
    protected override IDevice Device { get; } = new ReferenceDevice();

    public void Dispose() => Device.Dispose();
}
