using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Support;

namespace LsglangSharp.NumaExperts.Tests;

/// <summary>The device as a whole: options, memory, threads.</summary>
public sealed class CpuDeviceTests
{
    [Fact]
    public void Says_what_it_chose()
    {
        using var device = new CpuDevice(new CpuDeviceOptions { Threads = 3 });

        Assert.Equal(3, device.Description.Threads);
        Assert.Equal(3, device.Description.Ranks.Sum(rank => rank.Threads));
        Assert.NotEmpty(device.Description.Isa);
    }

    [Theory]
    [InlineData("99999")]
    [InlineData("0-")]
    [InlineData("0|0")]
    [InlineData("0||0")]
    public void Refuses_cores_that_cannot_be(string cores)
    {
        var failure = Assert.Throws<ConfigurationException>(
            () => new CpuDevice(new CpuDeviceOptions { CoresPerRank = cores }));

        Assert.Contains('"', failure.Message);
    }

    [Fact]
    public void Refuses_a_negative_number_of_threads() =>
        Assert.Throws<ConfigurationException>(() => new CpuDevice(new CpuDeviceOptions { Threads = -1 }));

    [Fact]
    public void Refuses_memory_that_is_not_there()
    {
        using var device = new CpuDevice(new CpuDeviceOptions { Threads = 1 });

        var failure = Assert.Throws<ConfigurationException>(
            () => device.Experts.Allocate(DType.BF16, 100_000, 8, 4096, 4096));

        Assert.Contains("GiB are needed", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Promised_memory_counts_as_taken_before_it_is_touched()
    {
        using var device = new CpuDevice(new CpuDeviceOptions { Threads = 1 });
        var before = device.Memory.BytesFree;

        device.Memory.AllocateMatrix(DType.F32, 1 << 18, 1024);

        Assert.InRange(before - device.Memory.BytesFree, 700L << 20, 1400L << 20);
    }

    [Fact]
    public void A_matrix_is_filled_in_order_and_each_row_once()
    {
        using var device = new CpuDevice(new CpuDeviceOptions { Threads = 2 });
        var matrix = device.Memory.AllocateMatrix(DType.F32, 100, 3);
        var next = 10;

        matrix.Fill(10, 80, (start, count, target) =>
        {
            Assert.Equal(next, start);
            Assert.Equal(count * 3 * sizeof(float), target.Length);
            next += count;
        });

        Assert.Equal(90, next);
    }

    [Fact]
    public void Reads_back_what_was_uploaded_into_a_view()
    {
        using var device = new CpuDevice(new CpuDeviceOptions { Threads = 1 });
        var tensor = device.Memory.Allocate(DType.F32, 4, 3);

        device.Memory.Upload<float>([1, 2, 3], tensor.SliceRows(2, 1));

        Assert.Equal([0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0], device.Memory.Read<float>(tensor).ToArray());
    }

    [Fact]
    public void A_view_beyond_its_buffer_is_refused()
    {
        using var device = new CpuDevice(new CpuDeviceOptions { Threads = 1 });
        var x = device.Memory.Allocate(DType.F32, 4, 8);
        var rows = device.Memory.Allocate(DType.I32, 1, 4);

        Assert.Throws<InvariantException>(() => device.Ops.GatherRows(x, rows, x with { Offset = 1 }));
    }

    [Fact]
    public void A_step_allocates_nothing()
    {
        using var device = new CpuDevice(new CpuDeviceOptions { Threads = 2 });
        var step = new SmallStep(device);
        step.Run();

        var before = GC.GetAllocatedBytesForCurrentThread();
        step.Run();

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void Idle_workers_park_and_come_back()
    {
        var options = new CpuDeviceOptions { Threads = 3, ParkAfter = TimeSpan.FromMilliseconds(1) };
        using var device = new CpuDevice(options);
        var step = new SmallStep(device);
        step.Run();

        Assert.True(SpinWait.SpinUntil(() => device.ParkedWorkers == 2, TimeSpan.FromSeconds(30)));

        step.Run();
        Assert.True(SpinWait.SpinUntil(() => device.ParkedWorkers == 2, TimeSpan.FromSeconds(30)));
    }

    [Fact]
    public void The_attached_thread_keeps_to_its_core_and_those_it_starts_do_not()
    {
        using var device = new CpuDevice(new CpuDeviceOptions { Threads = 1 });
        var (before, attached, child) = ("", "", "");

        var thread = new Thread(() =>
        {
            before = AllowedCpus();
            device.AttachThread();
            attached = AllowedCpus();
            var started = new Thread(() => child = AllowedCpus());
            started.Start();
            started.Join();
        });
        thread.Start();
        thread.Join();

        Assert.Equal(device.Description.Ranks[0].Cpus, attached);
        Assert.Equal(before, child);
    }

    [Fact]
    public void Describes_this_machine()
    {
        var topology = Topology.Read();

        Assert.True(topology.Cores >= 1 && topology.Cpus >= topology.Cores);
        Assert.NotEmpty(topology.Nodes);
        Assert.Equal(topology.Cores, topology.Nodes.Sum(node => node.Cores));
    }

    [Fact]
    public void Measures_a_bandwidth_of_each_rank()
    {
        using var device = new CpuDevice(new CpuDeviceOptions { Threads = 1 });

        Assert.All(device.MeasureBandwidth(TimeSpan.FromMilliseconds(20)), rate => Assert.True(rate > 1e6));
    }

    private static string AllowedCpus() => File.ReadLines("/proc/thread-self/status")
        .Single(line => line.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal))
        .Split('\t')[1];
}
