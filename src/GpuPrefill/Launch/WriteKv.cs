using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>Field for field the struct in write_kv.cu. Strides in elements.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct WriteKvArgs
{
    public required nint K;
    public required nint V;
    public required nint Slots;
    public required nint Keys;
    public required nint Values;
    public required long KStride;
    public required long VStride;
    public required int KvHeads;
    public required int HeadDim;
    public required int PageSize;
    public required int ByFour;
    public required float KeyScale;
    public required float ValueScale;
}

/// <summary>Launches write_kv.cu: a block a row of keys or values.</summary>
internal sealed class WriteKv(KernelSet kernels)
{
    private const int Threads = 256;
    private const int Four = 4;
    private const int VectorBytes = 16;

    private readonly Dictionary<DType, CudaKernel<WriteKvArgs>> _kernels = CacheTypes.Names.ToDictionary(
        pair => pair.Key, pair => kernels.Get<WriteKvArgs>($"write_kv_{pair.Value}"));

    public void Launch(CudaStream stream, Tensor k, Tensor v, KvLayer cache, Tensor slots)
    {
        Check.That(k.Rows == v.Rows && k.Columns == cache.KvHeads * cache.HeadDim && v.Columns == k.Columns);
        CacheTypes.Require(cache);
        if (k.Rows == 0)
        {
            return;
        }

        var args = new WriteKvArgs
        {
            K = CudaBuffer.Address(k, DType.F32),
            V = CudaBuffer.Address(v, DType.F32),
            Slots = CudaBuffer.Numbers(slots, DType.I32, k.Rows),
            Keys = CudaBuffer.Address(cache.Keys),
            Values = CudaBuffer.Address(cache.Values),
            KStride = k.RowStride,
            VStride = v.RowStride,
            KvHeads = cache.KvHeads,
            HeadDim = cache.HeadDim,
            PageSize = cache.PageSize,
            ByFour = 0,
            KeyScale = cache.KeyScale,
            ValueScale = cache.ValueScale,
        };
        var aligned = (args.K | args.V | args.Keys | args.Values) % VectorBytes == 0;
        args.ByFour = aligned && cache.HeadDim % Four == 0 && k.RowStride % Four == 0 && v.RowStride % Four == 0 ? 1 : 0;
        stream.Launch(_kernels[cache.Keys.Type], Grid(k.Rows), args);
    }

    /// <summary>Keys and values of each row.</summary>
    public static LaunchGrid Grid(int rows) => new(rows, 2, 1, Threads);
}

/// <summary>What keys and values may be kept in.</summary>
internal static class CacheTypes
{
    /// <summary>As kernels are named after them.</summary>
    public static IReadOnlyDictionary<DType, string> Names { get; } = new Dictionary<DType, string>
    {
        [DType.F32] = "f32",
        [DType.BF16] = "bf16",
        [DType.F16] = "f16",
        [DType.F8E4M3] = "fp8",
    };

    /// <summary>Kernels take rows of a head each, one after the other.</summary>
    public static void Require(KvLayer cache)
    {
        Check.That(Names.ContainsKey(cache.Keys.Type) && cache.Values.Type == cache.Keys.Type);
        Check.That(cache.Keys.Columns == cache.HeadDim && cache.Values.Columns == cache.HeadDim);
        Check.That(cache.Keys.IsContiguous && cache.Values.IsContiguous && cache.Keys.Rows == cache.Values.Rows);
        Check.That(cache.PageSize > 0 && cache.Keys.Rows % (cache.PageSize * cache.KvHeads) == 0);
    }
}
