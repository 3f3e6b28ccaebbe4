using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using LsglangSharp.Support;

namespace LsglangSharp.Api.Tests.EndToEnd;

/// <summary>The program from outside: start-up errors, signals, the commands.</summary>
public sealed class ProgramTests
{
    private static readonly string[] _serve = ["serve", "--port", "0", "--max-total-tokens", "8192"];

    [Theory(Timeout = 60_000)]
    [InlineData("no model folder", "serve", "/no/such/folder")]
    [InlineData("Unknown flag --prot; did you mean --port", "serve", "--prot")]
    [InlineData("There is no command srve; did you mean serve?", "srve")]
    [InlineData("not enough memory", "serve", "--json-model-override-args", "{\"num_hidden_layers\": 900, \"num_experts\": 16384}", "--load-format", "dummy")]
    [InlineData("--host 203.0.113.7 is not an address of this machine", "serve", "--host", "203.0.113.7")]
    [InlineData("NoSuchModel", "serve", "--json-model-override-args", "{\"architectures\": [\"NoSuchModel\"]}")]
    [InlineData("there is no such file", "serve", "--chat-template", "nothing.jinja")]
    [InlineData("qwen25", "serve", "--tool-call-parser", "qwen26")]
    public async Task A_start_that_cannot_succeed_says_why_in_one_line_and_exits_with_2(string expected, params string[] arguments)
    {
        var (code, output) = await LsglangProcess.RunAsync(arguments.Contains("serve") ? [.. arguments, "--port", "0"] : arguments);

        Assert.Equal(2, code);
        Assert.Contains(expected, output, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", output, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_folder_without_a_configuration_is_named()
    {
        using var folder = new TemporaryFolder();

        var (code, output) = await LsglangProcess.RunAsync(["serve", folder.Path, "--port", "0"]);

        Assert.Equal(2, code);
        Assert.Contains($"{folder.Path} has no config.json", output, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_bad_variable_is_named()
    {
        var (code, output) = await LsglangProcess.RunAsync(["serve", "--port", "0"], ("LK_THREADS", "none"));

        Assert.Equal(2, code);
        Assert.Contains("LK_THREADS=none", output, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_port_in_use_is_told_before_anything_is_loaded()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;

        var (code, output) = await LsglangProcess.RunAsync(["serve", "--port", $"{port}"]);

        Assert.Equal(2, code);
        Assert.Contains($"Port {port} on 127.0.0.1 is in use", output, StringComparison.Ordinal);
        Assert.DoesNotContain("weights", output, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_running_server_answers_and_leaves_in_order_when_it_is_asked_to()
    {
        using var server = LsglangProcess.Start(_serve);
        using var http = new HttpClient { BaseAddress = await server.ReadyAsync() };
        Assert.Contains("curl", server.Output, StringComparison.Ordinal);
        var request = http.PostAsJsonAsync("/generate", new JsonObject
        {
            ["input_ids"] = new JsonArray(1, 2, 3),
            ["sampling_params"] = new JsonObject { ["max_new_tokens"] = 500, ["ignore_eos"] = true },
        });
        while ((await MetricAsync(http, "sglang:num_running_reqs")) == 0 && !request.IsCompleted)
        {
            await Task.Yield();
        }

        server.Signal(15);

        Assert.Equal(HttpStatusCode.OK, (await request).StatusCode);
        Assert.Equal(0, await server.ExitAsync());
    }

    [Fact(Timeout = 60_000)]
    public async Task A_second_interrupt_ends_at_once()
    {
        using var server = LsglangProcess.Start(_serve);
        using var http = new HttpClient { BaseAddress = await server.ReadyAsync() };
        var requests = Enumerable.Range(0, 64).Select(_ => http.PostAsJsonAsync("/generate", new JsonObject
        {
            ["input_ids"] = new JsonArray(1, 2, 3),
            ["sampling_params"] = new JsonObject { ["max_new_tokens"] = 4000, ["ignore_eos"] = true },
        })).ToList();
        while ((await MetricAsync(http, "sglang:num_running_reqs")) == 0)
        {
            await Task.Yield();
        }

        server.Signal(2);
        while (!server.Output.Contains("Stopping", StringComparison.Ordinal))
        {
            await Task.Yield();
        }

        server.Signal(2);

        Assert.Equal(0, await server.ExitAsync());
        await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            foreach (var answer in await Task.WhenAll(requests))
            {
                answer.EnsureSuccessStatusCode();
            }
        });
    }

    [Fact(Timeout = 60_000)]
    public async Task Chat_answers_what_is_piped_in()
    {
        using var chat = LsglangProcess.Start("chat", "--max-total-tokens", "8192");
        chat.Write("/set temperature 0");
        chat.Write("What is the capital of France?");
        chat.Write("/exit");
        chat.CloseInput();

        Assert.Equal(0, await chat.ExitAsync());
        Assert.Contains("The capital of France is Paris.", chat.Output, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task Doctor_says_why_there_is_no_GPU()
    {
        var (code, output) = await LsglangProcess.RunAsync(["doctor"], ("LSGLANG_CUDA_LIBRARY", "/no/such/libcuda.so"));

        Assert.Equal(0, code);
        Assert.Contains("GPUs          none. LSGLANG_CUDA_LIBRARY=/no/such/libcuda.so", output, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task Describe_doctor_version_and_help_print_what_they_promise()
    {
        Assert.Contains("12,348,160", (await LsglangProcess.RunAsync(["describe"])).Output, StringComparison.Ordinal);
        Assert.Contains("lsglang version: ", (await LsglangProcess.RunAsync(["version"])).Output, StringComparison.Ordinal);
        Assert.Contains("bandwidth", (await LsglangProcess.RunAsync(["doctor"])).Output, StringComparison.Ordinal);
        Assert.Contains("LK_THREADS", (await LsglangProcess.RunAsync(["serve", "--help"])).Output, StringComparison.Ordinal);
    }

    [Fact(Timeout = 60_000)]
    public async Task Bench_measures_a_model_without_weights()
    {
        var (code, output) = await LsglangProcess.RunAsync(
        [
            "bench", "--load-format", "dummy", "--batch-size", "1,2", "--input-len", "16", "--output-len", "4", "--repeat", "1",
        ]);

        Assert.True(code == 0, output);
        Assert.Contains("decode tok/s", output, StringComparison.Ordinal);
    }

    private static async Task<double> MetricAsync(HttpClient http, string name)
    {
        var text = await http.GetStringAsync("/metrics");
        var line = text.Split('\n').First(line => line.StartsWith(name, StringComparison.Ordinal) && !line.StartsWith('#'));
        return double.Parse(line.Split(' ')[^1], System.Globalization.CultureInfo.InvariantCulture);
    }
}
