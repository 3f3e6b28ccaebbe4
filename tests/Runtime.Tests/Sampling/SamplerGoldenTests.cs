using System.Text.Json;
using LsglangSharp.Runtime.Sampling;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Sampling;

/// <summary>The truth tables of sampling: float64 by other hands.</summary>
public sealed class SamplerGoldenTests
{
    private static readonly Lazy<(JsonElement Json, SafetensorsTable Tensors)?> _goldens = new(Load);

    [SkippableFact]
    public void Distributions_are_those_of_the_truth_table()
    {
        Skip.If(_goldens.Value is null, "reference data is not here");
        var (json, tensors) = _goldens.Value!.Value;
        var failures = new List<string>();

        foreach (var row in json.GetProperty("cases").EnumerateArray())
        {
            var name = row.GetProperty("name").GetString()!;
            var logits = tensors.Read<float>(row.GetProperty("logits").GetString()!);
            var state = State(row, Options(row));
            var actual = new double[logits.Length];
            new Sampler(logits.Length).Probabilities(logits, state, actual);

            var expected = tensors.Read<double>($"{name}.probs");
            var isNear = row.TryGetProperty("near_boundary", out var near) && near.GetBoolean();
            if (!Agree(expected, actual, isNear))
            {
                failures.Add($"{name}: kept {actual.Count(p => p > 0)} of {row.GetProperty("kept")}, "
                    + $"largest difference {expected.Zip(actual, (e, a) => Math.Abs(e - a)).Max()}");
            }
        }

        Assert.Empty(failures);
    }

    [SkippableFact]
    public void Greedy_takes_the_largest_adjusted_logit_and_the_lower_of_equal_ones()
    {
        Skip.If(_goldens.Value is null, "reference data is not here");
        var (json, tensors) = _goldens.Value!.Value;

        foreach (var row in json.GetProperty("cases").EnumerateArray())
        {
            var logits = tensors.Read<float>(row.GetProperty("logits").GetString()!);
            var state = State(row, Options(row) with { Temperature = 0 });

            Assert.Equal(row.GetProperty("argmax").GetInt32(), new Sampler(logits.Length).Sample(logits, state));
        }
    }

    [SkippableFact]
    public void Logprobs_and_top_logprobs_are_those_of_the_truth_table()
    {
        Skip.If(_goldens.Value is null, "reference data is not here");
        var (json, tensors) = _goldens.Value!.Value;

        foreach (var row in json.GetProperty("logprobs").EnumerateArray())
        {
            var name = row.GetProperty("name").GetString()!;
            var logits = tensors.Read<float>(row.GetProperty("logits").GetString()!);
            var expected = tensors.Read<double>($"{name}.logprobs");
            var state = new SamplingState(
                new SamplingOptions { Temperature = row.GetProperty("temperature").GetSingle() }, [], seed: 1);
            var sampler = new Sampler(logits.Length);

            Assert.True(sampler.Sample(logits, state) >= 0);
            for (var token = 0; token < logits.Length; token++)
            {
                // One rounding to float32 of a number up to 1e5, and a logarithm of a sum of float32 exponentials.
                var tolerance = 2e-6 + (Math.Abs(expected[token]) * 1e-6);
                var actual = sampler.LogprobOf(token, logits);
                Assert.True(
                    expected[token] == actual || Math.Abs(expected[token] - actual) <= tolerance,
                    $"{name}, token {token}: {actual} instead of {expected[token]}");
            }

            var topIds = row.GetProperty("top_ids").EnumerateArray().Select(id => id.GetInt32()).ToArray();
            var top = new int[topIds.Length];
            var topLogprobs = new float[topIds.Length];
            Assert.Equal(topIds.Length, sampler.Top(logits, top, topLogprobs));
            Assert.Equal(topIds, top);
            Assert.Equal(topIds.Select(id => sampler.LogprobOf(id, logits)), topLogprobs);
        }
    }

    private static bool Agree(double[] expected, double[] actual, bool isNearBoundary)
    {
        for (var i = 0; i < expected.Length; i++)
        {
            // A probability below the smallest float32 weight cannot be drawn by either.
            var keptByBoth = (expected[i] > 1e-37) == (actual[i] > 1e-37);
            if (!isNearBoundary && (!keptByBoth || Math.Abs(expected[i] - actual[i]) > 1e-6 + (2e-5 * expected[i])))
            {
                return false;
            }
        }

        return Math.Abs(expected.Count(p => p > 0) - actual.Count(p => p > 0)) <= 1 || !isNearBoundary;
    }

    private static SamplingState State(JsonElement row, SamplingOptions options)
    {
        var state = new SamplingState(options, [], seed: 7);
        foreach (var token in row.GetProperty("generated").EnumerateArray())
        {
            state.Add(token.GetInt32());
        }

        return state;
    }

    private static SamplingOptions Options(JsonElement row)
    {
        var parameters = row.GetProperty("params");
        return new SamplingOptions
        {
            Temperature = Number("temperature", 1),
            TopP = Number("top_p", 1),
            TopK = (int)Number("top_k", -1),
            MinP = Number("min_p", 0),
            RepetitionPenalty = Number("repetition_penalty", 1),
            FrequencyPenalty = Number("frequency_penalty", 0),
            PresencePenalty = Number("presence_penalty", 0),
            LogitBias = row.GetProperty("logit_bias").EnumerateObject()
                .ToDictionary(bias => int.Parse(bias.Name), bias => bias.Value.GetSingle()),
        };

        float Number(string name, float byDefault) =>
            parameters.TryGetProperty(name, out var value) ? value.GetSingle() : byDefault;
    }

    private static (JsonElement Json, SafetensorsTable Tensors)? Load()
    {
        if (Repository.SharedPath("goldens", "text", "sampling.json") is not { } path || !File.Exists(path))
        {
            return null;
        }

        var json = JsonDocument.Parse(File.ReadAllBytes(path)).RootElement;
        return (json, new SafetensorsTable(Path.ChangeExtension(path, ".safetensors")));
    }
}
