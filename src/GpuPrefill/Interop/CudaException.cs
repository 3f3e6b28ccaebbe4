using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Interop;

/// <summary>A call of the CUDA driver failed: what the driver calls it, and what was being done.</summary>
public sealed class CudaException : DeviceFaultException
{
    internal CudaException(CudaStatus status, string doing)
        : base(Describe(status, doing)) => Status = status;

    public CudaStatus Status { get; }

    public override bool IsFatal => IsSticky;

    /// <summary>
    /// Nothing works on this device any more until the process ends: an earlier kernel has failed, or the device is
    /// lost. Everything else leaves a usable device.
    /// </summary>
    public bool IsSticky => Status is CudaStatus.Deinitialized or CudaStatus.DeviceUnavailable
        or CudaStatus.EccUncorrectable or CudaStatus.NvlinkUncorrectable
        or CudaStatus.IllegalAddress or CudaStatus.LaunchTimeout or CudaStatus.ContextIsDestroyed or CudaStatus.Assert
        or CudaStatus.HardwareStackError or CudaStatus.IllegalInstruction or CudaStatus.MisalignedAddress
        or CudaStatus.InvalidAddressSpace or CudaStatus.InvalidPc or CudaStatus.LaunchFailed or CudaStatus.Unknown;

    internal static void ThrowIfFailed(CudaStatus status, string doing)
    {
        if (status != CudaStatus.Success)
        {
            Throw(status, doing);
        }
    }

    /// <summary>In two parts, so that calls that succeed join no text.</summary>
    internal static void ThrowIfFailed(CudaStatus status, string doing, string what)
    {
        if (status != CudaStatus.Success)
        {
            Throw(status, $"{doing} {what}");
        }
    }

    /// <summary>"out of memory (CUDA_ERROR_OUT_OF_MEMORY)".</summary>
    internal static unsafe string Describe(CudaStatus status)
    {
        var name = CudaDriver.GetErrorName(status, out var nameText) == CudaStatus.Success
            ? Marshal.PtrToStringUTF8((nint)nameText) : null;
        var text = CudaDriver.GetErrorString(status, out var reasonText) == CudaStatus.Success
            ? Marshal.PtrToStringUTF8((nint)reasonText) : null;
        return $"{text ?? "unknown error"} ({name ?? $"CUresult {(int)status}"})";
    }

    [DoesNotReturn]
    private static void Throw(CudaStatus status, string doing) => throw new CudaException(status, doing);

    private static string Describe(CudaStatus status, string doing) => $"CUDA: {Describe(status)}, while {doing}";
}
