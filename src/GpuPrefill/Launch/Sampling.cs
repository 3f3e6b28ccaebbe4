using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Interop;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>Field for field the struct in sample_scan.cu. Strides in elements.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SampleScanArgs
{
    public required nint Rows;
    public required nint Edits;
    public required nint Logits;
    public required nint Maxima;
    public required nint Sums;
    public required nint Places;
    public required long LogitStride;
    public required int Vocabulary;
}

/// <summary>Field for field the struct in sample_choose.cu. Strides in elements.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SampleChooseArgs
{
    public required nint Rows;
    public required nint Logits;
    public required nint Maxima;
    public required nint Sums;
    public required nint Places;
    public required nint Results;
    public required long LogitStride;
    public required int Vocabulary;
    public required int Chunks;
}

/// <summary>Field for field the struct in sample_choose.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct TakeTokensArgs
{
    public required nint Results;
    public required nint Sources;
    public required nint Tokens;
    public required int Count;
}

/// <summary>Launches sample_scan.cu, a block a chunk of a row, and sample_choose.cu, a block a row.</summary>
internal sealed class Sampling(KernelSet kernels)
{
    private const int Threads = 256;
    private const int ChunkTokens = 2048;
    private const int ChunksMax = 128;

    private readonly CudaKernel<SampleScanArgs> _scan = kernels.Get<SampleScanArgs>("sample_scan");
    private readonly CudaKernel<SampleChooseArgs> _choose = kernels.Get<SampleChooseArgs>("sample_choose");
    private readonly CudaKernel<TakeTokensArgs> _take = kernels.Get<TakeTokensArgs>("take_tokens");

    public const int VocabularyMax = ChunkTokens * ChunksMax;

    /// <summary>Parts of a row that are read by a block each.</summary>
    public static int Chunks(int vocabulary) => (vocabulary + ChunkTokens - 1) / ChunkTokens;

    public void Scan(CudaStream stream, in SampleScanArgs args, int rows) =>
        stream.Launch(_scan, ScanGrid(args.Vocabulary, rows), args);

    public void Choose(CudaStream stream, in SampleChooseArgs args, int rows) =>
        stream.Launch(_choose, new LaunchGrid(rows, Threads), args);

    public void Take(CudaStream stream, in TakeTokensArgs args) =>
        stream.Launch(_take, new LaunchGrid((args.Count + Threads - 1) / Threads, Threads), args);

    public static LaunchGrid ScanGrid(int vocabulary, int rows) => new(Chunks(vocabulary), rows, 1, Threads);
}
