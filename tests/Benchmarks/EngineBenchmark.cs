using System.Diagnostics;
using System.Globalization;
using LsglangSharp.Runtime;
using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Sampling;
using LsglangSharp.Runtime.Text;
using LsglangSharp.Support;

namespace LsglangSharp.Benchmarks;

/// <summary>
/// What the server itself costs a token: scheduler, sampler, detokeniser, stop strings and the hand-over to readers,
/// over a model that computes nothing. CPU time of the whole process, divided by the tokens that were read.
/// </summary>
internal static class EngineBenchmark
{

    public static int Run(string[] args)
    {
        var streams = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 32;
        var tokens = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 1_000;
        var vocabulary = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 25_600;
        (string Name, SamplingOptions Sampling, bool Logprobs)[] cases =
        [
            ("greedy", new() { Temperature = 0 }, false),
            ("temperature", new() { Temperature = 0.8f }, false),
            ("top-p 0.95, top-k 20", new() { Temperature = 0.6f, TopP = 0.95f, TopK = 20 }, false),
            ("top-p 0.9, flat", new() { Temperature = 2, TopP = 0.9f }, false),
            ("penalties, stop strings", new()
            {
                Temperature = 0.7f, TopP = 0.9f, FrequencyPenalty = 0.5f, RepetitionPenalty = 1.1f, StopStrings = ["\n\n###", "</s>"],
            }, false),
            ("greedy, 5 logprobs", new() { Temperature = 0 }, true),
        ];

        Console.WriteLine($"{streams} streams of {tokens} tokens, vocabulary {vocabulary}, {Environment.ProcessorCount} CPUs");
        foreach (var (name, sampling, logprobs) in cases)
        {
            Measure(vocabulary, sampling, logprobs, streams, Math.Min(tokens, 200)).GetAwaiter().GetResult();
            var (cpu, step, bytes) = Measure(vocabulary, sampling, logprobs, streams, tokens).GetAwaiter().GetResult();
            Console.WriteLine(
                $"{name,-26} {cpu,7:F2} us CPU a token; step thread busy {step,7:F2} us; {bytes,4:F0} bytes allocated");
        }

        return 0;
    }

    private static async Task<(double Cpu, double Step, double Bytes)> Measure(
        int vocabulary, SamplingOptions sampling, bool logprobs, int streams, int tokens)
    {
        var options = new EngineOptions { KvTokens = streams * (tokens + 64) };
        var limits = EngineLimits.Derive(options, vocabulary, 2 * (tokens + 64), 1, long.MaxValue);
        var forward = new IdleForward(vocabulary, streams);
        using var engine = new Engine(forward, limits, options, [], OpenText());
        var process = Process.GetCurrentProcess();
        var bytes = GC.GetTotalAllocatedBytes();
        var cpu = process.TotalProcessorTime;
        await Task.WhenAll(Enumerable.Range(0, streams).Select(i => Task.Run(() => Read(engine, i))));
        process.Refresh();
        var total = (double)streams * tokens;
        return ((process.TotalProcessorTime - cpu).TotalMicroseconds / total,
            forward.OutsideMicros / total,
            (GC.GetTotalAllocatedBytes() - bytes) / total);

        async Task Read(Engine reader, int index)
        {
            var submission = reader.Submit(new GenerationRequest
            {
                Id = $"{index}",
                Prompt = [index, 1, 2, 3],
                Sampling = sampling with { MaxNewTokens = tokens, IgnoreEos = true, Seed = index },
                ReturnLogprobs = logprobs,
                TopLogprobs = logprobs ? 5 : 0,
            });
            var length = 0;
            await foreach (var chunk in submission.Chunks!)
            {
                length += chunk.Text.Length;
            }

            GC.KeepAlive(length);
        }
    }

    /// <summary>The demo model's tokenizer; tokens beyond its vocabulary are folded into it.</summary>
    private static Func<bool, TextStream> OpenText()
    {
        var tokenizer = Tokenizer.Load(Path.Combine(Repository.Root, "models", "demo"));
        return skip =>
        {
            var detokenizer = new StreamingDetokenizer(tokenizer, skip);
            return new TextStream(token => detokenizer.Push(token % tokenizer.VocabularySize), detokenizer.Flush);
        };
    }

    /// <summary>Gives rows of a fixed table, shaped like a model's: most of the mass on few tokens.</summary>
    private sealed class IdleForward : IForward
    {
        private readonly float[] _logits;
        private readonly int _rows;
        private long _left;
        private long _outside;
        private int _step;

        public IdleForward(int vocabulary, int streams)
        {
            Vocabulary = vocabulary;
            _rows = 2 * streams;
            _logits = new float[(_rows + streams) * vocabulary];
            var random = new Random(1);
            for (var i = 0; i < _logits.Length; i++)
            {
                // The sum of uniform numbers is near a normal one; the cube gives the long tail of logits.
                var x = random.NextSingle() + random.NextSingle() + random.NextSingle() - 1.5f;
                _logits[i] = x * x * x * 8;
            }
        }

        public int Vocabulary { get; }

        /// <summary>Wall time between two steps on the step thread.</summary>
        public double OutsideMicros => Stopwatch.GetElapsedTime(0, _outside).TotalMicroseconds;

        public ReadOnlySpan<float> Run(StepBatch batch)
        {
            var now = Stopwatch.GetTimestamp();
            _outside += _left == 0 ? 0 : now - _left;
            var row = _step++ * 7 % _rows;
            _left = Stopwatch.GetTimestamp();
            return _logits.AsSpan(row * Vocabulary, batch.LogitRowCount * Vocabulary);
        }
    }
}
