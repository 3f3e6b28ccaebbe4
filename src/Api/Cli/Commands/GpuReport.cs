using LsglangSharp.GpuPrefill;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli.Commands;

/// <summary>The part of lsglang doctor about GPUs: which there are, how they reach each other, what is missing.</summary>
internal static class GpuReport
{
    private const string VersionFile = "/proc/driver/nvidia/version";

    public static void Write(TextWriter screen, List<string> advice)
    {
        if (CudaGpus.DriverVersion is { } version)
        {
            DoctorCommand.Row(screen, "GPU driver", $"CUDA {version}{KernelModule()}");
        }

        if (CudaGpus.Count == 0)
        {
            DoctorCommand.Row(screen, "GPUs", $"none. {CudaGpus.Complaint}");
            return;
        }

        var gpus = CudaGpus.Describe();
        foreach (var gpu in gpus)
        {
            DoctorCommand.Row(screen, $"GPU {gpu.Index}", FormattableString.Invariant(
                $"{gpu.Name}, compute capability {gpu.Major}.{gpu.Minor}, {gpu.Multiprocessors} multiprocessors, ")
                + $"{Units.Bytes(gpu.BytesFree)} of {Units.Bytes(gpu.BytesTotal)} free, PCI {gpu.PciAddress}");
            if (!gpu.IsSupported)
            {
                advice.Add($"GPU {gpu.Index} is too old: compute capability 8.0 (Ampere) or later is required.");
            }
        }

        if (gpus.Count > 1)
        {
            Peers(screen, gpus, advice);
        }

        if (CudaGpus.Complaint is { } complaint)
        {
            advice.Add(complaint);
        }
    }

    private static void Peers(TextWriter screen, IReadOnlyList<GpuDescription> gpus, List<string> advice)
    {
        DoctorCommand.Row(screen, "peer access", string.Join("; ", gpus.Select(gpu =>
            gpu.Peers.Count == 0 ? $"GPU {gpu.Index} reaches none" : $"GPU {gpu.Index} reaches {string.Join(", ", gpu.Peers)}")));
        if (gpus.Any(gpu => gpu.Peers.Count < gpus.Count - 1))
        {
            advice.Add("Not all GPUs reach each other directly: with --tp-size what they exchange goes through host memory, which is "
                + "slower. See whether the BIOS and the IOMMU allow peer-to-peer access.");
        }
    }

    /// <summary>What the kernel module calls itself: "; NVRM version: …".</summary>
    private static string KernelModule() =>
        File.Exists(VersionFile) && File.ReadLines(VersionFile).FirstOrDefault() is { Length: > 0 } line ? $"; {line}" : "";
}
