using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Reference;

/// <summary>Plain C# on one thread: slow, anywhere, and the definition of what every other device computes.</summary>
public sealed class ReferenceDevice : IDevice
{
    private readonly ReferenceExperts _experts = new();

    public string Name => "reference";

    public DType ActivationType => DType.F32;

    public IDeviceMemory Memory { get; } = new ReferenceMemory();

    public IDeviceOps Ops { get; } = new ReferenceOps();

    public IExperts Experts => _experts;

    public void Dispose() => _experts.Dispose();
}
