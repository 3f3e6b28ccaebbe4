using LsglangSharp.Conformance;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.NumaExperts.Tests.Conformance;

/// <summary>One way in which the CPU device can be set up.</summary>
public interface ISetup
{
    static abstract CpuDeviceOptions Options { get; }
}

/// <summary>The step thread alone.</summary>
public sealed class OneThread : ISetup
{
    public static CpuDeviceOptions Options => new() { Threads = 1 };
}

/// <summary>A pool that parks all the time, so that every operation may have to wake it.</summary>
public sealed class SleepyThreads : ISetup
{
    public static CpuDeviceOptions Options =>
        new() { Threads = 2, PowerSaving = true, ParkAfter = TimeSpan.FromMicroseconds(1), ExactActivations = true };
}

/// <summary>More threads than small machines have cores.</summary>
public sealed class FiveThreads : ISetup
{
    public static CpuDeviceOptions Options => new() { Threads = 5, Binding = ThreadBinding.NumaNode };
}

/// <summary>Two slices of every weight, as on two sockets.</summary>
public sealed class TwoRanks : ISetup
{
    public static CpuDeviceOptions Options => Environment.ProcessorCount > 1
        ? new() { CoresPerRank = "0|1", ExactActivations = true }
        : new() { Threads = 2, ExactActivations = true };
}

public abstract class CpuOpsTests<TSetup> : DeviceOpsConformance, IDisposable
    where TSetup : ISetup
{
    protected override IDevice Device { get; } = new CpuDevice(TSetup.Options);

    public void Dispose()
    {
        Device.Dispose();
        GC.SuppressFinalize(this);
    }

    protected override double ActivationRounding(DType weights) => CpuRounding.Of(TSetup.Options, weights);
}

public abstract class CpuAttentionTests<TSetup> : AttentionConformance, IDisposable
    where TSetup : ISetup
{
    protected override IDevice Device { get; } = new CpuDevice(TSetup.Options);

    /// <summary>Workers share a long past out by how much there is to do, so that sums may be cut elsewhere.</summary>
    protected override void SameRow(float together, float alone) => Assert.Equal(together, alone, 1e-6f);

    public void Dispose()
    {
        Device.Dispose();
        GC.SuppressFinalize(this);
    }
}

public abstract class CpuExpertsTests<TSetup> : ExpertsConformance, IDisposable
    where TSetup : ISetup
{
    protected override IDevice Device { get; } = new CpuDevice(TSetup.Options);

    public void Dispose()
    {
        Device.Dispose();
        GC.SuppressFinalize(this);
    }

    protected override double ActivationRounding(DType weights) => CpuRounding.Of(TSetup.Options, weights);
}

internal static class CpuRounding
{
    /// <summary>Half a unit in the last of bf16's eight significant bits, where the device may round at all.</summary>
    public static double Of(CpuDeviceOptions options, DType weights) =>
        options.ExactActivations || weights == DType.F32 ? 0 : Math.Pow(2, -8);
}

public sealed class OneThreadOpsTests : CpuOpsTests<OneThread>;

public sealed class SleepyThreadsOpsTests : CpuOpsTests<SleepyThreads>;

public sealed class FiveThreadsOpsTests : CpuOpsTests<FiveThreads>;

public sealed class TwoRanksOpsTests : CpuOpsTests<TwoRanks>;

public sealed class OneThreadAttentionTests : CpuAttentionTests<OneThread>;

public sealed class FiveThreadsAttentionTests : CpuAttentionTests<FiveThreads>;

public sealed class OneThreadExpertsTests : CpuExpertsTests<OneThread>;

public sealed class SleepyThreadsExpertsTests : CpuExpertsTests<SleepyThreads>;

public sealed class FiveThreadsExpertsTests : CpuExpertsTests<FiveThreads>;

public sealed class TwoRanksExpertsTests : CpuExpertsTests<TwoRanks>;
