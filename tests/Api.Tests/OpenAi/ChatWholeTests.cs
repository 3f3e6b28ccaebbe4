using System.Net;
using System.Text.Json.Nodes;
using LsglangSharp.Api.Tests.Serving;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.Tests.OpenAi;

public sealed class ChatWholeTests
{
    private const string Path = "/v1/chat/completions";

    [Fact]
    public async Task An_answer_has_every_key()
    {
        await using var server = await RunningServer.StartAsync(options => options with { Clock = new FixedClock() });

        var (status, body) = await server.AskAsync(
            Path,
            """{"messages":[{"role":"user","content":"Hi"}],"rid":"r1"}""");

        Assert.Equal(HttpStatusCode.OK, status);
        AssertJson(
            """
            {"id":"r1","object":"chat.completion","created":1700000000,"model":"default","choices":[{"index":0,
            "message":{"role":"assistant","content":"ok","reasoning_content":null,"tool_calls":null},"logprobs":null,
            "finish_reason":"stop","matched_stop":256}],"usage":{"prompt_tokens":20,"total_tokens":23,"completion_tokens":3,
            "prompt_tokens_details":null,"reasoning_tokens":0},"metadata":{"weight_version":"default"}}
            """,
            body);
    }

    [Fact]
    public async Task An_id_is_made_up_where_none_is_given()
    {
        await using var server = await RunningServer.StartAsync();

        var (_, body) = await server.AskAsync(Path, """{"messages":[{"role":"user","content":"Hi"}]}""");

        Assert.Matches("^[0-9a-f]{32}$", (string?)body["id"]);
    }

    public static TheoryData<GenerationFinish, string, string> Ends => new()
    {
        { new GenerationFinish.StopToken(256), "stop", "256" },
        { new GenerationFinish.StopString("END"), "stop", "\"END\"" },
        { new GenerationFinish.Length(2), "length", "null" },
        { new GenerationFinish.Aborted("The request was aborted.", 499), "abort", "null" },
    };

    [Theory]
    [MemberData(nameof(Ends))]
    public async Task Every_end_has_its_name(GenerationFinish finish, string reason, string matched)
    {
        await using var server = await RunningServer.StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, finish, "ok");

        var (_, body) = await server.AskAsync(Path, """{"messages":[{"role":"user","content":"Hi"}]}""");

        Assert.Equal(reason, (string?)body["choices"]![0]!["finish_reason"]);
        Assert.Equal(matched, body["choices"]![0]!["matched_stop"]?.ToJsonString() ?? "null");
    }

    [Fact]
    public async Task An_abort_by_the_server_is_an_error()
    {
        await using var server = await RunningServer.StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(
            request,
            new GenerationFinish.Aborted("The server is shutting down.", 503),
            "part");

        var (status, body) = await server.AskAsync(Path, """{"messages":[{"role":"user","content":"Hi"}]}""");

        Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
        Assert.Equal("The server is shutting down.", (string?)body["error"]!["message"]);
    }

    [Fact]
    public async Task Choices_share_the_prompt_and_differ_in_their_seeds()
    {
        await using var server = await RunningServer.StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, $"{request.Sampling.Seed}");

        var (_, body) = await server.AskAsync(
            Path,
            """{"messages":[{"role":"user","content":"Hi"}],"n":3,"seed":5,"rid":"r"}""");

        Assert.Equal(
            ["5", "6", "7"],
            body["choices"]!.AsArray().Select(choice => (string?)choice!["message"]!["content"]));
        Assert.Equal([0, 1, 2], body["choices"]!.AsArray().Select(choice => (int)choice!["index"]!));
        Assert.Equal((20, 6), ((int)body["usage"]!["prompt_tokens"]!, (int)body["usage"]!["completion_tokens"]!));
        Assert.Equal(["r", "r_1", "r_2"], server.Engine.Requests.Select(request => request.Id));
    }

    [Fact]
    public async Task Logprobs_name_tokens_by_text_and_bytes()
    {
        await using var server = await RunningServer.StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, "é");

        var (_, body) = await server.AskAsync(
            Path, """{"messages":[{"role":"user","content":"Hi"}],"logprobs":true,"top_logprobs":1}""");

        var content = body["choices"]![0]!["logprobs"]!["content"]!.AsArray();
        Assert.Equal(
            [[0xC3], [0xA9], [.. "<eos>"u8]],
            content.Select(token => token!["bytes"]!.AsArray().Select(value => (byte)value!).ToArray()));
        AssertJson(
            """{"token":"<eos>","bytes":[60,101,111,115,62],"logprob":-0.5,"top_logprobs":[{"token":"\u000"""
            + """0","bytes":[0],"logprob":-0.5}]}""",
            content[2]!);
    }

    [Fact]
    public async Task Logprobs_without_alternatives_have_empty_lists()
    {
        await using var server = await RunningServer.StartAsync();

        var (_, body) = await server.AskAsync(
            Path,
            """{"messages":[{"role":"user","content":"Hi"}],"logprobs":true}""");

        Assert.All(
            body["choices"]![0]!["logprobs"]!["content"]!.AsArray(),
            token => Assert.Empty(token!["top_logprobs"]!.AsArray()));
    }

    [Fact]
    public async Task Logprobs_that_are_no_numbers_stay_valid_JSON()
    {
        await using var server = await RunningServer.StartAsync();
        server.Engine.Script = request => new[]
        {
            new GenerationChunk
            {
                Text = "a", Tokens = [97], Logprobs = [new TokenLogprob(97, float.NegativeInfinity, null)],
                Finish = new GenerationFinish.Length(1), Usage = new GenerationUsage(1, 0, 1, 0),
            },
        }.ToAsyncEnumerable();

        var (_, body) = await server.AskAsync(
            Path,
            """{"messages":[{"role":"user","content":"Hi"}],"logprobs":true}""");

        Assert.Equal(-9999, (double)body["choices"]![0]!["logprobs"]!["content"]![0]!["logprob"]!);
    }

    [Fact]
    public async Task Tokens_and_meta_information_come_on_demand()
    {
        await using var server = await RunningServer.StartAsync();

        var (_, body) = await server.AskAsync(
            Path,
            """
            {"messages":[],"input_ids":[7,8],"rid":"r","return_prompt_token_ids":true,"return_token_ids":true,"return_meta_info":true}
            """);

        var choice = body["choices"]![0]!;
        AssertJson("[7,8]", choice["prompt_token_ids"]!);
        AssertJson("[111,107,256]", choice["response_token_ids"]!);
        Assert.Equal("r", (string?)choice["meta_info"]!["id"]);
    }

    [Theory]
    [InlineData(true, 4, """{"cached_tokens":4}""")]
    [InlineData(true, 0, "null")]
    [InlineData(false, 4, "null")]
    public async Task Cached_tokens_are_reported_where_the_operator_wants_it(bool report, int cached, string details)
    {
        await using var server = await RunningServer.StartAsync(options => options with { CacheReport = report });
        server.Engine.Script = request => new[]
        {
            new GenerationChunk { Finish = new GenerationFinish.Length(0), Usage = new GenerationUsage(9, cached, 0, 0) },
        }.ToAsyncEnumerable();

        var (_, body) = await server.AskAsync(Path, """{"messages":[{"role":"user","content":"Hi"}]}""");

        Assert.Equal(details, body["usage"]!["prompt_tokens_details"]?.ToJsonString() ?? "null");
    }

    private static void AssertJson(string expected, JsonNode actual) =>
        Assert.Equal(JsonNode.Parse(expected)!.ToJsonString(), actual.ToJsonString());
}
