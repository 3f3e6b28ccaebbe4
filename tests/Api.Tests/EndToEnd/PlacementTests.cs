using System.Net.Http.Json;
using System.Text.Json.Nodes;
using LsglangSharp.Api.Tests.Placement;

namespace LsglangSharp.Api.Tests.EndToEnd;

/// <summary>The demo model served with its parts in all the places that there are: the answers are the same, token by token.</summary>
public sealed class PlacementTests
{
    /// <summary>One cache type for all, so that they compute the same; short steps, because kernels run slowly on a CPU.</summary>
    private static readonly string[] _serve =
    [
        "serve", "--port", "0", "--max-total-tokens", "2048", "--kv-cache-dtype", "float32", "--max-running-requests", "4",
        "--chunked-prefill-size", "64", "--skip-server-warmup",
    ];

    private static readonly string[] _questions = ["What is the capital of France?", "Count to five.", "What is 2 + 3?"];

    private static readonly Lazy<Task<List<int[]>>> _onCpu = new(() => AnswersAsync("cpu"));

    [SkippableTheory(Timeout = 300_000)]
    [InlineData("cuda")]
    [InlineData("hybrid")]
    [InlineData("hybrid with resident layers")]
    public async Task Greedy_answers_are_those_of_the_CPU(string placement)
    {
        var answers = await AnswersAsync(placement);

        Assert.All(await _onCpu.Value, answer => Assert.NotEmpty(answer));
        Assert.Equal(await _onCpu.Value, answers);
    }

    [SkippableFact(Timeout = 300_000)]
    public async Task Chat_and_bench_run_on_the_GPU_too()
    {
        var variables = Placements.Variables("hybrid");
        using var chat = LsglangProcess.Start(["chat", .. _serve[3..], .. Placements.Flags("hybrid")], variables);
        chat.Write("/set temperature 0");
        chat.Write("What is the capital of France?");
        chat.Write("/exit");
        chat.CloseInput();
        Assert.Equal(0, await chat.ExitAsync());
        Assert.Contains("The capital of France is Paris.", chat.Output, StringComparison.Ordinal);

        var (code, output) = await LsglangProcess.RunAsync(
            [
                "bench", "--load-format", "dummy", "--batch-size", "1", "--input-len", "16", "--output-len", "4", "--repeat", "1",
                .. Placements.Flags("cuda"),
            ],
            Placements.Variables("cuda"));
        Assert.True(code == 0, output);
        Assert.Contains("decode tok/s", output, StringComparison.Ordinal);
    }

    private static async Task<List<int[]>> AnswersAsync(string placement)
    {
        using var server = LsglangProcess.Start([.. _serve, .. Placements.Flags(placement)], Placements.Variables(placement));
        using var http = new HttpClient { BaseAddress = await server.ReadyAsync(), Timeout = TimeSpan.FromMinutes(5) };

        // The first alone, then all at once, so that steps of one row and of several are taken.
        var alone = await AnswerAsync(http, _questions[0]);
        var together = await Task.WhenAll(_questions.Select(question => AnswerAsync(http, question)));
        server.Signal(15);
        Assert.Equal(0, await server.ExitAsync());
        return [alone, .. together];
    }

    private static async Task<int[]> AnswerAsync(HttpClient http, string question)
    {
        using var prompt = await http.PostAsJsonAsync("/tokenize", new JsonObject
        {
            ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = question }),
        });
        prompt.EnsureSuccessStatusCode();
        using var answer = await http.PostAsJsonAsync("/generate", new JsonObject
        {
            ["input_ids"] = JsonNode.Parse(await prompt.Content.ReadAsStringAsync())!["tokens"]!.DeepClone(),
            ["sampling_params"] = new JsonObject { ["max_new_tokens"] = 24, ["temperature"] = 0 },
        });
        answer.EnsureSuccessStatusCode();
        var tokens = JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["output_ids"]!.AsArray();
        return [.. tokens.Select(token => (int)token!)];
    }
}
