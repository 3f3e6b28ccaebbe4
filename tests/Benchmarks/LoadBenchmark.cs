using System.Diagnostics;
using System.Globalization;
using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Runtime.Weights;
using Microsoft.Win32.SafeHandles;

namespace LsglangSharp.Benchmarks;

/// <summary>
/// Loading a checkpoint into plain memory beside a loop that only reads the same files, in turns, with the same
/// threads.
/// </summary>
internal static class LoadBenchmark
{
    private const int Rounds = 5;
    private const int ReadBytes = 8 << 20;

    /// <summary>load MODEL_FOLDER [THREADS]</summary>
    public static int Run(string[] arguments)
    {
        if (arguments.Length is not (1 or 2))
        {
            Console.Error.WriteLine("usage: load MODEL_FOLDER [THREADS]");
            return 2;
        }

        var folder = ModelFolder.Open(arguments[0]);
        folder.RequireLoadable();
        var threads = arguments.Length == 2 ? int.Parse(arguments[1], CultureInfo.InvariantCulture) : Environment.ProcessorCount;
        var files = Directory.GetFiles(folder.Path, "*.safetensors");
        var bytes = files.Sum(file => new FileInfo(file).Length);
        Console.WriteLine(FormattableString.Invariant(
            $"{folder.Path}: {bytes / 1e9:0.00} GB in {files.Length} files, {threads} threads, best and median of {Rounds}, GB/s"));
        foreach (var fromDisk in new[] { false, true })
        {
            Compare(folder, files, bytes, threads, fromDisk);
        }

        Dummy(folder.Spec, threads);
        return 0;
    }

    private static void Compare(ModelFolder folder, string[] files, long bytes, int threads, bool fromDisk)
    {
        var reads = new List<double>();
        var loads = new List<double>();
        double peak = 0;
        ReadAll(files, threads);
        for (var round = 0; round < Rounds; round++)
        {
            Forget(files, fromDisk);
            reads.Add(bytes / Seconds(() => ReadAll(files, threads)));
            Forget(files, fromDisk);
            var (seconds, ratio) = Load(folder, () => Checkpoint.Open(folder.Path), threads);
            loads.Add(bytes / seconds);
            peak = Math.Max(peak, ratio);
        }

        Print(fromDisk ? "read loop, disk" : "read loop, page cache", reads, null);
        Print(fromDisk ? "load, disk" : "load, page cache", loads, reads);
        Console.WriteLine(FormattableString.Invariant($"{"peak memory / weights",-24}{peak,8:0.000}"));
    }

    private static void Dummy(ModelSpec spec, int threads)
    {
        var fills = new List<double>();
        var writes = new List<double>();
        for (var round = 0; round < Rounds; round++)
        {
            using (var memory = new BenchmarkMemory(spec, spec.CheckpointType))
            {
                writes.Add(memory.Bytes / Seconds(() => memory.Write(threads)));
            }

            using (var memory = new BenchmarkMemory(spec, spec.CheckpointType))
            {
                fills.Add(memory.Bytes / Seconds(
                    () => WeightLoader.Load(memory.Plan, new DummyWeights(1), new LoadOptions { Threads = threads })));
            }
        }

        Print("write loop, new memory", writes, null);
        Print("dummy weights", fills, writes);
    }

    /// <summary>Seconds, and how far the resident set rose above what it was, in units of the weights.</summary>
    private static (double Seconds, double PeakRatio) Load(ModelFolder folder, Func<Checkpoint> open, int threads)
    {
        using var memory = new BenchmarkMemory(folder.Spec, folder.Spec.CheckpointType);
        GC.Collect();
        File.WriteAllText("/proc/self/clear_refs", "5");
        var before = PeakResidentBytes();
        var seconds = Seconds(() =>
        {
            using var checkpoint = open();
            WeightLoader.Load(memory.Plan, checkpoint, new LoadOptions { Threads = threads });
        });
        return (seconds, (PeakResidentBytes() - before) / (double)memory.Bytes);
    }

    private static long PeakResidentBytes() => 1024 * long.Parse(
        File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmHWM:", StringComparison.Ordinal))[6..^2],
        CultureInfo.InvariantCulture);

    /// <summary>
    /// Every byte of the files once, each thread into a small buffer of its own that stays in its cache.
    /// </summary>
    private static void ReadAll(string[] files, int threads)
    {
        var handles = files.Select(file => File.OpenHandle(file, options: FileOptions.SequentialScan)).ToArray();
        (SafeFileHandle Handle, long Offset)[] pieces =
        [
            .. from handle in handles
               from index in Enumerable.Range(0, (int)((RandomAccess.GetLength(handle) + ReadBytes - 1) / ReadBytes))
               select (handle, (long)index * ReadBytes),
        ];
        var next = -1;
        Task[] readers =
        [
            .. Enumerable.Range(0, threads).Select(_ => Task.Factory.StartNew(
                () =>
                {
                    // As large as the kernel copies at once with its source and target in the second-level cache.
                    var buffer = new byte[256 << 10];
                    for (var i = Interlocked.Increment(ref next); i < pieces.Length; i = Interlocked.Increment(ref next))
                    {
                        var (handle, start) = pieces[i];
                        for (var done = 0; done < ReadBytes;)
                        {
                            var count = RandomAccess.Read(handle, buffer, start + done);
                            if (count == 0)
                            {
                                break;
                            }

                            done += count;
                        }
                    }
                },
                CancellationToken.None,
                TaskCreationOptions.LongRunning,
                TaskScheduler.Default)),
        ];
        Task.WaitAll(readers);
        foreach (var handle in handles)
        {
            handle.Dispose();
        }
    }

    private static void Forget(string[] files, bool fromDisk)
    {
        foreach (var file in fromDisk ? files : [])
        {
            using var handle = File.OpenHandle(file);
            LibC.DropFromPageCache(handle);
        }
    }

    private static double Seconds(Action action)
    {
        var start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static void Print(string name, List<double> rates, List<double>? others)
    {
        var ratio = others is null ? "" : FormattableString.Invariant($"   {Median(rates) / Median(others):0%} of the line above");
        Console.WriteLine(FormattableString.Invariant($"{name,-24}{rates.Max() / 1e9,8:0.00}{Median(rates) / 1e9,8:0.00}{ratio}"));
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
