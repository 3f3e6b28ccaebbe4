using System.Diagnostics;
using System.Globalization;
using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Runtime.Weights;
using Microsoft.Win32.SafeHandles;

namespace LsglangSharp.Benchmarks;

/// <summary>
/// Loading a checkpoint into plain memory beside loops that only read the same files, in turns, with the same threads.
/// </summary>
internal static class LoadBenchmark
{
    private const int Rounds = 7;
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
        var threads = arguments.Length == 2
            ? int.Parse(arguments[1], CultureInfo.InvariantCulture)
            : Environment.ProcessorCount;
        var files = Directory.GetFiles(folder.Path, "*.safetensors");
        var bytes = files.Sum(file => new FileInfo(file).Length);
        Console.WriteLine(FormattableString.Invariant(
            $"{folder.Path}: {bytes / 1e9:0.00} GB in {files.Length} files, {threads} threads, {Rounds} rounds"));
        Console.WriteLine("GB/s: best, median; share of the group's first line: median over rounds, of the bests");
        Compare(folder, files, bytes, threads, fromDisk: false);
        Compare(folder, files, bytes, threads, fromDisk: true);
        Dummy(folder.Spec, threads);
        return 0;
    }

    /// <summary>
    /// In turns: reading into small buffers, which is all that files and page cache can do; reading into memory as large
    /// as the weights, which is the least that any loader must do; and loading.
    /// </summary>
    private static void Compare(ModelFolder folder, string[] files, long bytes, int threads, bool fromDisk)
    {
        var (reads, fills, loads, reloads) =
            (new List<double>(), new List<double>(), new List<double>(), new List<double>());
        double peak = 0;
        ReadAll(files, threads, null);
        for (var round = 0; round < Rounds; round++)
        {
            Forget(files, fromDisk);
            reads.Add(bytes / Seconds(() => ReadAll(files, threads, null)));
            using (var memory = new BenchmarkMemory(folder.Spec, folder.Spec.CheckpointType))
            {
                Forget(files, fromDisk);
                fills.Add(bytes / Seconds(() => ReadAll(files, threads, memory)));
            }

            using (var memory = new BenchmarkMemory(folder.Spec, folder.Spec.CheckpointType))
            {
                Forget(files, fromDisk);
                GC.Collect();
                File.WriteAllText("/proc/self/clear_refs", "5");
                var before = PeakResidentBytes();
                loads.Add(bytes / Seconds(() => Load(folder, memory, threads)));
                peak = Math.Max(peak, (PeakResidentBytes() - before) / (double)memory.Bytes);
                Forget(files, fromDisk);
                reloads.Add(bytes / Seconds(() => Load(folder, memory, threads)));
            }
        }

        var source = fromDisk ? "disk" : "page cache";
        Print($"read loop, small buffers, {source}", reads, reads);
        Print($"read loop, new memory, {source}", fills, reads);
        Print($"load, new memory, {source}", loads, reads);
        Print($"load, touched memory, {source}", reloads, reads);
        Console.WriteLine(FormattableString.Invariant($"{"peak memory / weights",-40}{peak,8:0.000}"));
    }

    private static void Load(ModelFolder folder, BenchmarkMemory memory, int threads)
    {
        using var checkpoint = Checkpoint.Open(folder.Path);
        WeightLoader.Load(memory.Plan, checkpoint, new LoadOptions { Threads = threads });
    }

    private static void Dummy(ModelSpec spec, int threads)
    {
        var (writes, fills, refills) = (new List<double>(), new List<double>(), new List<double>());
        for (var round = 0; round < Rounds; round++)
        {
            using (var memory = new BenchmarkMemory(spec, spec.CheckpointType))
            {
                writes.Add(memory.Bytes / Seconds(() => memory.Write(threads)));
            }

            using (var memory = new BenchmarkMemory(spec, spec.CheckpointType))
            {
                fills.Add(memory.Bytes / Seconds(() => Fill(memory)));
                refills.Add(memory.Bytes / Seconds(() => Fill(memory)));
            }
        }

        Print("write loop, new memory", writes, writes);
        Print("dummy weights, new memory", fills, writes);
        Print("dummy weights, touched memory", refills, writes);

        void Fill(BenchmarkMemory memory) =>
            WeightLoader.Load(memory.Plan, new DummyWeights(1), new LoadOptions { Threads = threads });
    }

    private static long PeakResidentBytes() => 1024 * long.Parse(
        File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmHWM:", StringComparison.Ordinal))[6..^2],
        CultureInfo.InvariantCulture);

    /// <summary>Every byte of the files once, into a small buffer of each thread's own, or into the memory.</summary>
    private static void ReadAll(string[] files, int threads, BenchmarkMemory? memory)
    {
        var handles = files.Select(file => File.OpenHandle(file, options: FileOptions.SequentialScan)).ToArray();
        var pieces = new List<(SafeFileHandle Handle, long Offset, long Place)>();
        long place = 0;
        foreach (var handle in handles)
        {
            for (long at = 0; at < RandomAccess.GetLength(handle); at += ReadBytes, place += ReadBytes)
            {
                pieces.Add((handle, at, place));
            }
        }

        var next = -1;
        Parallel(threads, () =>
        {
            // As much as the kernel copies from one cache to another without going through memory.
            var small = new byte[256 << 10];
            for (var i = Interlocked.Increment(ref next); i < pieces.Count; i = Interlocked.Increment(ref next))
            {
                var (handle, offset, target) = pieces[i];
                for (var done = 0; done < ReadBytes;)
                {
                    var buffer = memory is null ? small : memory.At(target + done, ReadBytes - done);
                    var count = RandomAccess.Read(handle, buffer, offset + done);
                    if (count == 0)
                    {
                        break;
                    }

                    done += count;
                }
            }
        });
        foreach (var handle in handles)
        {
            handle.Dispose();
        }
    }

    internal static void Parallel(int threads, Action work) => Task.WaitAll(
    [
        .. Enumerable.Range(0, threads).Select(_ => Task.Factory.StartNew(
            work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)),
    ]);

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

    private static void Print(string name, List<double> rates, List<double> firsts)
    {
        // Rounds are compared one by one, as what else the machine does changes from round to round.
        var share = Median(rates.Zip(firsts, (rate, first) => rate / first));
        var shareOfBests = rates.Max() / firsts.Max();
        Console.WriteLine(FormattableString.Invariant(
            $"{name,-40}{rates.Max() / 1e9,8:0.00}{Median(rates) / 1e9,8:0.00}{share,8:0%}{shareOfBests,8:0%}"));
    }

    private static double Median(IEnumerable<double> values) => values.Order().ElementAt(Rounds / 2);
}
