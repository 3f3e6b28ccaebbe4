using System.Net;
using System.Text.Json.Nodes;
using LsglangSharp.Api.Http;
using LsglangSharp.Api.Tests.Serving;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.Tests.OpenAi;

public sealed class CompletionsTests
{
    private const string Path = "/v1/completions";

    [Fact]
    public async Task An_answer_has_every_key()
    {
        await using var server = await StartAsync();

        var (status, body) = await server.AskAsync(Path, """{"prompt":"Hi","rid":"r1","model":"tiny"}""");

        Assert.Equal(HttpStatusCode.OK, status);
        AssertJson(
            """
            {"id":"r1","object":"text_completion","created":1700000000,"model":"tiny","choices":[{"index":0,"text":"ok",
            "logprobs":null,"finish_reason":"stop","matched_stop":256}],"usage":{"prompt_tokens":2,"total_tokens":5,
            "completion_tokens":3,"prompt_tokens_details":null,"reasoning_tokens":0},"metadata":{"weight_version":"default"}}
            """,
            body);
    }

    [Theory]
    [InlineData("\"ab\"", "97,98")]
    [InlineData("[\"a\",\"b\"]", "97;98")]
    [InlineData("[97,98]", "97,98")]
    [InlineData("[[97],[98]]", "97;98")]
    public async Task Prompts_come_in_four_forms(string prompt, string expected)
    {
        await using var server = await StartAsync();

        var (status, _) = await server.AskAsync(Path, $$"""{"prompt":{{prompt}}}""");

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal(
            expected,
            string.Join(';', server.Engine.Requests.Select(request => string.Join(',', request.Prompt))));
    }

    [Fact]
    public async Task Choices_are_ordered_by_prompt()
    {
        await using var server = await StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, $"{request.Prompt[0]}/{request.Sampling.Seed}");

        var (_, body) = await server.AskAsync(Path, """{"prompt":[[1],[2,2]],"n":2,"seed":1}""");

        Assert.Equal(
            ["1/1", "1/2", "2/1", "2/2"],
            body["choices"]!.AsArray().Select(choice => (string?)choice!["text"]));
        Assert.Equal(3, (int)body["usage"]!["prompt_tokens"]!);
    }

    [Fact]
    public async Task Echo_with_logprobs_begins_with_the_prompt()
    {
        await using var server = await StartAsync();

        var (_, body) = await server.AskAsync(Path, """{"prompt":"Hi","echo":true,"logprobs":1}""");

        var choice = body["choices"]![0]!;
        Assert.Equal("Hiok", (string?)choice["text"]);
        AssertJson(
            """
            {"text_offset":[-1,-1,-1,-1,-1],"token_logprobs":[null,-0.5,-0.5,-0.5,-0.5],"tokens":["H","i","o","k","<eos>"],
            "top_logprobs":[null,{"i":-0.5},{"o":-0.5},{"k":-0.5},{"\u0000":-0.5}]}
            """,
            choice["logprobs"]!);
    }

    [Fact]
    public async Task Echo_of_token_ids_is_their_text()
    {
        await using var server = await StartAsync();

        var (_, body) = await server.AskAsync(Path, """{"prompt":[72,105,256],"echo":true}""");

        Assert.Equal("Hiok", (string?)body["choices"]![0]!["text"]);
    }

    [Fact]
    public async Task Streams_carry_every_key_and_the_finish_with_the_last_text()
    {
        await using var server = await StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, new GenerationFinish.Length(2), "a", "", "b");

        var events = await server.StreamAsync(
            Path, """{"prompt":"Hi","echo":true,"stream":true,"rid":"r1","model":"tiny","stream_options":{"include_usage":true}}""");

        const string head = "{\"id\":\"r1\",\"object\":\"text_completion\",\"created\":1700000000,\"model\":\"tiny\",\"choices\":[";
        Assert.Equal(
            [
                head + """{"index":0,"text":"Hia","logprobs":null,"finish_reason":null,"matched_stop":null}],"usage":null}""",
                head + """{"index":0,"text":"b","logprobs":null,"finish_reason":"length","matched_stop":null}],"usage":null}""",
                head + """],"usage":{"prompt_tokens":2,"total_tokens":4,"completion_tokens":2,"reasoning_tokens":0}}""",
                "[DONE]",
            ],
            events);
    }

    [Fact]
    public async Task Streams_of_several_prompts_tell_them_apart()
    {
        await using var server = await StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, $"{request.Prompt[0]}", "!");

        var events = await server.StreamAsync(Path, """{"prompt":[[1],[2],[3]],"stream":true}""");

        var texts = events.SkipLast(1).Select(data => JsonNode.Parse(data)!["choices"]![0]!)
            .GroupBy(choice => (int)choice["index"]!, choice => (string?)choice["text"])
            .OrderBy(group => group.Key)
            .Select(group => string.Concat(group));
        Assert.Equal(["1!", "2!", "3!"], texts);
    }

    [Fact]
    public async Task Usage_comes_with_every_event_on_demand()
    {
        await using var server = await StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, new GenerationFinish.Length(2), "a", "b");

        var events = await server.StreamAsync(
            Path, """{"prompt":"Hi","stream":true,"stream_options":{"continuous_usage_stats":true}}""");

        Assert.Equal(
            [1, 2],
            events.SkipLast(1).Select(data => (int)JsonNode.Parse(data)!["usage"]!["completion_tokens"]!));
    }

    [Theory]
    [InlineData(
        """{}""",
        "'prompt' is missing: it must be a string, a list of strings, a list of token ids or a list of such lists.")]
    [InlineData("""{"prompt":""}""", "Prompt cannot be empty")]
    [InlineData("""{"prompt":[]}""", "Prompt cannot be empty")]
    [InlineData("""{"prompt":[[]]}""", "Prompt cannot be empty")]
    [InlineData("""{"prompt":["a",1]}""", "'prompt[1]' must be a string or a list of token ids, got the number 1.")]
    [InlineData(
        """{"prompt":[1,"a"]}""",
        "'prompt[1]' must be a whole number of at most 32 bits, got the string \"a\".")]
    [InlineData(
        """{"prompt":{}}""",
        "'prompt' must be a string, a list of strings, a list of token ids or a list of such lists, got an object.")]
    [InlineData("""{"prompt":"a","max_tokens":0}""", "'max_tokens' must be at least 1, got 0.")]
    [InlineData("""{"prompt":"a","logprobs":-1}""", "'logprobs' must be at least 0, got -1.")]
    [InlineData("""{"prompt":"a","logprobs":21}""", "'logprobs' must be in [0, 20], got 21.")]
    [InlineData(
        """{"prompt":"a","suffix":"b"}""",
        "'suffix' is not supported: this model has no template for filling in the middle.")]
    [InlineData("""{"prompt":"a","min_tokens":17}""", "min_new_tokens must be in [0, max_new_tokens (16)], got 17.")]
    public async Task Bad_requests_are_told_what_is_wrong(string request, string message)
    {
        await using var server = await StartAsync();

        var (status, body) = await server.AskAsync(Path, request);

        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Equal(message, (string?)body["error"]!["message"]);
    }

    private static Task<RunningServer> StartAsync() => RunningServer.StartAsync(
        options => options with { Clock = new FixedClock() });

    private static void AssertJson(string expected, JsonNode actual) =>
        Assert.Equal(JsonNode.Parse(expected)!.ToJsonString(), actual.ToJsonString());
}
