using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>Field for field the struct in attention.cuh. Strides in elements.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AttentionArgs
{
    public required nint Q;
    public required nint Y;
    public required nint Keys;
    public required nint Values;
    public required nint QueryStarts;
    public required nint ContextLengths;
    public required nint PageTables;
    public required nint Sinks;
    public required nint PartialValues;
    public required nint PartialSums;
    public required long QStride;
    public required long YStride;
    public required long PageTableStride;
    public required int Sequences;
    public required int KvHeads;
    public required int Group;
    public required int HeadDim;
    public required int PageSize;
    public required int Window;
    public required int ChunksMax;
    public required float ScoreScale;
    public required float ValueScale;
}

/// <summary>
/// Launches attention_*.cu: sequences of one query row by one kernel, of several by another, each passing over the other's;
/// then what adds the chunks of long pasts up. Grids follow from the batch's host-side bounds, so that a captured launch
/// serves every batch within them.
/// </summary>
internal sealed class PagedAttention(CudaDevice device)
{
    private const int VectorBytes = 16;
    private const int Four = 4;
    private const float Log2E = 1.44269504f;

    private readonly Dictionary<(Part, DType, int HeadDim, int Group), CudaKernel<AttentionArgs>> _kernels = [];
    private readonly int _multiprocessors = device.Context.Attribute(DeviceAttribute.MultiprocessorCount);
    private readonly int _terms = device.Options.ExactActivations ? 2 : 1;
    private CudaBuffer? _workspace;
    private int _sequencesMax;

    /// <summary>
    /// Gets everything that a layer needs ready: kernels, and room for chunks' results of so many sequences. Otherwise its first
    /// step does, which must not be one that is being captured.
    /// </summary>
    public void Reserve(KvLayer cache, int heads, int sequences)
    {
        _sequencesMax = Math.Max(_sequencesMax, sequences);
        var shape = ShapeOf(cache, heads);
        Workspace(shape);
        Kernel(Part.Any, shape, shape.Any(1, 1).SharedBytes);
        Kernel(Part.Combine, shape, 0);
        if (shape.HasTensorKernels)
        {
            Kernel(Part.Decode, shape, shape.Decode(1, 1).SharedBytes);
            Kernel(Part.Prefill, shape, shape.Prefill(1, 1, _terms).SharedBytes);
        }
    }

    public void Launch(CudaStream stream, Tensor q, KvLayer cache, AttentionBatch batch, AttentionRule rule, Tensor y)
    {
        Check.That(q.Rows == y.Rows && q.Columns == y.Columns && q.Columns % (cache.KvHeads * cache.HeadDim) == 0);
        Check.That(rule.Window is null or > 0);
        CacheTypes.Require(cache);
        var (sequences, rowsMax) = (batch.Sequences, batch.QueryRowsMax);
        if (sequences == 0 || rowsMax == 0)
        {
            return;
        }

        Check.That(sequences <= LaunchGrid.MinorMax && sequences <= batch.PageTables.Rows);
        _sequencesMax = Math.Max(_sequencesMax, sequences);
        var shape = ShapeOf(cache, q.Columns / cache.HeadDim);
        var args = Args(shape, q, cache, batch, rule, y);
        var shares = shape.Shares(sequences, batch.ContextLengthMax, rule.Window, _multiprocessors);
        if (shape.HasTensorKernels && IsAligned(args))
        {
            // Where rows and sequences say that all have several, none has one.
            if (rowsMax == 1 || sequences * (long)rowsMax != q.Rows)
            {
                Launch(stream, Part.Decode, shape, shape.Decode(sequences, shares), args);
            }

            if (rowsMax > 1)
            {
                Launch(stream, Part.Prefill, shape, shape.Prefill(sequences, rowsMax, _terms), args);
            }
        }
        else
        {
            Launch(stream, Part.Any, shape, shape.Any(q.Rows, shares), args);
        }

        if (shape.Chunks(batch.ContextLengthMax, rule.Window) > 1)
        {
            Launch(stream, Part.Combine, shape, shape.Combine(sequences), args);
        }
    }

    private AttentionShape ShapeOf(KvLayer cache, int heads)
    {
        Check.That(cache.HeadDim <= AttentionShape.HeadDimMax);
        return new(cache.KvHeads, heads / cache.KvHeads, cache.HeadDim, cache.Keys.Type, _sequencesMax);
    }

    private AttentionArgs Args(
        AttentionShape shape, Tensor q, KvLayer cache, AttentionBatch batch, AttentionRule rule, Tensor y)
    {
        Check.That(batch.PageTables.Type == DType.I32);
        var workspace = Workspace(shape);
        return new AttentionArgs
        {
            Q = CudaBuffer.Address(q, DType.F32),
            Y = CudaBuffer.Address(y, DType.F32),
            Keys = CudaBuffer.Address(cache.Keys),
            Values = CudaBuffer.Address(cache.Values),
            QueryStarts = CudaBuffer.Numbers(batch.QueryStarts, DType.I32, batch.Sequences + 1),
            ContextLengths = CudaBuffer.Numbers(batch.ContextLengths, DType.I32, batch.Sequences),
            PageTables = CudaBuffer.Address(batch.PageTables),
            Sinks = rule.Sinks is { } sinks ? CudaBuffer.Numbers(sinks, DType.F32, shape.Heads) : 0,
            PartialSums = workspace,
            PartialValues = workspace + (nint)shape.SumBytes,
            QStride = q.RowStride,
            YStride = y.RowStride,
            PageTableStride = batch.PageTables.RowStride,
            Sequences = batch.Sequences,
            KvHeads = shape.KvHeads,
            Group = shape.Group,
            HeadDim = shape.HeadDim,
            PageSize = cache.PageSize,
            Window = rule.Window ?? 0,
            ChunksMax = shape.ChunksMax,
            ScoreScale = rule.Scale * cache.KeyScale * Log2E,
            ValueScale = cache.ValueScale,
        };
    }

    private static bool IsAligned(in AttentionArgs args) =>
        (args.Q | args.Keys | args.Values) % VectorBytes == 0 && args.QStride % Four == 0;

    private void Launch(
        CudaStream stream, Part part, in AttentionShape shape, in LaunchGrid grid, in AttentionArgs args) =>
        stream.Launch(Kernel(part, shape, grid.SharedBytes), grid, args);

    /// <summary>
    /// Found without a name, which would be a new text in every step. Shared memory is a matter of the head size alone: the most
    /// that a kernel was asked for is what it may ask for.
    /// </summary>
    private CudaKernel<AttentionArgs> Kernel(Part part, in AttentionShape shape, int sharedBytes)
    {
        var key = (part, shape.Type, shape.HeadDim, shape.Group);
        if (!_kernels.TryGetValue(key, out var kernel) || kernel.DynamicSharedMax < sharedBytes)
        {
            var name = part switch
            {
                Part.Decode => shape.DecodeName,
                Part.Prefill => shape.PrefillName(_terms),
                Part.Any => shape.AnyName,
                _ => "attention_combine",
            };
            kernel = device.Kernels.Get<AttentionArgs>(name, sharedBytes);
            _kernels[key] = kernel;
        }

        return kernel;
    }

    /// <summary>The largest that was asked for. A smaller one may be in a captured graph, so it is kept until the device goes.</summary>
    private nint Workspace(AttentionShape shape)
    {
        var bytes = shape.WorkspaceBytes;
        if (_workspace is null || _workspace.Bytes < bytes)
        {
            Check.That(!device.Stream.IsCapturing);
            _workspace = device.DeviceMemory.AllocateBytes(bytes, "attention over long contexts");
        }

        return _workspace.Start;
    }

    private enum Part
    {
        Decode,
        Prefill,
        Any,
        Combine,
    }
}
