using System.Net;
using System.Text.Json.Nodes;
using LsglangSharp.Api.Tests.Serving;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.Tests.Native;

public sealed class InfoTests
{
    [Fact]
    public async Task Model_info_names_the_model()
    {
        await using var server = await RunningServer.StartAsync(
            model: model => model with { ModelType = "qwen3_moe", Architectures = ["Qwen3MoeForCausalLM"] });

        var (_, body) = await server.GetAsync("/get_model_info");

        Assert.Equal(
            JsonNode.Parse("""
                {"model_path":"models/tiny","served_model_name":"tiny","tokenizer_path":"models/tiny","is_generation":true,
                "preferred_sampling_params":null,"weight_version":"default","load_format":"auto","reasoning_parser":null,
                "tool_call_parser":null,"has_image_understanding":false,"has_audio_understanding":false,
                "model_type":"qwen3_moe","architectures":["Qwen3MoeForCausalLM"]}
                """)!.ToJsonString(),
            body);
    }

    [Fact]
    public async Task Server_info_shows_the_arguments_but_no_key()
    {
        await using var server = await RunningServer.StartAsync(options => options with
        {
            Arguments = new JsonObject { ["tp_size"] = 1, ["api_key"] = "secret", ["admin_api_key"] = "secret", ["dtype"] = null },
            Version = "0.1.0",
        });

        var (status, body) = await server.GetAsync("/server_info");

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.DoesNotContain("secret", body, StringComparison.Ordinal);
        var json = JsonNode.Parse(body)!;
        Assert.Equal(1, (int)json["tp_size"]!);
        Assert.Equal(4096, (int)json["max_total_num_tokens"]!);
        Assert.Equal("0.1.0", (string?)json["version"]);
        Assert.Single(json["internal_states"]!.AsArray());
    }

    [Fact]
    public async Task Metrics_count_requests_and_tokens_by_kind()
    {
        await using var server = await RunningServer.StartAsync();
        server.Engine.Load = new EngineLoad { RunningRequests = 3, UsedKvTokens = 1024, CachedTokens = 1, PromptTokens = 4 };
        await server.AskAsync("/generate", """{"text":"Hi"}""");
        await server.StreamAsync("/generate", """{"text":"Hi","stream":true}""");
        await server.StreamAsync("/generate", """{"text":"Hi","stream":true}""");

        var (_, text) = await server.GetAsync("/metrics");

        var lines = text.Split('\n');
        Assert.Contains(
            """sglang:num_requests_total{engine_type="unified",model_name="tiny",is_streaming="False"} 1""",
            lines);
        Assert.Contains(
            """sglang:num_requests_total{engine_type="unified",model_name="tiny",is_streaming="True"} 2""",
            lines);
        Assert.Contains(
            """sglang:prompt_tokens_total{engine_type="unified",model_name="tiny",is_streaming="True"} 4""",
            lines);
        Assert.Contains(
            """sglang:generation_tokens_total{engine_type="unified",model_name="tiny",is_streaming="True"} 6""",
            lines);
        Assert.Contains(
            """sglang:time_to_first_token_seconds_count{engine_type="unified",model_name="tiny"} 3""",
            lines);
        Assert.Contains(
            """sglang:e2e_request_latency_seconds_count{engine_type="unified",model_name="tiny"} 3""",
            lines);
        Assert.Contains(
            lines,
            line => line.StartsWith(
                "sglang:num_running_reqs{",
                StringComparison.Ordinal) && line.EndsWith(" 3", StringComparison.Ordinal));
        Assert.Contains(
            lines,
            line => line.StartsWith(
                "sglang:token_usage{",
                StringComparison.Ordinal) && line.EndsWith(" 0.25", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Every_metric_is_described_once_and_every_line_parses()
    {
        await using var server = await RunningServer.StartAsync();

        var (_, text) = await server.GetAsync("/metrics");

        var lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        var described = lines.Where(
            line => line.StartsWith("# TYPE ", StringComparison.Ordinal)).Select(line => line.Split(' ')[2]).ToList();
        Assert.Equal(described.Count, described.Distinct().Count());
        Assert.All(
            lines.Where(line => line[0] != '#'),
            line => Assert.Matches("""^sglang:[a-z0-9_]+\{([a-z_]+="[^"]*",?)*\} -?[0-9.eE+-]+$""", line));
    }

    [Fact]
    public async Task Health_without_generation_says_whether_the_engine_has_failed()
    {
        await using var server = await RunningServer.StartAsync();

        var (healthy, body) = await server.GetAsync("/health");
        server.Engine.Load = new EngineLoad { Fault = "broken" };
        var (failed, _) = await server.GetAsync("/health");

        Assert.Equal((HttpStatusCode.OK, ""), (healthy, body));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, failed);
    }

    [Fact]
    public async Task Health_generates_one_token_greedily()
    {
        await using var server = await RunningServer.StartAsync();

        var (status, body) = await server.GetAsync("/health_generate");

        Assert.Equal((HttpStatusCode.OK, ""), (status, body));
        var request = server.Engine.Requests.Single();
        Assert.Equal([0], request.Prompt);
        Assert.Equal((1, 0f), (request.Sampling.MaxNewTokens, request.Sampling.Temperature));
    }

    [Fact]
    public async Task Health_of_an_engine_that_never_answers_is_bad()
    {
        await using var server = await RunningServer.StartAsync(
            options => options with { HealthLimit = TimeSpan.FromMilliseconds(50) });
        server.Engine.SayLater();

        var (status, _) = await server.GetAsync("/health_generate");

        Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
        await server.Engine.LeftEarly;
    }

    [Theory]
    [InlineData("/v1/tokenize", """{"prompt":"Hi"}""", """{"tokens":[72,105],"count":2,"max_model_len":1000}""")]
    [InlineData(
        "/tokenize",
        """{"prompt":["Hi","x"]}""",
        """{"tokens":[[72,105],[120]],"count":[2,1],"max_model_len":1000}""")]
    [InlineData("/tokenize", """{"prompt":""}""", """{"tokens":[],"count":0,"max_model_len":1000}""")]
    [InlineData("/detokenize", """{"tokens":[72,105,256]}""", """{"text":"Hi"}""")]
    [InlineData("/v1/detokenize", """{"tokens":[72,256],"skip_special_tokens":false}""", """{"text":"H<eos>"}""")]
    [InlineData("/detokenize", """{"tokens":[[72],[]]}""", """{"text":["H",""]}""")]
    public async Task Text_and_tokens_are_turned_into_each_other(string path, string request, string answer)
    {
        await using var server = await RunningServer.StartAsync();

        var (status, body) = await server.AskAsync(path, request);

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(answer), body), body.ToJsonString());
    }

    [Fact]
    public async Task Conversations_are_tokenized_as_the_model_would_see_them()
    {
        await using var server = await RunningServer.StartAsync();

        var (_, body) = await server.AskAsync("/tokenize", """{"messages":[{"role":"user","content":"Hi"}]}""");

        var text = new ByteText().Decode(
            [.. body["tokens"]!.AsArray().Select(token => (int)token!)],
            skipSpecialTokens: false);
        Assert.Equal("user: Hi\nassistant: ", text);
    }

    [Theory]
    [InlineData("/tokenize", """{}""", "One of 'prompt' and 'messages' is needed.")]
    [InlineData(
        "/detokenize",
        """{}""",
        "'tokens' is missing: it must be a list of token ids or a list of such lists.")]
    [InlineData("/detokenize", """{"tokens":"x"}""", "'tokens' must be a list of token ids, got the string \"x\".")]
    [InlineData("/detokenize", """{"tokens":[5,-1]}""", "'tokens[1]' must be in [0, 257), got -1.")]
    [InlineData("/detokenize", """{"tokens":[257]}""", "'tokens[0]' must be in [0, 257), got 257.")]
    public async Task Bad_token_requests_are_told_what_is_wrong(string path, string request, string message)
    {
        await using var server = await RunningServer.StartAsync();

        var (status, body) = await server.AskAsync(path, request);

        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Equal(message, (string?)body["error"]!["message"]);
    }

    [Fact]
    public async Task Aborting_ends_requests_by_prefix_or_all_of_them()
    {
        await using var server = await RunningServer.StartAsync();

        using var one = await server.PostAsync("/abort_request", """{"rid":"r1"}""");
        using var all = await server.PostAsync("/abort_request", """{"abort_all":true}""");
        using var none = await server.PostAsync("/abort_request", """{}""");

        Assert.Equal((HttpStatusCode.OK, 0L), (one.StatusCode, one.Content.Headers.ContentLength));
        Assert.Equal(HttpStatusCode.OK, all.StatusCode);
        Assert.Equal(HttpStatusCode.BadRequest, none.StatusCode);
        Assert.Equal(["r1", ""], server.Engine.AbortedPrefixes);
    }

    [Fact]
    public async Task Flushing_the_cache_says_whether_it_could()
    {
        await using var server = await RunningServer.StartAsync();

        var (flushed, text) = await server.GetAsync("/flush_cache");
        server.Engine.CanFlush = false;
        var (busy, _) = await server.GetAsync("/flush_cache?timeout=0.01");

        Assert.Equal(HttpStatusCode.OK, flushed);
        Assert.StartsWith("Cache flushed.", text, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.BadRequest, busy);
    }

    [Fact]
    public async Task The_root_and_the_ping_answer()
    {
        await using var server = await RunningServer.StartAsync();

        Assert.Equal((HttpStatusCode.OK, "\"SGLang is running\""), await server.GetAsync("/"));
        Assert.Equal((HttpStatusCode.OK, ""), await server.GetAsync("/ping"));
    }

    [Fact]
    public async Task Loads_come_per_rank_and_in_sum()
    {
        await using var server = await RunningServer.StartAsync();
        server.Engine.Load = new EngineLoad { RunningRequests = 2, QueuedRequests = 1, UsedKvTokens = 32 };

        var (_, loads) = await server.GetAsync("/v1/loads");
        var (_, load) = await server.GetAsync("/get_load");

        Assert.Equal(3, (int)JsonNode.Parse(loads)!["aggregate"]!["total_reqs"]!);
        Assert.Equal(2, (int)JsonNode.Parse(loads)!["loads"]![0]!["num_running_reqs"]!);
        Assert.Equal("""[{"dp_rank":0,"num_reqs":3,"num_waiting_reqs":1,"num_tokens":32}]""", load);
    }
}
