using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Sampling;

namespace LsglangSharp.Api.Cli.Commands;

/// <summary>lsglang bench: throughput and latency of the engine itself.</summary>
internal static class BenchCommand
{
    /// <summary>What a cache must hold at least.</summary>
    private const int KvTokensMin = 1024;

    public static async Task<int> RunAsync(IReadOnlyList<string> arguments)
    {
        var (options, others) = BenchOptions.Take(arguments);
        var settings = Sized(ServeSettings.Parse(others), options);
        using var model = ServingModel.Load(settings, EnvironmentVariables.Read(), new LoadDisplay(Console.Error));
        model.Describe(Console.Error);
        using var json = options.JsonFile is null ? null : new StreamWriter(options.JsonFile);

        Console.WriteLine();
        Console.WriteLine("batch  input  output   first token   prefill tok/s   decode tok/s    ms/step   weights read");
        foreach (var batch in options.BatchSizes)
        {
            foreach (var input in options.InputLengths)
            {
                await RunAsync(model.Engine, batch, Math.Min(input, 16), 2, seed: 0).ConfigureAwait(false);
                var runs = new List<BenchRun>();
                for (var i = 0; i < options.Repeat; i++)
                {
                    runs.Add(await RunAsync(model.Engine, batch, input, options.OutputLength, seed: i + 1).ConfigureAwait(false));
                }

                Print(new BenchRow(batch, input, options.OutputLength, runs, model.Counts, model.WeightType), json);
            }
        }

        if (model.ReadBandwidth() is { } bandwidth)
        {
            Console.WriteLine($"\nA plain read loop on the same threads reaches {Units.Rate(bandwidth)}.");
        }

        return 0;
    }

    /// <summary>Room for what is measured, and no prefix shared between runs.</summary>
    private static ServeSettings Sized(ServeSettings settings, BenchOptions options)
    {
        var batch = options.BatchSizes.Max();
        var tokens = options.InputLengths.Max() + options.OutputLength + 64;
        return settings with
        {
            SkipTokenizer = true,
            Scheduling = settings.Scheduling with { PrefixCache = false },
            MaxRunningRequests = settings.MaxRunningRequests ?? Math.Max(batch, 1),
            MaxTotalTokens = settings.MaxTotalTokens ?? Math.Max(KvTokensMin, checked(batch * tokens)),
        };
    }

    private static async Task<BenchRun> RunAsync(IEngine engine, int batch, int input, int output, int seed)
    {
        var random = new Random(seed);
        var clock = Stopwatch.StartNew();
        var requests = Enumerable.Range(0, batch).Select(index => OneAsync(engine, index, Prompt(), output, clock)).ToList();
        var times = await Task.WhenAll(requests).ConfigureAwait(false);

        // All prompts are read before the last first token; from then on every step decodes the whole batch. What came along with
        // that token, because this side was slower than the model, cannot be timed and does not count.
        var slowest = times.MaxBy(time => time.First);
        return new BenchRun(
            times.Min(time => time.First), slowest.First, times.Max(time => time.Last) - slowest.First, output - slowest.FirstTokens);

        int[] Prompt() => [.. Enumerable.Range(0, input).Select(_ => random.Next(engine.Facts.Vocabulary))];
    }

    private static async Task<(double First, int FirstTokens, double Last)> OneAsync(
        IEngine engine, int index, int[] prompt, int output, Stopwatch clock)
    {
        var submission = engine.Submit(new GenerationRequest
        {
            Id = $"bench-{index}-{Guid.NewGuid():N}",
            Prompt = prompt,
            Sampling = new SamplingOptions { Temperature = 0, IgnoreEos = true, MaxNewTokens = output },
        });
        if (submission.Rejection is { } rejection)
        {
            throw new ConfigurationException($"The engine refuses the request: {rejection.Message}");
        }

        double first = 0;
        var firstTokens = 0;
        await foreach (var chunk in submission.Chunks!.ConfigureAwait(false))
        {
            if (first == 0 && chunk.Tokens.Count > 0)
            {
                first = clock.Elapsed.TotalSeconds;
                firstTokens = chunk.Tokens.Count;
            }

            if (chunk.Finish is GenerationFinish.Aborted aborted)
            {
                throw new ConfigurationException($"The engine ended the request: {aborted.Message}");
            }
        }

        return (first, firstTokens, clock.Elapsed.TotalSeconds);
    }

    private static void Print(BenchRow row, StreamWriter? json)
    {
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{row.Batch,5}  {row.Input,5}  {row.Output,6}   {row.FirstToken * 1e3,8:F1} ms   {row.PrefillRate,13:F1}   "
            + $"{row.DecodeRate,12:F2}   {row.StepSeconds * 1e3,8:F2}   {row.WeightsRead}"));
        json?.WriteLine(new JsonObject
        {
            ["batch_size"] = row.Batch,
            ["input_len"] = row.Input,
            ["output_len"] = row.Output,
            ["first_token_seconds"] = row.FirstToken,
            ["prefill_tokens_per_second"] = row.PrefillRate,
            ["decode_tokens_per_second"] = row.DecodeRate,
            ["step_seconds"] = row.StepSeconds,
            ["weights_read_bytes_per_second"] = row.ReadRate,
        }.ToJsonString());
        json?.Flush();
    }
}

/// <summary>One measurement: seconds until the first and the last prompt was read, seconds and steps of decoding after that.</summary>
internal readonly record struct BenchRun(double FirstToken, double Prefilled, double Decoding, int DecodeSteps);

/// <summary>The medians of several measurements of one shape.</summary>
internal sealed class BenchRow(int batch, int input, int output, IReadOnlyList<BenchRun> runs, ModelCounts counts, DType weightType)
{
    public int Batch => batch;

    public int Input => input;

    public int Output => output;

    public double FirstToken { get; } = Median(runs.Select(run => run.FirstToken));

    /// <summary>Prompt tokens a second over the whole batch.</summary>
    public double PrefillRate { get; } = batch * input / Median(runs.Select(run => run.Prefilled));

    /// <summary>0 where no step of decoding could be timed.</summary>
    public double StepSeconds { get; } = Median(runs.Select(run => run.DecodeSteps == 0 ? 0 : run.Decoding / run.DecodeSteps));

    public double DecodeRate => StepSeconds == 0 ? 0 : batch / StepSeconds;

    /// <summary>Bytes of weights a second at batch 1, where each active weight is read once a step; null for larger batches.</summary>
    public double? ReadRate => batch == 1 && StepSeconds > 0 ? counts.Active * weightType.Bytes() / StepSeconds : null;

    public string WeightsRead => ReadRate is { } rate ? Units.Rate(rate) : "";

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToList();
        return sorted.Count % 2 == 1 ? sorted[sorted.Count / 2] : (sorted[(sorted.Count / 2) - 1] + sorted[sorted.Count / 2]) / 2;
    }
}
