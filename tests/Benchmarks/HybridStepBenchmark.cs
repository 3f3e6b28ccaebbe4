using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using LsglangSharp.GpuPrefill;
using LsglangSharp.NumaExperts;
using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Layers;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
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
        var sizes = new StepSizes(128 + rows, rows, ContextPages, rows);
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
        var choosing = coordinator.Choosing!;
        var rules = new ChoiceRules(rows, choosing.EditsMax);
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
            rules.Clear();
            foreach (var sequence in scheduler.Scheduled)
            {
                if (sequence.Computed + sequence.StepTokens == sequence.Length)
                {
                    rules.Add(Greedy(sequence.LogitRow));
                }
            }

            var ruled = Stopwatch.GetTimestamp();
            choosing.Start(scheduler.Batch, rules);
            var chosen = choosing.Finish();
            var run = Stopwatch.GetTimestamp();
            scheduler.Commit();
            var next = 0;
            foreach (var sequence in scheduler.Scheduled)
            {
                if (sequence.IsAtEnd)
                {
                    sequence.Append(Math.Max(0, chosen[next++].Token));
                }
            }

            if (isDecode)
            {
                parts.End(planned - start + Stopwatch.GetTimestamp() - run, run - ruled, ruled - planned);
                step++;
            }
        }
    }

    private static ChoiceRule Greedy(int row) => new()
    {
        Uniform = 0,
        TopP = 1,
        Temperature = 1,
        MinP = 0,
        Repetition = 1,
        Frequency = 0,
        Presence = 0,
        TopK = int.MaxValue,
        LogitRow = row,
        Flags = ChoiceFlags.Chooses | ChoiceFlags.Greedy,
        TopCount = 0,
        Penalties = 0,
        Masks = 0,
        Biases = 0,
    };

    /// <summary>
    /// Microseconds of answering a step's requests of nothing, with a thread in the device's place that asks the next as soon
    /// as it has seen the last.
    /// </summary>
    private static unsafe List<double> Serving(CpuDevice cpu, int rows, int steps)
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
        return times;
    }

    private static void Print(Parts parts, List<double> serving, int rows, int vocabulary)
    {
        Console.WriteLine($"{Layers} layers, {rows} rows, vocabulary {vocabulary}, {Environment.ProcessorCount} CPUs; microseconds of a step");
        Console.WriteLine($"{"",-20} {"best",8} {"median",8}");
        (string Name, List<double> Times)[] host =
        [
            ("scheduling", parts.Scheduling), ("inputs", parts.Inputs), ("launch", parts.Launch), ("serving overhead", serving),
            ("sampling", parts.Sampling),
        ];
        foreach (var (name, times) in host)
        {
            Console.WriteLine($"{name,-20} {times.Min(),8:F1} {Median(times),8:F1}");
        }

        Console.WriteLine($"{"the host's cost",-20} {host.Sum(part => part.Times.Min()),8:F1} {host.Sum(part => Median(part.Times)),8:F1}");
        Console.WriteLine("beside these, the double's own threads:");
        Console.WriteLine($"{"reading back",-20} {parts.Read.Min(),8:F1} {Median(parts.Read),8:F1}");
        Console.WriteLine($"{"the whole forward",-20} {parts.Forward.Min(),8:F1} {Median(parts.Forward),8:F1}");
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    /// <summary>Times of the parts of a step, in microseconds.</summary>
    private sealed class Parts
    {
        private readonly List<double>[] _all = [[], [], [], [], [], []];
        private double _inputs;
        private double _launch;
        private double _read;
        private double _sampling;

        public List<double> Scheduling => _all[0];

        public List<double> Forward => _all[1];

        public List<double> Sampling => _all[2];

        public List<double> Inputs => _all[3];

        public List<double> Launch => _all[4];

        public List<double> Read => _all[5];

        public void Begin() => _inputs = _launch = _read = _sampling = 0;

        public void End(long scheduling, long forward, long sampling)
        {
            double[] times = [Micros(scheduling), Micros(forward), Micros(sampling) + _sampling, _inputs, _launch, _read];
            for (var i = 0; i < times.Length; i++)
            {
                _all[i].Add(times[i]);
            }
        }

        public void Clear() => Array.ForEach(_all, list => list.Clear());

        public void Sent(long start) => _inputs += Stopwatch.GetElapsedTime(start).TotalMicroseconds;

        public void Launched(long start) => _launch += Stopwatch.GetElapsedTime(start).TotalMicroseconds;

        public void Ruled(long start) => _sampling += Stopwatch.GetElapsedTime(start).TotalMicroseconds;

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

        public IChooser? NewChooser(int vocabulary, int rowsMax) => new TimedChooser(inner.NewChooser(vocabulary, rowsMax)!, parts);

        public void Reserve(int rows, int width) => inner.Reserve(rows, width);

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

    private sealed class TimedChooser(IChooser inner, Parts parts) : IChooser
    {
        public int RowsMax => inner.RowsMax;

        public int EditsMax => inner.EditsMax;

        public void Start(Tensor logits, ChoiceRules rules, int place)
        {
            var start = Stopwatch.GetTimestamp();
            inner.Start(logits, rules, place);
            parts.Ruled(start);
        }

        public ReadOnlySpan<ChosenToken> Finish(int place)
        {
            var start = Stopwatch.GetTimestamp();
            var chosen = inner.Finish(place);
            parts.HasRead(start);
            return chosen;
        }

        public void TakeTokens(int place, ReadOnlySpan<int> sources, Tensor tokens) => inner.TakeTokens(place, sources, tokens);

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
