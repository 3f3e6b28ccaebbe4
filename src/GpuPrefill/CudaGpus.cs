using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.GpuPrefill.Launch;

namespace LsglangSharp.GpuPrefill;

/// <summary>What the driver shows of this machine, without opening any GPU for work.</summary>
public static class CudaGpus
{
    /// <summary>Why no GPU can be used here, in one sentence; null if one can.</summary>
    public static string? Complaint => CudaLibrary.Complaint
        ?? (KernelSet.IsBuilt ? null : KernelSet.NotBuilt);

    /// <summary>GPUs that CUDA_VISIBLE_DEVICES leaves visible.</summary>
    public static int Count => CudaLibrary.DeviceCount;

    /// <summary>The newest CUDA that the driver supports, such as "12.4"; null without a driver.</summary>
    public static string? DriverVersion =>
        CudaLibrary.Version is > 0 and var version ? CudaLibrary.VersionText(version) : null;

    /// <summary>All visible GPUs. Opens each for a moment.</summary>
    public static IReadOnlyList<GpuDescription> Describe()
    {
        var contexts = new List<CudaContext>();
        try
        {
            for (var index = 0; index < Count; index++)
            {
                contexts.Add(new CudaContext(index));
            }

            return [.. contexts.Select(context => GpuDescription.Of(context) with
            {
                Peers = [.. contexts.Where(peer => peer != context && context.CanReach(peer)).Select(peer => peer.Index)],
            })];
        }
        finally
        {
            contexts.ForEach(context => context.Dispose());
        }
    }
}

/// <summary>
/// A GPU as its driver describes it. <paramref name="BytesFree"/>: with a context of this process on it already.
/// </summary>
public sealed record GpuDescription(
    int Index, string Name, int Major, int Minor, int Multiprocessors, long BytesTotal, long BytesFree, string PciAddress)
{
    /// <summary>GPUs whose memory it reaches directly.</summary>
    public IReadOnlyList<int> Peers { get; init; } = [];

    /// <summary>Whether its kernels can be compiled for it.</summary>
    public bool IsSupported => KernelSet.FamilyFor(Major, Minor, CudaLibrary.Version) is not null;

    internal static unsafe GpuDescription Of(CudaContext context)
    {
        const int TextBytes = 256;
        var text = stackalloc byte[TextBytes];
        CudaException.ThrowIfFailed(CudaDriver.DeviceGet(out var device, context.Index), "looking for a GPU");
        CudaException.ThrowIfFailed(CudaDriver.DeviceGetName(text, TextBytes, device), "asking for a GPU's name");
        var name = Marshal.PtrToStringUTF8((nint)text)!;
        CudaException.ThrowIfFailed(CudaDriver.DeviceGetPciBusId(text, TextBytes, device), "asking for a GPU's address");
        var (free, total) = context.Memory;
        return new GpuDescription(
            context.Index,
            name,
            context.Attribute(DeviceAttribute.ComputeCapabilityMajor),
            context.Attribute(DeviceAttribute.ComputeCapabilityMinor),
            context.Attribute(DeviceAttribute.MultiprocessorCount),
            total,
            free,
            Marshal.PtrToStringUTF8((nint)text)!);
    }
}
