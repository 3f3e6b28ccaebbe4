using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Tests;

/// <summary>Tensors and weights: counted, bounded, and in order with operations whatever the device does first.</summary>
[Collection(Alone.Name)]
public sealed class CudaMemoryTests
{
    public static TheoryData<string> Orders => ["eager", "lazy", "random:1", "random:2"];

    [Fact]
    public void Reads_back_what_was_uploaded_into_a_view()
    {
        using var device = new CudaDevice(new CudaDeviceOptions());
        var tensor = device.Memory.Allocate(DType.F32, 4, 3);

        device.Memory.Upload<float>([1, 2, 3], tensor.SliceRows(2, 1));

        Assert.Equal([0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0], device.Memory.Read<float>(tensor).ToArray());
    }

    [SkippableFact]
    public void Counts_the_bytes_that_the_driver_gives()
    {
        using var machine = CudaOnCpu.With();
        using var device = new CudaDevice(new CudaDeviceOptions());
        var before = CudaOnCpu.Used(0);
        Assert.Equal(0, device.BytesAllocated);

        device.Memory.AllocateMatrix(DType.BF16, 1000, 77);
        var tensor = device.Memory.Allocate(DType.F32, 100, 10);
        var bank = device.Experts.Allocate(DType.BF16, 4, 2, 64, 32);
        var empty = device.Memory.Allocate(DType.F32, 0, 10);

        Assert.Equal((1000 * 77 * 2) + (100 * 10 * 4) + bank.Bytes, device.BytesAllocated);
        Assert.InRange((long)(CudaOnCpu.Used(0) - before), device.BytesAllocated, device.BytesAllocated + (4 * 512));
        tensor.Buffer.Dispose();
        tensor.Buffer.Dispose();
        empty.Buffer.Dispose();
        Assert.Equal((1000 * 77 * 2) + bank.Bytes, device.BytesAllocated);
    }

    [Fact]
    public void Memory_beyond_the_limit_is_refused_with_what_is_free()
    {
        using var device = new CudaDevice(new CudaDeviceOptions { MemoryLimit = 10 << 20 });
        device.Memory.AllocateMatrix(DType.F32, 1 << 20, 2);
        Assert.Equal(2 << 20, device.Memory.BytesFree);

        var failure = Assert.Throws<ConfigurationException>(() => device.Memory.AllocateMatrix(DType.F32, 1 << 20, 1));

        Assert.Contains("GPU 0", failure.Message, StringComparison.Ordinal);
        Assert.Contains(Units.Bytes(4 << 20), failure.Message, StringComparison.Ordinal);
        Assert.Contains(Units.Bytes(2 << 20), failure.Message, StringComparison.Ordinal);
        device.Memory.AllocateMatrix(DType.F32, 1 << 19, 1);
    }

    [Fact]
    public void A_view_beyond_its_buffer_is_refused()
    {
        using var device = new CudaDevice(new CudaDeviceOptions());
        var x = device.Memory.Allocate(DType.F32, 4, 8);
        var weight = device.Memory.Allocate(DType.F32, 1, 8);

        Assert.Throws<InvariantException>(() => device.Ops.RmsNorm(x, weight, 1, x with { Offset = 1 }));
        Assert.Throws<InvariantException>(() => device.Ops.RmsNorm(x, weight, 1, x with { Type = DType.I32 }));
    }

    [Fact]
    public void A_buffer_of_another_kind_is_refused()
    {
        using var device = new CudaDevice(new CudaDeviceOptions());
        using var reference = new Runtime.Reference.ReferenceDevice();
        var x = device.Memory.Allocate(DType.F32, 4, 8);

        Assert.Throws<InvariantException>(
            () => device.Ops.RmsNorm(x, reference.Memory.Allocate(DType.F32, 1, 8), 1, x));
    }

    [Fact]
    public void Freed_memory_cannot_be_used()
    {
        using var device = new CudaDevice(new CudaDeviceOptions());
        var x = device.Memory.Allocate(DType.F32, 4, 8);
        x.Buffer.Dispose();

        Assert.Throws<ObjectDisposedException>(() => device.Memory.Read<float>(x).Length);
    }

    [SkippableTheory]
    [MemberData(nameof(Orders))]
    public void Uploads_outlive_their_source_however_far_behind_the_device_is(string order)
    {
        using var machine = CudaOnCpu.With(("CUDA_ON_CPU_ORDER", order));
        using var device = new CudaDevice(new CudaDeviceOptions());
        const int RingInts = UploadRing.SegmentCount * UploadRing.SegmentBytes / sizeof(int);
        const int Total = (RingInts * 2) + 12_345;
        var tensor = device.Memory.Allocate(DType.I32, 1, Total);
        var random = new Random(5);
        var source = new int[200_000];

        // Three times around, in pieces of which some are longer than a segment.
        for (var done = 0; done < Total;)
        {
            var count = Math.Min(Total - done, random.Next(4) == 0 ? random.Next(source.Length) : random.Next(3000));
            for (var i = 0; i < count; i++)
            {
                source[i] = done + i;
            }

            device.Memory.Upload<int>(source.AsSpan(0, count), tensor.SliceColumns(done, count));
            source.AsSpan().Fill(-1);
            done += count;
        }

        var read = device.Memory.Read<int>(tensor);
        for (var i = 0; i < Total; i++)
        {
            Assert.Equal(i, read[i]);
        }

        Assert.Empty(CudaOnCpu.LastFault);
    }

    [SkippableTheory]
    [MemberData(nameof(Orders))]
    public void An_upload_waits_for_operations_that_still_read_its_target(string order)
    {
        using var machine = CudaOnCpu.With(("CUDA_ON_CPU_ORDER", order));
        using var device = new CudaDevice(new CudaDeviceOptions());
        var x = device.Memory.Allocate(DType.F32, 1, 256);
        var weight = device.Memory.Allocate(DType.F32, 1, 256);
        var y = device.Memory.Allocate(DType.F32, 20, 256);
        device.Memory.Upload<float>([.. Enumerable.Repeat(1f, 256)], x);

        for (var i = 0; i < 20; i++)
        {
            device.Memory.Upload<float>([.. Enumerable.Repeat((float)i, 256)], weight);
            device.Ops.RmsNorm(x, weight, 0, y.SliceRows(i, 1));
        }

        var result = device.Memory.Read<float>(y);
        for (var i = 0; i < 20; i++)
        {
            Assert.Equal(i, result[i * 256], 1e-4);
        }

        Assert.Empty(CudaOnCpu.LastFault);
    }

    [SkippableTheory]
    [MemberData(nameof(Orders))]
    public void Loaders_in_parallel_stream_through_bounded_memory(string order)
    {
        using var machine = CudaOnCpu.With(("CUDA_ON_CPU_ORDER", order), ("CUDA_ON_CPU_MEMORY_MB", "256"));
        using var device = new CudaDevice(new CudaDeviceOptions { StagingBytes = 3 * WeightStaging.BlockBytes });
        const int Rows = 4000, Columns = 4096;
        var matrix = (CudaMatrix)device.Memory.AllocateMatrix(DType.F32, Rows, Columns);

        // 64 MB through 24 MB, by more threads than there are blocks.
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, part =>
        {
            var next = part * (Rows / 8);
            matrix.Fill(next, Rows / 8, (start, count, target) =>
            {
                Assert.Equal(next, start);
                next += count;
                Ramp(start * Columns, target);
            });
            Assert.Equal((part + 1) * (Rows / 8), next);
        });

        Assert.InRange(device.DeviceMemory.Staging.Bytes, 1, 3 * WeightStaging.BlockBytes);
        // Read through the stream of the operations, which must see every copy.
        var all = new Tensor(matrix.Buffer, 0, DType.I32, Rows, Columns, Columns);
        device.Stream.Synchronize();
        var read = device.Memory.Read<int>(all);
        for (var i = 0; i < read.Length; i++)
        {
            Assert.Equal(i, read[i]);
        }

        device.FinishLoading(100);
        Assert.Equal(0, device.DeviceMemory.Staging.Bytes);
        Assert.Empty(CudaOnCpu.LastFault);
    }

    [Fact]
    public void A_reader_that_fails_costs_no_staging()
    {
        using var device = new CudaDevice(new CudaDeviceOptions { StagingBytes = WeightStaging.BlockBytes });
        var matrix = device.Memory.AllocateMatrix(DType.F32, 10, 10);

        for (var i = 0; i < 3; i++)
        {
            Assert.Throws<IOException>(() => matrix.Fill(0, 10, (_, _, _) => throw new IOException("gone")));
        }

        matrix.Fill(0, 10, (_, _, target) => target.Clear());
    }

    [Fact]
    public void Experts_lie_side_by_side_and_gate_before_up()
    {
        using var device = new CudaDevice(new CudaDeviceOptions());
        const int Experts = 3, Hidden = 8, Intermediate = 4;
        var bank = (CudaExpertBank)device.Experts.Allocate(DType.F32, Experts, 2, Hidden, Intermediate);
        for (var expert = 0; expert < Experts; expert++)
        {
            var number = expert;
            bank.Gate(expert).Fill(0, Intermediate, (start, _, target) => Ramp((number * 1000) + (start * Hidden), target));
            bank.Up(expert).Fill(0, Intermediate, (start, _, target) => Ramp((number * 1000) + 100 + (start * Hidden), target));
            bank.Down(expert).Fill(0, Hidden, (start, _, target) => Ramp((number * 1000) + 200 + (start * Intermediate), target));
        }

        device.Stream.Synchronize();
        var gateUp = device.Memory.Read<int>(
            new Tensor(((CudaMatrix)bank.Gate(0)).Buffer, 0, DType.I32, 2 * Experts * Intermediate, Hidden, Hidden)).ToArray();
        var down = device.Memory.Read<int>(
            new Tensor(((CudaMatrix)bank.Down(0)).Buffer, 0, DType.I32, Experts * Hidden, Intermediate, Intermediate)).ToArray();

        const int Part = Hidden * Intermediate;
        Assert.Equal(
            Enumerable.Range(0, Experts).SelectMany(expert => Enumerable.Range(0, 2 * Part).Select(
                i => (expert * 1000) + (i / Part * 100) + (i % Part))),
            gateUp);
        Assert.Equal(
            Enumerable.Range(0, Experts).SelectMany(expert => Enumerable.Range(0, Part).Select(i => (expert * 1000) + 200 + i)), down);
    }

    private static void Ramp(int first, Span<byte> target)
    {
        var numbers = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, int>(target);
        for (var i = 0; i < numbers.Length; i++)
        {
            numbers[i] = first + i;
        }
    }
}
