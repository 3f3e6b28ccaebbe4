using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill;
using LsglangSharp.GpuPrefill.Tests;
using LsglangSharp.NumaExperts;
using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Hybrid.Tests;

/// <summary>Experts on the host behind a mailbox on the device: kernels at one end, native/lk_moe at the other.</summary>
[Collection(Alone.Name)]
public sealed class CudaMailboxTests
{
    private const int Experts = 6, TopK = 2, Intermediate = 24, RowsMax = 300;

    private readonly Random _random = new(11);

    /// <summary>Widths with and without vectors of four; rows of one block and of several; the device's two ways to wait.</summary>
    [SkippableTheory]
    [InlineData(64, 1, false)]
    [InlineData(64, 7, true)]
    [InlineData(64, 300, false)]
    [InlineData(30, 5, false)]
    [InlineData(2048, 3, true)]
    public void Adds_what_the_experts_of_the_host_compute(int hidden, int rows, bool waitsByStream)
    {
        using var machine = CudaOnCpu.With(("CUDA_ON_CPU_ORDER", "random:5"));
        using var pair = new Pair(hidden, new MailboxOptions { WaitsByStream = waitsByStream });
        var bank = pair.Bank(_random);

        for (var step = 0; step < 3; step++)
        {
            var (x, y, routes, expected) = pair.Question(bank, rows, _random);
            pair.Hybrid.Join(pair.Hybrid.Start(bank, x, routes), y);

            Assert.Equal(expected, pair.Cuda.Memory.Read<float>(y).ToArray());
        }

        pair.Hybrid.ThrowIfFaulty();
    }

    [SkippableTheory]
    [InlineData(false, "eager")]
    [InlineData(true, "eager")]
    [InlineData(false, "lazy")]
    [InlineData(true, "random:9")]
    public void A_recorded_step_of_many_layers_is_answered_in_one_call(bool waitsByStream, string order)
    {
        using var machine = CudaOnCpu.With(("CUDA_ON_CPU_ORDER", order));
        using var pair = new Pair(64, new MailboxOptions { WaitsByStream = waitsByStream });
        var banks = Enumerable.Range(0, 7).Select(_ => pair.Bank(_random)).ToArray();
        var (x, y, routes, _) = pair.Question(banks[0], 4, _random);
        var live = pair.Cuda.Memory.Allocate(DType.I32, 1, 1);
        var before = pair.Cuda.Memory.Read<float>(y).ToArray();
        var parts = banks.Select(bank => pair.Sums(bank, x, routes)).ToArray();

        pair.Hybrid.IsRecording = true;
        using var recording = pair.Cuda.Recorder.Record(() =>
        {
            foreach (var bank in banks)
            {
                var run = pair.Hybrid.Start(bank, x, routes with { LiveRows = live });
                pair.Hybrid.Join(run, y);
            }
        });
        pair.Hybrid.IsRecording = false;

        foreach (var rows in new[] { 4, 1, 3 })
        {
            pair.Cuda.Memory.Upload<float>(before, y);
            pair.Cuda.Memory.Upload<int>([rows], live);
            recording.Replay();
            pair.Hybrid.ServeStep(rows);

            // Rows that do not live stay as they are.
            var expected = before.ToArray();
            foreach (var part in parts)
            {
                for (var i = 0; i < rows * 64; i++)
                {
                    expected[i] += part[i];
                }
            }

            Assert.Equal(expected, pair.Cuda.Memory.Read<float>(y).ToArray());
            pair.Hybrid.ThrowIfFaulty();
        }
    }

    [SkippableTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_device_that_nobody_answers_gives_up_and_can_go_on(bool waitsByStream)
    {
        using var machine = CudaOnCpu.With();
        using var pair = new Pair(
            64, new MailboxOptions { WaitsByStream = waitsByStream, DeviceTimeout = TimeSpan.FromMilliseconds(30) });
        var bank = pair.Bank(_random);
        var (x, y, routes, expected) = pair.Question(bank, 2, _random);
        var before = pair.Cuda.Memory.Read<float>(y).ToArray();

        pair.Hybrid.IsRecording = true;
        pair.Hybrid.Join(pair.Hybrid.Start(bank, x, routes), y);
        pair.Hybrid.Join(pair.Hybrid.Start(bank, x, routes), y);
        pair.Hybrid.IsRecording = false;
        if (waitsByStream)
        {
            // Such a wait has no end of its own: whoever finds the fault ends it.
            pair.Hybrid.GiveUp();
        }

        Assert.Equal(before, pair.Cuda.Memory.Read<float>(y).ToArray());
        Assert.Throws<DeviceFaultException>(pair.Hybrid.ThrowIfFaulty);
        pair.Hybrid.Reset();
        pair.Hybrid.Join(pair.Hybrid.Start(bank, x, routes), y);
        Assert.Equal(expected, pair.Cuda.Memory.Read<float>(y).ToArray());
        pair.Hybrid.ThrowIfFaulty();
    }

    [SkippableFact]
    public void A_host_that_is_never_asked_gives_up_and_names_the_layer()
    {
        using var machine = CudaOnCpu.With();
        using var pair = new Pair(64, new MailboxOptions { HostTimeout = TimeSpan.FromSeconds(1) });
        var bank = pair.Bank(_random);
        pair.Bank(_random);
        var (x, _, routes, _) = pair.Question(bank, 2, _random);

        pair.Hybrid.Start(bank, x, routes);
        var fault = Assert.Throws<DeviceFaultException>(() => pair.Hybrid.ServeStep(2));

        Assert.StartsWith("experts of layer 1 of those on the host", fault.Message, StringComparison.Ordinal);
        Assert.False(fault.IsFatal);
    }

    [SkippableFact]
    public void Experts_that_fail_leave_nobody_waiting()
    {
        using var machine = CudaOnCpu.With();
        using var pair = new Pair(64, new MailboxOptions());
        var bank = pair.Bank(_random);
        var (x, y, routes, expected) = pair.Question(bank, 2, _random);
        var good = pair.Cuda.Memory.Read<int>(routes.Experts).ToArray();
        pair.Cuda.Memory.Upload<int>([1, 2, 3, Experts], routes.Experts);

        var run = pair.Hybrid.Start(bank, x, routes);
        var fault = Assert.Throws<DeviceFaultException>(() => pair.Hybrid.Join(run, y));
        pair.Cuda.Finish();
        pair.Hybrid.Reset();
        pair.Cuda.Memory.Upload<int>(good, routes.Experts);
        pair.Hybrid.Join(pair.Hybrid.Start(bank, x, routes), y);

        Assert.Contains("not one of the bank's", fault.Message, StringComparison.Ordinal);
        Assert.Equal(expected, pair.Cuda.Memory.Read<float>(y).ToArray());
    }

    [SkippableFact]
    public void A_stream_that_is_wedged_counts_as_lost_instead_of_being_waited_for()
    {
        using var machine = CudaOnCpu.With(("CUDA_ON_CPU_WEDGE", "6"));
        var cuda = new CudaDevice(new CudaDeviceOptions { PatienceMax = TimeSpan.FromMilliseconds(50) });
        var fault = Assert.Throws<DeviceLostException>(() =>
        {
            for (var i = 0; i < 10; i++)
            {
                cuda.Memory.Allocate(DType.F32, 1, 8);
            }

            cuda.Finish();
        });

        Assert.Contains("GPU 0 has not finished", fault.Message, StringComparison.Ordinal);
        Assert.True(fault.IsFatal);
    }

    /// <summary>A GPU and the CPUs beside it.</summary>
    private sealed class Pair : IDisposable
    {
        private readonly CpuDevice _cpu = new(new CpuDeviceOptions { Threads = 2, ExactActivations = true });
        private readonly int _hidden;

        public Pair(int hidden, MailboxOptions options)
        {
            _hidden = hidden;
            Cuda = new CudaDevice(new CudaDeviceOptions());
            var mailbox = Cuda.NewMailbox(new MailboxShape(1, RowsMax, hidden, TopK), options);
            Hybrid = new HybridExperts(mailbox, _cpu.MailboxExperts, options);
        }

        public CudaDevice Cuda { get; }

        public HybridExperts Hybrid { get; }

        public ExpertBank Bank(Random random)
        {
            var bank = Hybrid.Allocate(DType.F32, Experts, TopK, _hidden, Intermediate);
            for (var expert = 0; expert < Experts; expert++)
            {
                foreach (var matrix in new[] { bank.Gate(expert), bank.Up(expert), bank.Down(expert) })
                {
                    matrix.Fill(0, matrix.Rows, (_, _, target) =>
                        Floats(random, target.Length / sizeof(float), 0.3f).CopyTo(MemoryMarshal.Cast<byte, float>(target)));
                }
            }

            return bank;
        }

        /// <summary>Rows, where their sums go, and what the CPU device itself makes of them.</summary>
        public (Tensor X, Tensor Y, Routes Routes, float[] Expected) Question(ExpertBank bank, int rows, Random random)
        {
            // A view, as a device may hand one over.
            var x = Cuda.Memory.Allocate(DType.F32, rows, _hidden);
            var y = Cuda.Memory.Allocate(DType.F32, rows, _hidden);
            var routes = new Routes(Cuda.Memory.Allocate(DType.I32, rows, TopK), Cuda.Memory.Allocate(DType.F32, rows, TopK));
            var before = Floats(random, rows * _hidden, 1);
            Cuda.Memory.Upload<float>(Floats(random, rows * _hidden, 1), x);
            Cuda.Memory.Upload<float>(before, y);
            Cuda.Memory.Upload<float>(Floats(random, rows * TopK, 1), routes.Weights);
            Cuda.Memory.Upload<int>([.. Enumerable.Range(0, rows * TopK).Select(_ => random.Next(-1, Experts))], routes.Experts);
            return (x, y, routes, [.. before.Zip(Sums(bank, x, routes), (a, b) => a + b)]);
        }

        /// <summary>What the experts add.</summary>
        public float[] Sums(ExpertBank bank, Tensor x, Routes routes)
        {
            Tensor Copy(Tensor source) => _cpu.Memory.Allocate(source.Type, source.Rows, source.Columns);
            var (cx, cy, experts, weights) = (Copy(x), Copy(x), Copy(routes.Experts), Copy(routes.Weights));
            _cpu.Memory.Upload(Cuda.Memory.Read<float>(x), cx);
            _cpu.Memory.Upload(Cuda.Memory.Read<int>(routes.Experts), experts);
            _cpu.Memory.Upload(Cuda.Memory.Read<float>(routes.Weights), weights);
            _cpu.Experts.Join(_cpu.Experts.Start(bank, cx, new Routes(experts, weights)), cy);
            return _cpu.Memory.Read<float>(cy).ToArray();
        }

        public void Dispose()
        {
            Hybrid.Dispose();
            Cuda.Dispose();
            _cpu.Dispose();
        }

        private static float[] Floats(Random random, int count, float scale) =>
            [.. Enumerable.Range(0, count).Select(_ => ((random.NextSingle() * 2) - 1) * scale)];
    }
}
