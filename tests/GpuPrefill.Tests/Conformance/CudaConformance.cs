using LsglangSharp.Conformance;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Support;

namespace LsglangSharp.GpuPrefill.Tests.Conformance;

public sealed class CudaOpsTests : DeviceOpsConformance, IDisposable
{
    protected override IDevice Device { get; } = new CudaDevice(new CudaDeviceOptions());

    public void Dispose() => Device.Dispose();

    protected override double ActivationRounding(DType weights) => CudaRounding.Of(weights);
}

public sealed class CudaAttentionTests : AttentionConformance, IDisposable
{
    protected override IDevice Device { get; } = new CudaDevice(new CudaDeviceOptions());

    protected override IReadOnlyList<DType> CacheTypes => [.. Types, DType.F8E4M3];

    public void Dispose() => Device.Dispose();

    protected override double ActivationRounding(DType weights) => CudaRounding.Of(weights);
}

public sealed class CudaChooserTests : ChooserConformance, IDisposable
{
    protected override IDevice Device { get; } = new CudaDevice(new CudaDeviceOptions());

    public void Dispose() => Device.Dispose();
}

public sealed class CudaExpertsTests : ExpertsConformance, IDisposable
{
    protected override IDevice Device { get; } = new CudaDevice(new CudaDeviceOptions());

    public void Dispose() => Device.Dispose();

    protected override double ActivationRounding(DType weights) => CudaRounding.Of(weights);
}

internal static class CudaRounding
{
    /// <summary>On tensor cores an activation is the sum of two numbers of the weights' type.</summary>
    public static double Of(DType weights) => weights == DType.F32 ? 0 : Tolerance.TwoTerms(weights);
}
