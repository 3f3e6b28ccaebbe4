using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Launch;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Tests.Launch;

/// <summary>How attention is cut, from sizes alone: a device with 132 SMs unless another is said.</summary>
public sealed class AttentionShapeTests
{
    private const int Multiprocessors = 132;

    [Fact]
    public void A_sequence_alone_gives_every_SM_two_blocks()
    {
        var shape = Shape(kvHeads: 8);

        var grid = shape.Decode(1, shape.Shares(1, 100_000, null, Multiprocessors));

        Assert.Equal(new LaunchGrid(33, 8, 1, 128, (64 << 10) + (16 * 128 * 2)), grid);
    }

    /// <summary>Part of how sums are cut: what a token gets must not follow from its company.</summary>
    [Theory]
    [InlineData(1, 64)]
    [InlineData(4, 64)]
    [InlineData(8, 33)]
    [InlineData(32, 8)]
    [InlineData(96, 8)]
    public void Chunks_follow_from_the_model(int kvHeads, int chunks) => Assert.Equal(chunks, Shape(kvHeads).ChunksMax);

    [Theory]
    [InlineData(1, 1, null, 1)]
    [InlineData(1, 256, null, 1)]
    [InlineData(1, 257, null, 2)]
    [InlineData(1, 1 << 20, null, 64)]
    [InlineData(64, 1 << 20, null, 2)]
    [InlineData(200, 1 << 20, null, 1)]
    [InlineData(1, 1 << 20, 128, 1)]
    [InlineData(1, 1 << 20, 1000, 4)]
    public void Shares_fill_the_device_and_no_more(int sequences, int context, int? window, int shares) =>
        Assert.Equal(shares, Shape(kvHeads: 4).Shares(sequences, context, window, Multiprocessors));

    [Theory]
    [InlineData(64, DType.BF16, 8, 9, 2, 128, 32 << 10)]
    [InlineData(128, DType.BF16, 8, 1000, 125, 128, 64 << 10)]
    [InlineData(128, DType.F8E4M3, 5, 13, 2, 128, 32 << 10)]
    [InlineData(256, DType.F16, 1, 33, 2, 64, 96 << 10)]
    public void A_prompt_is_cut_into_rows_of_all_heads(
        int headDim, DType type, int group, int rows, int blocks, int threads, int shared) =>
        Assert.Equal(
            new LaunchGrid(blocks, 2, 3, threads, shared),
            new AttentionShape(2, group, headDim, type, 4).Prefill(3, rows, terms: 2));

    [Theory]
    [InlineData(128, DType.BF16, 16, true)]
    [InlineData(64, DType.F8E4M3, 1, true)]
    [InlineData(256, DType.F16, 3, true)]
    [InlineData(128, DType.F32, 8, false)]
    [InlineData(96, DType.BF16, 8, false)]
    [InlineData(128, DType.BF16, 17, false)]
    public void Tensor_cores_take_some_shapes(int headDim, DType type, int group, bool takes) =>
        Assert.Equal(takes, new AttentionShape(1, group, headDim, type, 4).HasTensorKernels);

    [Theory]
    [InlineData(8, "attention_decode_bf16_128_8", 68 << 10)]
    [InlineData(9, "attention_decode_bf16_128_16", 72 << 10)]
    public void Up_to_eight_heads_are_packed(int group, string name, int shared)
    {
        var shape = new AttentionShape(4, group, 128, DType.BF16, 4);

        Assert.Equal(name, shape.DecodeName);
        Assert.Equal(shared, shape.Decode(1, 1).SharedBytes);
    }

    /// <summary>99 KiB is the most that a block has on GPUs of consumers (compute capability 8.6, 8.9 and 12.0).</summary>
    [Fact]
    public void Shared_memory_fits_on_every_GPU()
    {
        foreach (var headDim in new[] { 64, 128, 256 })
        {
            foreach (var group in new[] { 8, 16 })
            {
                var shape = new AttentionShape(1, group, headDim, DType.BF16, 4);
                Assert.InRange(Math.Max(shape.Decode(1, 1).SharedBytes, shape.Prefill(1, 2, 2).SharedBytes), 1, 98 << 10);
            }
        }

        Assert.InRange(new AttentionShape(1, 1, 512, DType.F32, 4).Any(1, 1).SharedBytes, 1, 96 << 10);
    }

    [Fact]
    public void The_workspace_holds_all_chunks_of_all_sequences() =>
        Assert.Equal(64L * 32 * 64 * 130 * 4, Shape(kvHeads: 4).WorkspaceBytes);

    [Fact]
    public void Many_sequences_are_cut_into_fewer_chunks()
    {
        var shape = Shape(kvHeads: 8, sequencesMax: 256);

        Assert.Equal(31, shape.ChunksMax);
        Assert.InRange(shape.WorkspaceBytes, 250L << 20, 256L << 20);
    }

    [Fact]
    public void Arguments_lie_where_the_kernels_read_them()
    {
        Assert.Equal(144, Marshal.SizeOf<AttentionArgs>());
        Assert.Equal(80, Marshal.OffsetOf<AttentionArgs>(nameof(AttentionArgs.QStride)).ToInt32());
        Assert.Equal(104, Marshal.OffsetOf<AttentionArgs>(nameof(AttentionArgs.Sequences)).ToInt32());
        Assert.Equal(132, Marshal.OffsetOf<AttentionArgs>(nameof(AttentionArgs.ScoreScale)).ToInt32());
        Assert.Equal(80, Marshal.SizeOf<WriteKvArgs>());
    }

    [Fact]
    public void Every_kernel_that_a_shape_names_is_there()
    {
        using var device = new CudaDevice(new CudaDeviceOptions());
        foreach (var (type, _) in CacheTypes.Names)
        {
            foreach (var (headDim, group) in new[] { (64, 1), (64, 9), (128, 8), (128, 16), (256, 2), (256, 12), (80, 1) })
            {
                var shape = new AttentionShape(1, group, headDim, type, 4);
                string[] names = shape.HasTensorKernels
                    ? [shape.AnyName, shape.DecodeName, shape.PrefillName(1), shape.PrefillName(2)] : [shape.AnyName];
                Assert.All(names, name => Assert.True(device.Kernels.Has(name), name));
            }
        }
    }

    private static AttentionShape Shape(int kvHeads, int sequencesMax = 64) => new(kvHeads, 8, 128, DType.BF16, sequencesMax);
}
