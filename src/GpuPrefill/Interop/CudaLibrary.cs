using System.Globalization;
using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Interop;

/// <summary>
/// Finds the driver's library and starts it, once a process; turns everything that can be wrong with it into one sentence
/// that says what to do.
/// </summary>
internal static class CudaLibrary
{
    /// <summary>Names the library to load instead of the driver's.</summary>
    public const string Variable = "LSGLANG_CUDA_LIBRARY";

    /// <summary>As cuDriverGetVersion counts: 1000 * major + 10 * minor.</summary>
    public const int VersionRequired = 12_000;

    private const string DriverName = "libcuda.so.1";
    private const string NewestCall = "cuStreamWaitValue32_v2";

    /// <summary>The first driver with CUDA 12.0.</summary>
    private const string OldestDriver = "525.60";

    // The library is loaded once; what the driver says is asked each time, which costs it nothing.
    private static readonly Lazy<string?> _loading = new(Load);

    /// <summary>Why CUDA cannot be used here, or null.</summary>
    public static string? Complaint => Find().Complaint;

    /// <summary>As cuDriverGetVersion counts; 0 where there is no driver.</summary>
    public static int Version => Find().Version;

    /// <summary>Devices that CUDA_VISIBLE_DEVICES leaves visible.</summary>
    public static int DeviceCount => Find().DeviceCount;

    /// <summary>Before anything else of CUDA. Throws <see cref="ConfigurationException"/> where it cannot be used.</summary>
    public static void Ensure()
    {
        if (Complaint is { } complaint)
        {
            throw new ConfigurationException(complaint);
        }
    }

    /// <summary>"12.4".</summary>
    public static string VersionText(int version) =>
        string.Create(CultureInfo.InvariantCulture, $"{version / 1000}.{version % 1000 / 10}");

    private static Finding Find() => _loading.Value is { } complaint ? new(complaint) : Start();

    private static string? Load()
    {
        var named = Environment.GetEnvironmentVariable(Variable);
        var name = string.IsNullOrEmpty(named) ? DriverName : named;
        if (!NativeLibrary.TryLoad(name, out var library))
        {
            return name == DriverName
                ? $"No NVIDIA driver was found ({DriverName} cannot be loaded): install one of version {OldestDriver} or later, "
                    + "or use --device cpu."
                : $"{Variable}={name}: this library cannot be loaded.";
        }

        NativeLibrary.SetDllImportResolver(
            typeof(CudaLibrary).Assembly, (wanted, _, _) => wanted == CudaDriver.Library ? library : 0);
        // The newest call that is made here: where it is, all are.
        return NativeLibrary.TryGetExport(library, NewestCall, out _)
            ? null
            : $"{name} is older than CUDA {VersionText(VersionRequired)}, or no CUDA driver at all: install one of version "
                + $"{OldestDriver} or later, or use --device cpu.";
    }

    private static Finding Start()
    {
        // The version can be asked before the driver is started, and an old one may fail to start.
        var version = CudaDriver.DriverGetVersion(out var found) == CudaStatus.Success ? found : 0;
        if (version is > 0 and < VersionRequired)
        {
            return new(
                $"The NVIDIA driver supports CUDA {VersionText(version)}, and {VersionText(VersionRequired)} or later is required: "
                + $"install a driver of version {OldestDriver} or later, or use --device cpu.",
                version);
        }

        var status = CudaDriver.Init(0);
        var count = 0;
        if (status == CudaStatus.Success)
        {
            status = CudaDriver.DeviceGetCount(out count);
        }

        if (status == CudaStatus.NoDevice || (status == CudaStatus.Success && count == 0))
        {
            return new(NoDevice(), version);
        }

        return status == CudaStatus.Success
            ? new(null, version, count)
            : new($"The NVIDIA driver does not start: {CudaException.Describe(status)}. {Advice(status)}", version);
    }

    private static string NoDevice() =>
        Environment.GetEnvironmentVariable("CUDA_VISIBLE_DEVICES") is { } visible
            ? $"CUDA_VISIBLE_DEVICES=\"{visible}\" leaves no GPU visible: unset it or name one that nvidia-smi lists, or use --device cpu."
            : "The NVIDIA driver finds no GPU: see whether nvidia-smi lists one (in a container: --gpus all), or use --device cpu.";

    private static string Advice(CudaStatus status) => status switch
    {
        CudaStatus.StubLibrary => "Remove the toolkit's stubs folder from LD_LIBRARY_PATH.",
        CudaStatus.SystemDriverMismatch => "The kernel module and the library are of different versions: restart the machine.",
        CudaStatus.SystemNotReady => "Start the service nvidia-fabricmanager.",
        _ => "See whether nvidia-smi works, or use --device cpu.",
    };

    private sealed record Finding(string? Complaint, int Version = 0, int DeviceCount = 0);
}
