using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Interop;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>Field for field the struct in mailbox.cu. The stride in elements.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MailboxPostArgs
{
    public required nint X;
    public required nint Experts;
    public required nint Weights;
    public required nint SlotX;
    public required nint SlotExperts;
    public required nint SlotWeights;
    public required nint Request;
    public required nint Live;
    public required nint BlocksDone;
    public required long XStride;
    public required int Rows;
    public required int Hidden;
    public required int TopK;
}

/// <summary>Field for field the struct in mailbox.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MailboxCollectArgs
{
    public required nint Y;
    public required nint SlotY;
    public required nint Done;
    public required nint Fault;
    public required nint Live;
    public required nint BlocksDone;
    public required long YStride;
    public required ulong TimeoutNanos;
    public required int Rows;
    public required int Hidden;
    public required int LooksAgain;
}

/// <summary>Launches mailbox.cu.</summary>
internal sealed class Mailbox(KernelSet kernels)
{
    private const int Threads = 256;

    /// <summary>
    /// Elements of a block: four a thread. With more blocks more bytes are on their way at once; beyond the most, the link is full.
    /// </summary>
    private const int ElementsPerBlock = 4 * Threads;

    private const int BlocksMax = 64;

    private readonly CudaKernel<MailboxPostArgs> _post = kernels.Get<MailboxPostArgs>("mailbox_post");
    private readonly CudaKernel<MailboxCollectArgs> _collect = kernels.Get<MailboxCollectArgs>("mailbox_collect");

    public void Post(CudaStream stream, in MailboxPostArgs args) => stream.Launch(_post, Grid(args.Rows, args.Hidden), args);

    public void Collect(CudaStream stream, in MailboxCollectArgs args) =>
        stream.Launch(_collect, Grid(args.Rows, args.Hidden), args);

    public static LaunchGrid Grid(int rows, int hidden)
    {
        var elements = (long)rows * hidden;
        return new((int)Math.Clamp((elements + ElementsPerBlock - 1) / ElementsPerBlock, 1, BlocksMax), Threads);
    }
}
