using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace LsglangSharp.NumaExperts.Interop;

/// <summary>A call of lk_moe failed; the message is the library's own.</summary>
internal sealed class LkException(LkStatus status, string message) : Exception(message)
{
    public LkStatus Status { get; } = status;

    public static void ThrowIfFailed(LkStatus status)
    {
        if (status != LkStatus.Ok)
        {
            Throw(status);
        }
    }

    // On the failing thread, before any other call: the native message is per thread.
    [DoesNotReturn]
    private static unsafe void Throw(LkStatus status) =>
        throw new LkException(status, Marshal.PtrToStringUTF8((nint)LkMoe.LastError())!);
}
