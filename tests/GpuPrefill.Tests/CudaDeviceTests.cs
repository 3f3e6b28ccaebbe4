using LsglangSharp.Support;

namespace LsglangSharp.GpuPrefill.Tests;

/// <summary>The device as a whole.</summary>
[Collection(Alone.Name)]
public sealed class CudaDeviceTests
{
    public static TheoryData<string> Orders => ["eager", "lazy", "random:1"];

    [SkippableTheory]
    [MemberData(nameof(Orders))]
    public void A_step_allocates_nothing_and_does_not_wait(string order)
    {
        using var machine = CudaOnCpu.With(("CUDA_ON_CPU_ORDER", order));
        using var device = new CudaDevice(new CudaDeviceOptions());
        var step = new SmallStep(device);
        device.FinishLoading(1 << 16);
        for (var i = 0; i < 40; i++)
        {
            step.Run();
        }

        device.Finish();
        var native = CudaOnCpu.Used(0);
        var least = Enumerable.Range(0, 5).Min(_ => AllocatedBy(step.Run));

        Assert.Equal(0, least);
        Assert.Equal(native, CudaOnCpu.Used(0));
        device.Finish();
        Assert.Empty(CudaOnCpu.LastFault);
    }

    /// <summary>What the runtime itself does once, sooner or later, is not the step's.</summary>
    private static long AllocatedBy(Action step)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        step();
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }
}
