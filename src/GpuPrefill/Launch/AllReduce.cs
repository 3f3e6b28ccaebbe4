using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Interop;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>Field for field AllReduceArgs of all_reduce.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AllReduceArgs
{
    public required nint Part;
    public required nint Sum;
    public required nint Stagings;
    public required nint Flags;
    public required nint State;
    public required nint Fault;
    public required ulong Count;
    public required ulong Capacity;
    public required ulong TimeoutNanos;
    public required uint Rank;
    public required uint Ranks;
}

/// <summary>This device's part of a sum over all ranks.</summary>
internal sealed class AllReduce(KernelSet kernels)
{
    /// <summary>Words between the flags of two writers, so that each has a line of 128 bytes.</summary>
    public const int FlagWords = 32;

    private const int Threads = 256;

    /// <summary>Enough to keep a link busy, few enough to be resident at once beside waiting for others.</summary>
    private const int BlocksMax = 64;

    private readonly CudaKernel<AllReduceArgs> _publish = kernels.Get<AllReduceArgs>("all_reduce_publish");
    private readonly CudaKernel<AllReduceArgs> _sum = kernels.Get<AllReduceArgs>("all_reduce_sum");

    /// <summary>The parts of all ranks must be published before any stream is waited for.</summary>
    public void Publish(CudaStream stream, in AllReduceArgs args) => stream.Launch(_publish, Grid(args.Count), args);

    public void Sum(CudaStream stream, in AllReduceArgs args) => stream.Launch(_sum, Grid(args.Count), args);

    /// <summary>At least one block, which tells the others even when there is nothing to add.</summary>
    public static LaunchGrid Grid(ulong count) =>
        new((int)Math.Clamp((count + Threads - 1) / Threads, 1, BlocksMax), 1, 1, Threads);
}
