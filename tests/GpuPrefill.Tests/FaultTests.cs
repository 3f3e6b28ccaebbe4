using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.GpuPrefill.Launch;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Tests;

/// <summary>What a device that fails leaves behind: an exception that says which kind, and nothing that hangs.</summary>
[Collection(Alone.Name)]
public sealed class FaultTests
{
    [SkippableFact]
    public void Memory_that_runs_out_leaves_a_usable_device()
    {
        using var machine = CudaOnCpu.With();
        using var device = new CudaDevice(new CudaDeviceOptions());
        var before = device.BytesAllocated;
        CudaOnCpu.FailAllocation(1);

        var failure = Assert.Throws<ConfigurationException>(() => device.Memory.Allocate(DType.F32, 1000, 1000));

        Assert.Contains("not enough memory on GPU 0", failure.Message, StringComparison.Ordinal);
        Assert.Equal(before, device.BytesAllocated);
        Assert.Equal(1, Normed(device), 1e-5);
    }

    [SkippableFact]
    public void Free_memory_is_what_the_driver_says()
    {
        using var machine = CudaOnCpu.With(("CUDA_ON_CPU_MEMORY_MB", "64"));
        using var device = new CudaDevice(new CudaDeviceOptions());
        var before = device.Memory.BytesFree;
        Assert.InRange(before, 32L << 20, 64L << 20);

        device.Memory.AllocateMatrix(DType.F32, 1 << 20, 4);

        Assert.InRange(before - device.Memory.BytesFree, 16L << 20, 18L << 20);
    }

    [SkippableFact]
    public void A_refused_launch_names_the_kernel_and_is_no_end()
    {
        using var machine = CudaOnCpu.With();
        using var device = new CudaDevice(new CudaDeviceOptions());
        CudaOnCpu.FailLaunch(1, LaunchFailure.Refused);

        var failure = Assert.Throws<CudaException>(() => Normed(device));

        Assert.Contains("while launching the kernel rms_norm", failure.Message, StringComparison.Ordinal);
        Assert.False(failure.IsSticky);
        Assert.Equal(1, Normed(device), 1e-5);
    }

    [SkippableTheory]
    [InlineData(LaunchFailure.Faulted, CudaStatus.LaunchFailed)]
    [InlineData(LaunchFailure.IllegalAddress, CudaStatus.IllegalAddress)]
    internal void A_kernel_that_faults_is_the_end_of_the_device(LaunchFailure kind, CudaStatus status)
    {
        using var machine = CudaOnCpu.With();
        using var device = new CudaDevice(new CudaDeviceOptions());
        CudaOnCpu.FailLaunch(1, kind);

        var failure = Assert.Throws<CudaException>(() => Normed(device));
        var later = Assert.Throws<CudaException>(() => Normed(device));

        Assert.Equal(status, failure.Status);
        Assert.True(failure.IsSticky);
        Assert.True(later.IsSticky);
    }

    /// <summary>The processor's signal is the kernel's end there, and a null reference still an exception here.</summary>
    [SkippableFact]
    public void A_kernel_at_an_illegal_address_is_the_end_of_the_device_and_not_of_the_process()
    {
        using var machine = CudaOnCpu.With();
        using var device = new CudaDevice(new CudaDeviceOptions());
        var args = new RmsNormArgs
        {
            X = 4096, Weight = 4096, Y = 4096, XStride = 64, YStride = 64, Width = 64, Groups = 1, Epsilon = 1e-6f, Rows = 1,
        };
        string? nothing = null;

        device.Stream.Launch(device.Kernels.Get<RmsNormArgs>("rms_norm"), new LaunchGrid(1, 256), args);
        var failure = Assert.Throws<CudaException>(device.Stream.Synchronize);

        Assert.Equal(CudaStatus.IllegalAddress, failure.Status);
        Assert.Throws<NullReferenceException>(() => nothing!.Length);
    }

    [SkippableFact]
    public void A_lost_device_is_told_and_can_be_closed()
    {
        using var machine = CudaOnCpu.With();
        var device = new CudaDevice(new CudaDeviceOptions());
        Normed(device);
        CudaOnCpu.LoseDevice(0);

        var failure = Assert.Throws<CudaException>(() => Normed(device));
        device.Dispose();
        device.Dispose();

        Assert.True(failure.IsSticky);
    }

    [SkippableFact]
    public async Task A_device_that_hangs_is_given_up_and_can_be_closed()
    {
        using var machine = CudaOnCpu.With();
        var device = new CudaDevice(new CudaDeviceOptions { PatienceMax = TimeSpan.FromMilliseconds(300) });
        Normed(device);
        CudaOnCpu.Wedge(device.Stream.Handle);

        // Each on a thread of its own, so that a test that would hang fails instead.
        var reading = Task.Run(() => Assert.Throws<DeviceLostException>(() => Normed(device)));
        var failure = await reading.WaitAsync(TimeSpan.FromSeconds(30));
        await Task.Run(device.Dispose).WaitAsync(TimeSpan.FromSeconds(30));

        Assert.Contains("GPU 0 has not finished", failure.Message, StringComparison.Ordinal);
        Assert.True(failure.IsFatal);
    }

    [SkippableFact]
    public void A_loader_gets_the_failure_of_its_own_copies()
    {
        using var machine = CudaOnCpu.With();
        using var device = new CudaDevice(new CudaDeviceOptions());
        var matrix = device.Memory.AllocateMatrix(DType.F32, 1024, 1024);
        CudaOnCpu.LoseDevice(0);

        var failure = Assert.Throws<CudaException>(() => matrix.Fill(0, 1024, (_, _, target) => target.Clear()));

        Assert.True(failure.IsSticky);
    }

    [SkippableFact]
    public void Everything_is_given_back_when_a_device_is_closed()
    {
        using var machine = CudaOnCpu.With();
        using var holder = new CudaContext(0);
        var before = CudaOnCpu.Used(0);
        for (var i = 0; i < 3; i++)
        {
            using var device = new CudaDevice(new CudaDeviceOptions());
            device.Memory.Allocate(DType.F32, 1000, 1000);
            device.Memory.AllocateMatrix(DType.F32, 100, 100).Fill(0, 100, (_, _, target) => target.Clear());
            Normed(device);
        }

        Assert.Equal(before, CudaOnCpu.Used(0));
        Assert.Empty(CudaOnCpu.LastFault);
    }

    private static float Normed(CudaDevice device)
    {
        var x = device.Memory.Allocate(DType.F32, 1, 64);
        var weight = device.Memory.Allocate(DType.F32, 1, 64);
        device.Memory.Upload<float>([.. Enumerable.Repeat(3f, 64)], x);
        device.Memory.Upload<float>([.. Enumerable.Repeat(1f, 64)], weight);
        device.Ops.RmsNorm(x, weight, 0, x);
        return device.Memory.Read<float>(x)[63];
    }
}
