using LsglangSharp.Runtime.Primitives;
using Microsoft.Win32.SafeHandles;

namespace LsglangSharp.NumaExperts.Interop;

/// <summary>Owns one lk_device.</summary>
internal sealed class DeviceHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    /// <summary>Refused options are the operator's errors: they become one sentence.</summary>
    public static DeviceHandle Create(in LkDeviceConfig config)
    {
        NativeLibraryCheck.Ensure();
        var status = LkMoe.DeviceCreate(config, out var device);
        try
        {
            LkException.ThrowIfFailed(status);
            return device;
        }
        catch (LkException failure)
        {
            device.Dispose();
            throw failure.Status == LkStatus.Internal ? failure : new ConfigurationException(failure.Message, failure);
        }
    }

    protected override bool ReleaseHandle()
    {
        LkMoe.DeviceDestroy(handle);
        return true;
    }
}

/// <summary>Owns one lk_buffer.</summary>
internal sealed class BufferHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    public nint Address { get; private set; }

    public static BufferHandle Create(DeviceHandle device, long bytes)
    {
        NotEnoughMemory.ThrowIfFailed(LkMoe.BufferCreate(device, (ulong)bytes, out var buffer, out var address));
        buffer.Address = address;
        return buffer;
    }

    protected override bool ReleaseHandle()
    {
        LkMoe.BufferDestroy(handle);
        return true;
    }
}

/// <summary>Owns one lk_matrix.</summary>
internal sealed class MatrixHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    public static MatrixHandle Create(DeviceHandle device, DType type, int rows, int columns)
    {
        NotEnoughMemory.ThrowIfFailed(LkMoe.MatrixCreate(device, type.ToLk(), rows, columns, out var matrix));
        return matrix;
    }

    public LkSlice[] Slices()
    {
        LkException.ThrowIfFailed(LkMoe.MatrixSliceCount(this, out var count));
        var slices = new LkSlice[count];
        for (var index = 0; index < count; index++)
        {
            LkException.ThrowIfFailed(LkMoe.MatrixSlice(this, index, out slices[index]));
        }

        return slices;
    }

    protected override bool ReleaseHandle()
    {
        LkMoe.MatrixDestroy(handle);
        return true;
    }
}

/// <summary>Owns one lk_experts.</summary>
internal sealed class ExpertsHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    public static ExpertsHandle Create(DeviceHandle device, in LkExpertsConfig config)
    {
        NotEnoughMemory.ThrowIfFailed(LkMoe.ExpertsCreate(device, config, out var experts));
        return experts;
    }

    public LkSlice[] Slices(int expert, LkPart part)
    {
        LkException.ThrowIfFailed(LkMoe.ExpertsSliceCount(this, part, out var count));
        var slices = new LkSlice[count];
        for (var index = 0; index < count; index++)
        {
            LkException.ThrowIfFailed(LkMoe.ExpertsSlice(this, expert, part, index, out slices[index]));
        }

        return slices;
    }

    protected override bool ReleaseHandle()
    {
        LkMoe.ExpertsDestroy(handle);
        return true;
    }
}

/// <summary>Memory that is not there is the operator's error.</summary>
internal static class NotEnoughMemory
{
    public static void ThrowIfFailed(LkStatus status)
    {
        try
        {
            LkException.ThrowIfFailed(status);
        }
        catch (LkException failure) when (failure.Status == LkStatus.OutOfMemory)
        {
            throw new ConfigurationException($"not enough memory: {failure.Message}", failure);
        }
    }
}
