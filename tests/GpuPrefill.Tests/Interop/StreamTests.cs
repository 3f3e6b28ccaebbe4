using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill.Interop;

namespace LsglangSharp.GpuPrefill.Tests.Interop;

/// <summary>Streams, events, page-locked memory and graphs, in every order that CUDA allows.</summary>
[Collection(Alone.Name)]
public sealed class StreamTests
{
    public static TheoryData<string> Orders => ["eager", "lazy", "random:1", "random:2", "random:3"];

    [SkippableTheory]
    [MemberData(nameof(Orders))]
    public void An_event_orders_two_streams(string order)
    {
        using var machine = CudaOnCpu.With(("CUDA_ON_CPU_ORDER", order));
        using var context = new CudaContext(0);
        using var there = new CudaStream(context);
        using var back = new CudaStream(context, isUrgent: true);
        using var arrived = new CudaEvent(context);
        using var source = Numbers(context, 1 << 16, i => i);
        using var target = Numbers(context, 1 << 16, _ => -1);
        using var memory = new Memory(context, source.Bytes);

        there.CopyToDevice(memory.Address, source.Address, source.Bytes);
        arrived.Record(there);
        back.Wait(arrived);
        back.CopyToHost(target.Address, memory.Address, target.Bytes);
        back.Synchronize();

        Assert.Equal(source.Span(0, (int)source.Bytes), target.Span(0, (int)target.Bytes));
        Assert.True(arrived.IsDone);
        Assert.Empty(CudaOnCpu.LastFault);
    }

    [Fact]
    public void What_has_not_happened_is_not_done()
    {
        using var context = new CudaContext(0);
        using var stream = new CudaStream(context);
        using var done = new CudaEvent(context);
        using var flag = new PinnedMemory(context, sizeof(int));
        flag.Span(0, sizeof(int)).Clear();
        Assert.True(done.IsDone);

        context.Bind();
        CudaException.ThrowIfFailed(CudaDriver.StreamWaitValue(stream.Handle, flag.DeviceAddress, 1, 0), "waiting for a flag");
        done.Record(stream);
        var (eventBefore, streamBefore) = (done.IsDone, stream.IsDone);
        Volatile.Write(ref MemoryMarshal.Cast<byte, int>(flag.Span(0, sizeof(int)))[0], 1);
        done.Synchronize();

        Assert.False(eventBefore);
        Assert.False(streamBefore);
        Assert.True(done.IsDone);
        stream.Synchronize();
        Assert.True(stream.IsDone);
    }

    [Fact]
    public void Time_passes_between_timed_events()
    {
        using var context = new CudaContext(0);
        using var stream = new CudaStream(context);
        using var start = new CudaEvent(context, isTimed: true);
        using var end = new CudaEvent(context, isTimed: true);
        using var memory = new Memory(context, 8 << 20);

        start.Record(stream);
        stream.Zero(memory.Address, 8 << 20);
        end.Record(stream);
        end.Synchronize();

        Assert.InRange(end.Since(start), TimeSpan.FromTicks(1), TimeSpan.FromSeconds(10));
    }

    [SkippableTheory]
    [MemberData(nameof(Orders))]
    public void A_graph_does_again_what_was_captured(string order)
    {
        using var machine = CudaOnCpu.With(("CUDA_ON_CPU_ORDER", order));
        using var context = new CudaContext(0);
        using var stream = new CudaStream(context);
        using var side = new CudaStream(context);
        using var fork = new CudaEvent(context);
        using var join = new CudaEvent(context);
        using var source = Numbers(context, 256, i => i);
        using var target = Numbers(context, 256, _ => -1);
        using var other = Numbers(context, 256, _ => -1);
        using var memory = new Memory(context, source.Bytes);

        stream.BeginCapture();
        var isCapturing = stream.IsCapturing;
        stream.CopyToDevice(memory.Address, source.Address, source.Bytes);
        fork.Record(stream);
        side.Wait(fork);
        side.CopyToHost(other.Address, memory.Address, other.Bytes);
        stream.CopyToHost(target.Address, memory.Address, target.Bytes);
        join.Record(side);
        stream.Wait(join);
        using var graph = stream.EndCapture();
        using var executable = graph.Instantiate();
        var captured = MemoryMarshal.Cast<byte, int>(target.Span(0, 4))[0];
        executable.Upload(stream);

        Assert.True(isCapturing);
        Assert.False(stream.IsCapturing);
        Assert.Equal(3, graph.NodeCount);
        Assert.Equal(-1, captured);
        for (var round = 0; round < 3; round++)
        {
            MemoryMarshal.Cast<byte, int>(source.Span(0, 4))[0] = round;
            executable.Launch(stream);
            stream.Synchronize();
            Assert.Equal(source.Span(0, 1024), target.Span(0, 1024));
            Assert.Equal(source.Span(0, 1024), other.Span(0, 1024));
        }

        Assert.Empty(CudaOnCpu.LastFault);
    }

    [SkippableTheory]
    [InlineData("1")]
    [InlineData("0")]
    public void Memory_travels_between_devices_with_peer_access_and_without(string peers)
    {
        using var machine = CudaOnCpu.With(("CUDA_ON_CPU_DEVICES", "2"), ("CUDA_ON_CPU_PEERS", peers));
        using var first = new CudaContext(0);
        using var second = new CudaContext(1);
        using var send = new CudaStream(first);
        using var receive = new CudaStream(second);
        using var sent = new CudaEvent(first);
        using var source = Numbers(first, 1000, i => i * 3);
        using var target = Numbers(second, 1000, _ => 0);
        using var here = new Memory(first, source.Bytes);
        using var there = new Memory(second, source.Bytes);

        var reach = first.EnablePeer(second);
        var again = first.EnablePeer(second);
        send.CopyToDevice(here.Address, source.Address, source.Bytes);
        send.CopyToPeer(second, there.Address, here.Address, source.Bytes);
        sent.Record(send);
        receive.Wait(sent);
        receive.CopyToHost(target.Address, there.Address, source.Bytes);
        receive.Synchronize();

        Assert.Equal(peers == "1", reach);
        Assert.Equal(reach, again);
        Assert.Equal(source.Span(0, (int)source.Bytes), target.Span(0, (int)source.Bytes));
        Assert.Empty(CudaOnCpu.LastFault);
    }

    [Fact]
    public void Any_thread_may_call_for_any_device()
    {
        using var context = new CudaContext(0);
        using var stream = new CudaStream(context);
        using var memory = new Memory(context, 4096);

        Parallel.For(0, 16, i =>
        {
            using var bytes = new PinnedMemory(context, 256);
            bytes.Span(0, 256).Fill((byte)i);
            stream.CopyToDevice(memory.Address + (256 * i), bytes.Address, 256);
            stream.Synchronize();
        });
        using var all = new PinnedMemory(context, 4096);
        stream.CopyToHost(all.Address, memory.Address, 4096);
        stream.Synchronize();

        Assert.All(Enumerable.Range(0, 4096), i => Assert.Equal(i / 256, all.Span(i, 1)[0]));
    }

    [Fact]
    public void What_was_disposed_of_cannot_be_used()
    {
        using var context = new CudaContext(0);
        var stream = new CudaStream(context);
        var mark = new CudaEvent(context);
        var pinned = new PinnedMemory(context, 16);
        stream.Dispose();
        stream.Dispose();
        mark.Dispose();
        pinned.Dispose();
        pinned.Dispose();

        Assert.Throws<ObjectDisposedException>(stream.Synchronize);
        Assert.Throws<ObjectDisposedException>(mark.Synchronize);
        Assert.Throws<ObjectDisposedException>(() => pinned.Span(0, 1).Length);
    }

    private static PinnedMemory Numbers(CudaContext context, int count, Func<int, int> value)
    {
        var memory = new PinnedMemory(context, count * sizeof(int));
        var numbers = MemoryMarshal.Cast<byte, int>(memory.Span(0, count * sizeof(int)));
        for (var i = 0; i < count; i++)
        {
            numbers[i] = value(i);
        }

        return memory;
    }

    /// <summary>Device memory without a device.</summary>
    private sealed class Memory : IDisposable
    {
        private readonly CudaContext _context;

        public Memory(CudaContext context, long bytes)
        {
            _context = context;
            context.Bind();
            CudaException.ThrowIfFailed(CudaDriver.MemoryAllocate(out var address, (nuint)bytes), "allocating");
            Address = address;
        }

        public nint Address { get; }

        public void Dispose()
        {
            _context.Bind();
            CudaDriver.MemoryFree(Address);
        }
    }
}
