using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.GpuPrefill.Launch;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Tests.Interop;

/// <summary>Everything that can be wrong with the driver is one line that says what to do.</summary>
[Collection(Alone.Name)]
public sealed class DriverTests
{
    [SkippableFact]
    public void An_old_driver_is_refused_with_both_versions()
    {
        using var old = CudaOnCpu.With(("CUDA_ON_CPU_DRIVER", "11080"));

        var message = Complaint(new CudaDeviceOptions());

        Assert.Contains("11.8", message, StringComparison.Ordinal);
        Assert.Contains("12.0", message, StringComparison.Ordinal);
        Assert.Contains("525.60", message, StringComparison.Ordinal);
    }

    [SkippableFact]
    public void No_device_points_to_nvidia_smi()
    {
        using var none = CudaOnCpu.With(("CUDA_ON_CPU_DEVICES", "0"));

        Assert.Contains("nvidia-smi", Complaint(new CudaDeviceOptions()), StringComparison.Ordinal);
    }

    [SkippableTheory]
    [InlineData("")]
    [InlineData("-1")]
    [InlineData("7")]
    public void Hidden_devices_are_the_variables_fault(string visible)
    {
        using var hidden = CudaOnCpu.With(("CUDA_VISIBLE_DEVICES", visible));
        Environment.SetEnvironmentVariable("CUDA_VISIBLE_DEVICES", visible);
        try
        {
            // .NET takes an empty value for none at all: the double was told directly.
            var expected = visible.Length == 0 ? "no GPU" : $"CUDA_VISIBLE_DEVICES=\"{visible}\"";

            Assert.Contains(expected, Complaint(new CudaDeviceOptions()), StringComparison.Ordinal);
        }
        finally
        {
            Environment.SetEnvironmentVariable("CUDA_VISIBLE_DEVICES", null);
        }
    }

    [SkippableTheory]
    [InlineData(-1)]
    [InlineData(2)]
    public void A_device_that_is_not_there_is_named(int index)
    {
        using var two = CudaOnCpu.With(("CUDA_ON_CPU_DEVICES", "2"));

        var message = Complaint(new CudaDeviceOptions { DeviceIndex = index });

        Assert.StartsWith($"There is no GPU {index}: 2 are visible", message, StringComparison.Ordinal);
    }

    [SkippableFact]
    public void An_old_device_is_refused()
    {
        using var old = CudaOnCpu.With(("CUDA_ON_CPU_CC", "7.5"));

        var message = Complaint(new CudaDeviceOptions());

        Assert.Contains("compute capability 7.5", message, StringComparison.Ordinal);
        Assert.Contains("8.0", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(8, 0, 12_000, "sm_80")]
    [InlineData(8, 9, 12_040, "sm_80")]
    [InlineData(9, 0, 12_020, "sm_80")]
    [InlineData(9, 0, 12_030, "sm_90a")]
    [InlineData(10, 0, 12_080, "sm_80")]
    [InlineData(12, 0, 13_000, "sm_80")]
    [InlineData(7, 5, 12_040, null)]
    public void Every_device_gets_the_best_texts_that_it_and_its_driver_take(int major, int minor, int driver, string? family) =>
        Assert.Equal(family, KernelSet.FamilyFor(major, minor, driver));

    [SkippableTheory]
    [InlineData("8.0", "sm_80")]
    [InlineData("9.0", "sm_90a")]
    [InlineData("12.0", "sm_80")]
    public void A_device_loads_all_kernels_of_its_family(string capability, string family)
    {
        using var machine = CudaOnCpu.With(("CUDA_ON_CPU_CC", capability));
        using var device = new CudaDevice(new CudaDeviceOptions());

        Assert.Equal(family, device.Kernels.Family);
        Assert.True(device.Kernels.Has("rms_norm"));
    }

    [Fact]
    public void A_failure_says_what_the_driver_calls_it_and_what_was_being_done()
    {
        using var context = new CudaContext(0);
        context.Bind();

        var failure = Assert.Throws<CudaException>(() => CudaException.ThrowIfFailed(
            CudaDriver.MemoryFree(12345), "freeing what nobody has allocated"));

        Assert.Contains("CUDA_ERROR_INVALID_VALUE", failure.Message, StringComparison.Ordinal);
        Assert.EndsWith("while freeing what nobody has allocated", failure.Message, StringComparison.Ordinal);
        Assert.Equal(CudaStatus.InvalidValue, failure.Status);
        Assert.False(failure.IsSticky);
    }

    [SkippableTheory]
    [InlineData("1", new[] { 1 }, new[] { 0 })]
    [InlineData("0", new int[0], new int[0])]
    public void All_GPUs_are_described(string peers, int[] first, int[] second)
    {
        using var machine = CudaOnCpu.With(
            ("CUDA_ON_CPU_DEVICES", "2"), ("CUDA_ON_CPU_CC", "8.9"), ("CUDA_ON_CPU_MEMORY_MB", "512"), ("CUDA_ON_CPU_PEERS", peers));

        var gpus = CudaGpus.Describe();

        Assert.Null(CudaGpus.Complaint);
        Assert.Equal([0, 1], gpus.Select(gpu => gpu.Index));
        Assert.Equal([first, second], gpus.Select(gpu => gpu.Peers));
        Assert.NotEqual(gpus[0].PciAddress, gpus[1].PciAddress);
        Assert.All(gpus, gpu =>
        {
            Assert.Equal((8, 9), (gpu.Major, gpu.Minor));
            Assert.Equal(512L << 20, gpu.BytesTotal);
            Assert.InRange(gpu.BytesFree, 256L << 20, gpu.BytesTotal);
            Assert.True(gpu.IsSupported);
            Assert.NotEmpty(gpu.Name);
        });
    }

    private static string Complaint(CudaDeviceOptions options)
    {
        var failure = Assert.Throws<ConfigurationException>(() => new CudaDevice(options));
        Assert.DoesNotContain('\n', failure.Message);
        return failure.Message;
    }
}
