using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill;
using LsglangSharp.NumaExperts;
using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Layers;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Sampling;
using LsglangSharp.Runtime.Scheduling;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Runtime.Weights;

namespace LsglangSharp.Benchmarks;

/// <summary>
/// What a hybrid decode step of 48 layers costs the step thread beside the experts' own work: scheduling, the copy of the
/// inputs, one launch, what each layer's hand-over takes, reading back and sampling. Over the double of the driver with its
/// kernels stubbed (but for the mailbox's): CUDA_ON_CPU_STUB=1 CUDA_ON_CPU_STUB_EXCEPT=mailbox_post,mailbox_collect
/// LSGLANG_CUDA_LIBRARY=artifacts/cuda_on_cpu/libcuda_on_cpu.so.
/// </summary>
internal static class HybridStepBenchmark
{
    private const int Layers = 48, Hidden = 64, ExpertCount = 16, TopK = 8, PageSize = 16, ContextPages = 256;

    public static int Run(string[] args)
    {
        var rows = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 1;
        var steps = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 300;
        var vocabulary = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 32_768;
        if (Environment.GetEnvironmentVariable("CUDA_ON_CPU_STUB") != "1")
        {
            Console.Error.WriteLine("CUDA_ON_CPU_STUB=1 must be set: this measures the host, not a device.");
            return 2;
        }

        var parts = new Parts();
        using var cpu = new CpuDevice(new CpuDeviceOptions { Threads = 1 });
        using var cuda = new CudaDevice(new CudaDeviceOptions());
        var sizes = new StepSizes(128, rows, ContextPages, rows);
        var options = new MailboxOptions();
        using var hybrid = new HybridExperts(
            cuda.NewMailbox(new MailboxShape(1, sizes.TokensMax, Hidden, TopK), options), cpu.MailboxExperts, options);
        var device = new TimedDevice(cuda, parts);
        using var coordinator = Model(device, hybrid, sizes, vocabulary);
        coordinator.Record([rows]);

        Measure(coordinator, parts, rows, 30);
        parts.Clear();
        Measure(coordinator, parts, rows, steps);
        var serving = Serving(cpu, rows, steps);
        Print(parts, serving, rows, vocabulary);
        return 0;
    }

    private static Coordinator Model(IDevice device, HybridExperts hybrid, StepSizes sizes, int vocabulary)
    {
        var layer = (int index) => new LayerSpec(
            new RmsNorm($"{index}.a", Hidden, 1e-6f),
            new Gqa($"{index}.attention", Hidden, 4, 1, 64, new Rotary(64, 1e6f)) { QkNormEpsilon = 1e-6f },
            new RmsNorm($"{index}.b", Hidden, 1e-6f),
            new Moe($"{index}.moe", Hidden, 8, new Router(ExpertCount, TopK, RouterScoring.Softmax) { Renormalize = true }));
        var spec = new ModelSpec(
            new Embedding("embed", vocabulary, Hidden), [.. Enumerable.Range(0, Layers).Select(layer)],
            new RmsNorm("norm", Hidden, 1e-6f), new Head("head", vocabulary, Hidden, Tied: true))
        {
            Architecture = "Benchmark",
            ModelType = "benchmark",
            ContextLength = ContextPages * PageSize,
            CheckpointType = DType.BF16,
        };
        var plan = new WeightPlan(device.Memory);
        var cache = new KvCacheMemory(device.Memory, DType.BF16, sizes.SequencesMax * ContextPages, PageSize);
        var bound = Binding.Bind(spec, device, DType.BF16, plan, cache.Allocate, expertsOf: _ => hybrid);
        WeightLoader.Load(plan, new DummyWeights(1), new LoadOptions { Threads = 1 });
        return new Coordinator(bound, device, sizes, hybrid);
    }

    /// <summary>As the step loop does it, without requests around it.</summary>
    private static void Measure(Coordinator coordinator, Parts parts, int rows, int steps)
    {
        const int Prompt = 64;
        var limits = new SchedulerLimits
        {
            Pages = rows * ContextPages,
            PageSize = PageSize,
            RunningMax = rows,
            SequenceTokensMax = ContextPages * PageSize,
            PrefillTokensMax = 128,
            PrefillTokensBesideDecode = 128,
            PromptLogitRowsMax = 1,
        };
        var scheduler = new Scheduler(limits, new SchedulerOptions());
        var sampler = new Sampler(coordinator.Vocabulary);
        var sampling = new SamplingState(new SamplingOptions { Temperature = 0 }, [], 1);
        for (var i = 0; i < rows; i++)
        {
            scheduler.Enqueue(new Sequence([.. Enumerable.Range(0, Prompt).Select(token => (token * (i + 3)) % 1000)], steps + 1));
        }

        for (var step = 0; step < steps;)
        {
            var start = Stopwatch.GetTimestamp();
            scheduler.Plan();
            var planned = Stopwatch.GetTimestamp();
            var isDecode = scheduler.Batch.TokenCount == scheduler.Batch.SequenceCount;
            parts.Begin();
            var logits = coordinator.Run(scheduler.Batch);
            var run = Stopwatch.GetTimestamp();
            scheduler.Commit();
            var committed = Stopwatch.GetTimestamp();
            foreach (var sequence in scheduler.Scheduled)
            {
                if (sequence.IsAtEnd)
                {
                    sequence.Append(sampler.Sample(
                        logits.Slice(sequence.LogitRow * coordinator.Vocabulary, coordinator.Vocabulary), sampling));
                }
            }

            if (isDecode)
            {
                parts.End(planned - start + committed - run, run - planned, Stopwatch.GetTimestamp() - committed);
                step++;
            }
        }
    }

    /// <summary>
    /// Microseconds of answering a step's requests of nothing, with a thread in the device's place that asks the next as soon
    /// as it has seen the last.
    /// </summary>
    private static unsafe double Serving(CpuDevice cpu, int rows, int steps)
    {
        var shape = new MailboxShape(1, rows, Hidden, TopK);
        var memory = (nint)NativeMemory.AlignedAlloc((nuint)shape.Bytes, MailboxShape.FlagBytes);
        new Span<byte>((void*)memory, (int)shape.Bytes).Clear();
        var slot = shape.Slot(memory, 0);
        new Span<int>((void*)slot.Experts, rows * TopK).Fill(-1);
        var bank = cpu.MailboxExperts.Allocate(DType.BF16, ExpertCount, TopK, Hidden, 8);
        var requests = Enumerable.Repeat(new MailboxRequest(bank, 0, TopK), Layers).ToArray();
        using var server = cpu.MailboxExperts.Serve(new MailboxMemory(shape, memory, [slot]), requests);
        var times = new List<double>();
        for (var step = 0; step < steps; step++)
        {
            var client = new Thread(() =>
            {
                for (var i = 0; i < Layers; i++)
                {
                    Volatile.Write(ref *(uint*)slot.Request, 1);
                    while (Volatile.Read(ref *(uint*)slot.Done) == 0)
                    {
                    }

                    Volatile.Write(ref *(uint*)slot.Done, 0);
                }
            });
            client.Start();
            // The first layer's wait would count the start of the thread.
            server.Serve(0, 1, rows, TimeSpan.FromSeconds(30));
            var start = Stopwatch.GetTimestamp();
            server.Serve(1, Layers - 1, rows, TimeSpan.FromSeconds(30));
            times.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds * Layers / (Layers - 1));
            client.Join();
        }

        NativeMemory.AlignedFree((void*)memory);
        return Parts.Median(times);
    }

    private static void Print(Parts parts, double serving, int rows, int vocabulary)
    {
        Console.WriteLine($"{Layers} layers, {rows} rows, vocabulary {vocabulary}, {Environment.ProcessorCount} CPUs; medians of a step");
        var total = parts.Scheduling + parts.Inputs + parts.Launch + serving + parts.Sampling;
        Console.WriteLine($"scheduling           {parts.Scheduling,8:F1} us");
        Console.WriteLine($"inputs               {parts.Inputs,8:F1} us");
        Console.WriteLine($"launch               {parts.Launch,8:F1} us");
        Console.WriteLine($"serving overhead     {serving,8:F1} us   ({serving / Layers:F2} a layer, with nothing to compute)");
        Console.WriteLine($"sampling             {parts.Sampling,8:F1} us");
        Console.WriteLine($"the host's cost      {total,8:F1} us   (at most 60 wanted)");
        Console.WriteLine($"reading back         {parts.Read,8:F1} us   (waits for the double's threads, and copies)");
        Console.WriteLine($"the whole forward    {parts.Forward,8:F1} us   (with the double's {Layers} layers of stubbed kernels)");
    }

    /// <summary>Times of the parts of a step, in microseconds.</summary>
    private sealed class Parts
    {
        private readonly List<double>[] _all = [[], [], [], [], [], []];
        private double _inputs;
        private double _launch;
        private double _read;

        public double Scheduling => Median(_all[0]);

        public double Forward => Median(_all[1]);

        public double Sampling => Median(_all[2]);

        public double Inputs => Median(_all[3]);

        public double Launch => Median(_all[4]);

        public double Read => Median(_all[5]);

        public static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

        public void Begin() => _inputs = _launch = _read = 0;

        public void End(long scheduling, long forward, long sampling)
        {
            double[] times = [Micros(scheduling), Micros(forward), Micros(sampling), _inputs, _launch, _read];
            for (var i = 0; i < times.Length; i++)
            {
                _all[i].Add(times[i]);
            }
        }

        public void Clear() => Array.ForEach(_all, list => list.Clear());

        public void Sent(long start) => _inputs += Stopwatch.GetElapsedTime(start).TotalMicroseconds;

        public void Launched(long start) => _launch += Stopwatch.GetElapsedTime(start).TotalMicroseconds;

        public void HasRead(long start) => _read += Stopwatch.GetElapsedTime(start).TotalMicroseconds;

        private static double Micros(long ticks) => ticks * 1e6 / Stopwatch.Frequency;
    }

    /// <summary>A device whose calls are timed.</summary>
    private sealed class TimedDevice(CudaDevice inner, Parts parts) : IDevice, IDeviceMemory, IRecorder
    {
        public string Name => inner.Name;

        public DType ActivationType => inner.ActivationType;

        public IDeviceMemory Memory => this;

        public IDeviceOps Ops => inner.Ops;

        public IExperts Experts => inner.Experts;

        public IRecorder? Recorder => this;

        public long BytesFree => inner.Memory.BytesFree;

        public void Finish() => inner.Finish();

        public Tensor Allocate(DType type, int rows, int columns) => inner.Memory.Allocate(type, rows, columns);

        public WeightMatrix AllocateMatrix(DType type, int rows, int columns) => inner.Memory.AllocateMatrix(type, rows, columns);

        public void Upload<T>(ReadOnlySpan<T> source, Tensor target)
            where T : unmanaged
        {
            var start = Stopwatch.GetTimestamp();
            inner.Memory.Upload(source, target);
            parts.Sent(start);
        }

        public ReadOnlySpan<T> Read<T>(Tensor source)
            where T : unmanaged
        {
            var start = Stopwatch.GetTimestamp();
            var read = inner.Memory.Read<T>(source);
            parts.HasRead(start);
            return read;
        }

        public IRecording Record(Action work) => new TimedRecording(inner.Recorder.Record(work), parts);

        public void Dispose() => inner.Dispose();
    }

    private sealed class TimedRecording(IRecording inner, Parts parts) : IRecording
    {
        public void Replay()
        {
            var start = Stopwatch.GetTimestamp();
            inner.Replay();
            parts.Launched(start);
        }

        public void Dispose() => inner.Dispose();
    }
}
