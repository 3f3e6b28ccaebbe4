using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Support;

namespace LsglangSharp.GpuPrefill.Tests.Launch;

/// <summary>What serving asks of attention's launches beyond the numbers: AttentionConformance has those.</summary>
public sealed class PagedAttentionTests : IDisposable
{
    private const int Sequences = 4, ContextMax = 2000, KvHeads = 2, Heads = 8, PageSize = 16, Pages = 4 * ContextMax / PageSize;

    private readonly CudaDevice _device = new(new CudaDeviceOptions());
    private readonly Random _random = new(7);

    public void Dispose() => _device.Dispose();

    /// <summary>Captured once for the longest context, replayed for shorter ones and for rows that only fill the batch up.</summary>
    [Theory]
    [InlineData(DType.BF16, 128)]
    [InlineData(DType.F8E4M3, 64)]
    [InlineData(DType.F32, 32)]
    public void One_recorded_launch_serves_every_batch_within_its_bounds(DType type, int headDim)
    {
        var (cache, q, y, batch) = Step(type, headDim);
        batch.ContextLengthMax = ContextMax;
        _device.Ops.Attention(q, cache, batch, new(0.1f), y);
        _device.Stream.BeginCapture();
        _device.Ops.Attention(q, cache, batch, new(0.1f), y);
        using var graph = _device.Stream.EndCapture();
        using var executable = graph.Instantiate();

        foreach (var lengths in new int[][] { [1, 2000, 257, 0], [700, 0, 0, 16], [0, 0, 0, 0] })
        {
            _device.Memory.Upload<int>(lengths, batch.ContextLengths);
            _device.Memory.Upload<float>(Numbers(Sequences * Heads * headDim), y);
            executable.Launch(_device.Stream);
            var replayed = _device.Memory.Read<float>(y).ToArray();

            batch.ContextLengthMax = lengths.Max();
            _device.Ops.Attention(q, cache, batch, new(0.1f), y);

            Assert.Equal(_device.Memory.Read<float>(y), replayed);
            Assert.All(replayed, (value, i) => Assert.Equal(lengths[i / (Heads * headDim)] == 0, value == 0));
        }
    }

    [Fact]
    public void The_planned_workspace_is_what_is_allocated_and_once()
    {
        var (cache, q, y, batch) = Step(DType.BF16, 128);
        var spec = SmallModel.Of(true, (new Gqa("0", 16, Heads, KvHeads, 128, new Rotary(128, 1)), SmallModel.Dense("0.mlp")));
        var before = _device.BytesAllocated;

        _device.Ops.ReserveAttention(cache, Heads, 100);
        var after = _device.BytesAllocated;
        _device.Ops.Attention(q, cache, batch, new(1), y);
        _device.Ops.Attention(q, cache, batch, new(1, 5), y);

        Assert.Equal(CudaWorkspace.AttentionBytes(spec, Shard.Whole, 100), after - before);
        Assert.Equal(after, _device.BytesAllocated);
    }

    [Fact]
    public void What_no_kernel_takes_is_refused()
    {
        var (cache, q, y, batch) = Step(DType.BF16, 128);

        Assert.Throws<InvariantException>(() => _device.Ops.Attention(q, cache, batch, new(1, 0), y));
        Assert.Throws<InvariantException>(() => _device.Ops.Attention(
            q, cache with { Values = _device.Memory.Allocate(DType.F16, cache.Values.Rows, 128) }, batch, new(1), y));
        Assert.Throws<InvariantException>(() => _device.Ops.Attention(
            q, cache, batch, new(1, null, _device.Memory.Allocate(DType.F32, 1, Heads - 1)), y));
        var (wide, wideQ, wideY, wideBatch) = Step(DType.F32, 513);
        Assert.Throws<InvariantException>(() => _device.Ops.Attention(wideQ, wide, wideBatch, new(1), wideY));
    }

    private (KvLayer Cache, Tensor Q, Tensor Y, AttentionBatch Batch) Step(DType type, int headDim)
    {
        var memory = _device.Memory;
        var rows = (Pages + 1) * KvHeads * PageSize;
        var cache = new KvLayer(
            memory.Allocate(type, rows, headDim), memory.Allocate(type, rows, headDim), PageSize, KvHeads, headDim);
        var keys = memory.Allocate(DType.F32, Pages * PageSize, KvHeads * headDim);
        var slots = Integers(Enumerable.Range(0, Pages * PageSize));
        memory.Upload<float>(Numbers(Pages * PageSize * KvHeads * headDim), keys);
        _device.Ops.WriteKv(keys, keys, cache, slots);
        var (q, y) = (memory.Allocate(DType.F32, Sequences, Heads * headDim), memory.Allocate(DType.F32, Sequences, Heads * headDim));
        memory.Upload<float>(Numbers(Sequences * Heads * headDim), q);
        var tables = memory.Allocate(DType.I32, Sequences, Pages / Sequences);
        memory.Upload<int>([.. Enumerable.Range(0, Pages)], tables);
        var batch = new AttentionBatch(
            Integers(Enumerable.Range(0, Sequences + 1)), Integers(Enumerable.Repeat(ContextMax, Sequences)), tables)
        {
            Sequences = Sequences,
            QueryRowsMax = 1,
            ContextLengthMax = ContextMax,
        };
        return (cache, q, y, batch);
    }

    private Tensor Integers(IEnumerable<int> values)
    {
        int[] array = [.. values];
        var tensor = _device.Memory.Allocate(DType.I32, 1, array.Length);
        _device.Memory.Upload<int>(array, tensor);
        return tensor;
    }

    private float[] Numbers(int count)
    {
        var numbers = new float[count];
        for (var i = 0; i < count; i++)
        {
            numbers[i] = (_random.NextSingle() * 2) - 1;
        }

        return numbers;
    }
}
