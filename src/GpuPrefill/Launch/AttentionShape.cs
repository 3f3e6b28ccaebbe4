using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>
/// What decides how attention is launched, but for the batch: sizes of the layer, the cache's type, and the most sequences
/// of a step.
/// </summary>
internal readonly record struct AttentionShape(int KvHeads, int Group, int HeadDim, DType Type, int SequencesMax)
{
    /// <summary>Query heads that the rows of one tensor-core product hold.</summary>
    public const int GroupMax = 16;

    /// <summary>Up to so many are packed with their low terms.</summary>
    public const int GroupPacked = 8;

    /// <summary>What the kernel in float32 has registers for.</summary>
    public const int HeadDimMax = 512;

    private const int Warp = 32;
    private const int WarpRows = 16;

    // Constants of attention.cuh, attention_decode.cuh and attention_any.cu.
    private const int ChunkTokensMin = 256;
    private const int DecodeBufferBytes = 64 << 10;
    private const int AnyThreads = 128;
    private const int AnyHeads = 8;
    private const int AnyKeys = 32;

    /// <summary>Blocks of the decode kernel that an SM holds at a time: three of 68 KiB in the H200's 228.</summary>
    private const int BlocksPerMultiprocessor = 3;

    private const int ChunksFewest = 8;
    private const int ChunksMost = 64;

    /// <summary>Blocks of a sequence that is alone: two for each of the H200's 132 SMs, and nearly that on others.</summary>
    private const int BlocksAlone = 264;

    /// <summary>Chunks' results take no more, as long as there are eight of a sequence.</summary>
    private const long WorkspaceBytesMax = 256L << 20;

    public int Heads => KvHeads * Group;

    /// <summary>Whether there are tensor-core kernels for this; rows must be 16-byte aligned too.</summary>
    public bool HasTensorKernels =>
        Type is DType.BF16 or DType.F16 or DType.F8E4M3 && HeadDim is 64 or 128 or 256 && Group <= GroupMax;

    /// <summary>
    /// The most chunks that a past is cut into: as many as fill the device when a sequence is alone, and as memory is granted
    /// for. It follows from the model and from settings only, since it is part of how sums are cut.
    /// </summary>
    public int ChunksMax =>
        (int)Math.Clamp(Math.Min(BlocksAlone / KvHeads, WorkspaceBytesMax / ChunkBytes), ChunksFewest, ChunksMost);

    /// <summary>Chunks of a past of this length.</summary>
    public int Chunks(int contextLength, int? window)
    {
        // A window's first key may lie inside of a tile of keys, which is read whole.
        var seen = window is { } w ? Math.Min(contextLength, w + WarpRows) : contextLength;
        return Math.Clamp(DivideUp(seen, ChunkTokensMin), 1, ChunksMax);
    }

    /// <summary>
    /// Blocks that share the chunks of a sequence and key head: enough to fill the device, and no more than there are
    /// chunks. Results do not depend on it.
    /// </summary>
    public int Shares(int sequences, int contextLengthMax, int? window, int multiprocessors)
    {
        var wanted = DivideUp(BlocksPerMultiprocessor * multiprocessors, sequences * KvHeads);
        return Math.Clamp(wanted, 1, Chunks(contextLengthMax, window));
    }

    /// <summary>One query row a sequence, on tensor cores.</summary>
    public LaunchGrid Decode(int sequences, int shares) => new(
        shares, KvHeads, sequences, TensorWarps * Warp, DecodeBufferBytes + (DecodeTerms * WarpRows * HeadDim * sizeof(ushort)));

    public string DecodeName => $"attention_decode_{TypeName}_{HeadDim}_{(Group <= GroupPacked ? GroupPacked : GroupMax)}";

    /// <summary>Several query rows a sequence, on tensor cores; queries and weights as one 16-bit term or two.</summary>
    public LaunchGrid Prefill(int sequences, int queryRowsMax, int terms)
    {
        var rows = TensorWarps * WarpRows;
        var queryBytes = terms * rows * HeadDim * sizeof(ushort);
        var keyBytes = 2 * 2 * rows * HeadDim * Type.Bytes();
        var keepsQueries = HeadDim <= 128;
        return new(
            DivideUp(queryRowsMax * Group, rows), KvHeads, sequences, TensorWarps * Warp,
            keepsQueries ? Math.Max(keyBytes, queryBytes) : keyBytes + queryBytes);
    }

    public string PrefillName(int terms) => $"attention_prefill_{TypeName}_{HeadDim}_{terms}";

    /// <summary>Whatever the others do not take.</summary>
    public LaunchGrid Any(int rows, int shares) => new(
        rows, KvHeads * DivideUp(Group, AnyHeads), shares, AnyThreads,
        ((AnyHeads * HeadDim) + (AnyKeys * (HeadDim + 1))) * sizeof(float));

    public string AnyName => $"attention_any_{TypeName}";

    /// <summary>Adds up the chunks.</summary>
    public LaunchGrid Combine(int sequences) => new(Heads, sequences, 1, AnyThreads);

    /// <summary>Chunks' results between the kernels: values, maxima and sums.</summary>
    public long WorkspaceBytes => ChunkBytes * ChunksMax;

    /// <summary>Maxima and sums, which come first.</summary>
    public long SumBytes => (long)SequencesMax * Heads * ChunksMax * 2 * sizeof(float);

    /// <summary>One chunk of every sequence.</summary>
    private long ChunkBytes => (long)SequencesMax * Heads * (HeadDim + 2) * sizeof(float);

    private string TypeName => CacheTypes.Names[Type];

    private int TensorWarps => HeadDim == 256 ? 2 : 4;

    private int DecodeTerms => Group <= GroupPacked ? 1 : 2;

    private static int DivideUp(int a, int b) => (a + b - 1) / b;
}
