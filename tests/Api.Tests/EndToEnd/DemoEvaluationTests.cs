using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using LsglangSharp.Support;
using Xunit.Abstractions;

namespace LsglangSharp.Api.Tests.EndToEnd;

/// <summary>What the demo model's notes promise, asked over HTTP.</summary>
[Collection("demo server")]
public sealed class DemoEvaluationTests(DemoServer server, ITestOutputHelper output)
{
    /// <summary>Right answers of 250 in the model's notes, with greedy decoding.</summary>
    private const double NotedShare = 227 / 250.0;

    [Fact]
    public async Task The_share_of_right_answers_equals_the_figure_in_the_notes()
    {
        var cases = Lines("evaluation.jsonl").Where(line => line["messages"] is not null).ToList();
        var right = 0;
        var kinds = new SortedDictionary<string, (int Right, int All)>(StringComparer.Ordinal);

        await Parallel.ForEachAsync(cases, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (entry, cancel) =>
        {
            var isRight = await AskAsync(entry, cancel);
            lock (kinds)
            {
                var kind = (string)entry["kind"]!;
                var sofar = kinds.GetValueOrDefault(kind);
                kinds[kind] = (sofar.Right + (isRight ? 1 : 0), sofar.All + 1);
                right += isRight ? 1 : 0;
            }
        });

        foreach (var (kind, count) in kinds)
        {
            output.WriteLine($"{kind,-22} {count.Right,4} of {count.All,4}");
        }

        var share = (double)right / cases.Count;
        output.WriteLine($"all {right} of {cases.Count}: {share:P1}");
        Assert.True(Math.Abs(share - NotedShare) <= 0.005, $"{share:P1} right, the notes say {NotedShare:P1}");
    }

    [Fact]
    public async Task Greedy_outputs_equal_those_of_the_reference_token_by_token()
    {
        var expected = Golden.ReadInt32(Path.Combine(DemoServer.ModelFolder, "expected.safetensors"));
        var names = expected.Keys.Where(name => name.EndsWith(".prompt", StringComparison.Ordinal)).Select(name => name[..^7]);

        foreach (var name in names)
        {
            var answer = expected[name + ".output"];
            var reply = await PostAsync("generate", new JsonObject
            {
                ["input_ids"] = Array(expected[name + ".prompt"]),
                ["sampling_params"] = new JsonObject { ["temperature"] = 0, ["max_new_tokens"] = answer.Length },
            });
            Assert.Equal(answer, reply["output_ids"]!.AsArray().Select(id => (int)id!).ToArray());
        }
    }

    [Fact]
    public async Task Perplexity_of_held_out_text_equals_the_figure_in_the_notes()
    {
        const double Noted = 2.1392;
        const int Window = 512;
        const int Stride = 256;
        var text = await File.ReadAllTextAsync(Path.Combine(DemoServer.ModelFolder, "evaluation_text.txt"));
        var tokens = (await PostAsync("tokenize", new JsonObject { ["prompt"] = text }))["tokens"]!.AsArray()
            .Select(id => (int)id!).ToArray();
        double sum = 0;
        var count = 0;
        for (var start = 0; ; start += Stride)
        {
            var end = Math.Min(start + Window, tokens.Length);
            var scored = start == 0 ? 1 : Window - Stride;
            var reply = await PostAsync("generate", new JsonObject
            {
                ["input_ids"] = Array(tokens[start..end]),
                ["return_logprob"] = true,
                ["logprob_start_len"] = 0,
                ["sampling_params"] = new JsonObject { ["temperature"] = 0, ["max_new_tokens"] = 1 },
            });
            foreach (var triple in reply["meta_info"]!["input_token_logprobs"]!.AsArray().Skip(scored))
            {
                sum -= (double)triple![0]!;
                count++;
            }

            if (end == tokens.Length)
            {
                break;
            }
        }

        var perplexity = Math.Exp(sum / count);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"perplexity {perplexity:F4} over {count} tokens"));
        Assert.InRange(perplexity, Noted * 0.999, Noted * 1.001);
    }

    private static JsonArray Array(IEnumerable<int> values) => new([.. values.Select(value => (JsonNode)value)]);

    private static IEnumerable<JsonNode> Lines(string file) =>
        File.ReadLines(Path.Combine(DemoServer.ModelFolder, file)).Where(line => line.Length > 0)
            .Select(line => JsonNode.Parse(line)!);

    private async Task<JsonNode> PostAsync(string path, JsonObject body)
    {
        using var response = await server.Http.PostAsJsonAsync(path, body);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, text);
        return JsonNode.Parse(text)!;
    }

    private async Task<bool> AskAsync(JsonNode entry, CancellationToken cancel)
    {
        var body = new JsonObject
        {
            ["messages"] = entry["messages"]!.DeepClone(),
            ["temperature"] = 0,
            ["max_tokens"] = entry["max_tokens"]!.DeepClone(),
        };
        foreach (var name in new[] { "tools", "chat_template_kwargs" })
        {
            if (entry[name] is { } value)
            {
                body[name] = value.DeepClone();
            }
        }

        using var response = await server.Http.PostAsJsonAsync("v1/chat/completions", body, cancel);
        var text = await response.Content.ReadAsStringAsync(cancel);
        Assert.True(response.IsSuccessStatusCode, text);
        return IsRight(entry["check"]!, JsonNode.Parse(text)!["choices"]![0]!["message"]!);
    }

    /// <summary>The checks as the notes define them.</summary>
    private static bool IsRight(JsonNode check, JsonNode message)
    {
        var content = ((string?)message["content"] ?? "").Trim();
        var calls = message["tool_calls"]?.AsArray() ?? [];
        var value = check["value"]!;
        var kind = (string)check["type"]!;
        if (kind == "tool_calls")
        {
            var made = new JsonArray([.. calls.Select(call => new JsonObject
            {
                ["name"] = call!["function"]!["name"]!.DeepClone(),
                ["arguments"] = Json((string)call["function"]!["arguments"]!),
            })]);
            return JsonNode.DeepEquals(made, value);
        }

        return calls.Count == 0 && kind switch
        {
            "exact" => content == (string)value!,
            "contains" => (value is JsonArray all ? all.Select(part => (string)part!) : [(string)value!])
                .All(part => content.Contains(part, StringComparison.Ordinal)),
            "json_equals" => Json(content) is { } json && JsonNode.DeepEquals(json, value),
            _ => throw new InvalidDataException($"unknown check {kind}"),
        };
    }

    private static JsonNode? Json(string text)
    {
        try
        {
            return JsonNode.Parse(text);
        }
        catch (System.Text.Json.JsonException)
        {
            return null;
        }
    }
}
