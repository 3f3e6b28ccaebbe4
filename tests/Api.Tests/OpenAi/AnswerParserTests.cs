using System.Text.Json.Nodes;
using LsglangSharp.Api.Http;
using LsglangSharp.Api.Tests.Serving;
using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Tests.OpenAi;

/// <summary>Thoughts and tool calls in chat answers.</summary>
public sealed class AnswerParserTests
{
    private const string Path = "/v1/chat/completions";
    private const string Hi = "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"rid\":\"r1\",\"model\":\"tiny\"";
    private const string Tools =
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}},{\"type\":\"function\",\"function\":{\"name\":\"b\"}}]";

    private const string Call = "<tool_call>\n{\"name\": \"b\", \"arguments\": {\"x\": 1}}\n</tool_call>";

    [Fact]
    public async Task Thoughts_are_streamed_apart_from_the_answer()
    {
        await using var server = await StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, "<thi", "nk>hm", " hm</th", "ink>Y", "es.");

        var events = await server.StreamAsync(Path, $$"""{ {{Hi}},"stream":true}""");

        Assert.Equal(
            [
                """{"reasoning_content":null,"role":"assistant","content":""}""",
                """{"reasoning_content":"hm"}""",
                """{"reasoning_content":" hm"}""",
                """{"reasoning_content":null,"content":"Y"}""",
                """{"reasoning_content":null,"content":"es."}""",
                "{}",
            ],
            Deltas(events));
    }

    [Theory]
    [InlineData("<think>hm</think>Yes.", "", "hm", "Yes.")]
    [InlineData("hm</think>Yes.", "", "hm", "Yes.")]
    [InlineData("hm", "", "hm", "")]
    [InlineData("Yes.", ",\"chat_template_kwargs\":{\"enable_thinking\":false}", null, "Yes.")]
    [InlineData("<think>hm</think>Yes.", ",\"separate_reasoning\":false", null, "<think>hm</think>Yes.")]
    [InlineData("hm", ",\"chat_template_kwargs\":{\"force_nonempty_content\":true}", null, "hm")]
    public async Task Thoughts_of_a_whole_answer_are_set_apart(
        string text,
        string fields,
        string? thoughts,
        string content)
    {
        await using var server = await StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, text);

        var (_, body) = await server.AskAsync(Path, $$"""{ {{Hi}}{{fields}}}""");

        var message = body["choices"]![0]!["message"]!;
        Assert.Equal((thoughts, content), ((string?)message["reasoning_content"], (string?)message["content"]));
    }

    [Theory]
    [InlineData("", "hm", "")]
    [InlineData(",\"chat_template_kwargs\":{\"force_nonempty_content\":true}", "hm", "hm")]
    public async Task Streamed_answers_that_are_all_thoughts_become_content_on_demand(
        string fields,
        string thoughts,
        string content)
    {
        await using var server = await StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, "h", "m");

        var events = await server.StreamAsync(Path, $$"""{ {{Hi}},"stream":true{{fields}}}""");

        var deltas = Deltas(events).Select(delta => JsonNode.Parse(delta)!).ToList();
        Assert.Equal(thoughts, string.Concat(deltas.Select(delta => (string?)delta["reasoning_content"])));
        Assert.Equal(content, string.Concat(deltas.Select(delta => (string?)delta["content"])));
    }

    [Fact]
    public async Task Calls_are_streamed_in_the_full_form()
    {
        await using var server = await StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, "</think>Look. ", Call);

        var events = await server.StreamAsync(Path, $$"""{ {{Hi}},{{Tools}},"stream":true}""");

        var deltas = Deltas(events);
        Assert.Equal("""{"role":null,"content":"Look. ","reasoning_content":null,"tool_calls":null}""", deltas[1]);
        var id = (string)JsonNode.Parse(deltas[2])!["tool_calls"]![0]!["id"]!;
        Assert.Matches("^call_[0-9a-f]{24}$", id);
        Assert.Equal(
            $$$"""{"role":null,"content":null,"reasoning_content":null,"tool_calls":[{"id":"{{{id}}}","index":0"""
            + $$$""","type":"function","function":{"name":"b","arguments":""}}]}""",
            deltas[2]);
        Assert.All(
            deltas.Skip(3).SkipLast(1),
            delta => Assert.StartsWith(
                """{"role":null,"content":null,"reasoning_content":null,"tool_calls":[{"id":null,"index":0,"t"""
                + """ype":"function","function":{"name":null,"arguments":""",
                delta, StringComparison.Ordinal));
        Assert.Equal(
            """{"x": 1}""",
            string.Concat(
                deltas.Skip(2).SkipLast(1).Select(
                    delta => (string?)JsonNode.Parse(delta)!["tool_calls"]![0]!["function"]!["arguments"])));
        Assert.EndsWith(
            """{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls","matched_stop":256}],"usage":null}""",
            events[^2],
            StringComparison.Ordinal);
        Assert.EndsWith(""","usage":null}""", events[3], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Calls_of_a_whole_answer_have_the_place_of_their_tool()
    {
        await using var server = await StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, "</think>Look. " + Call);

        var (_, body) = await server.AskAsync(Path, $$"""{ {{Hi}},{{Tools}}}""");

        var choice = body["choices"]![0]!;
        var call = choice["message"]!["tool_calls"]![0]!;
        Assert.Matches("^call_[0-9a-f]{24}$", (string?)call["id"]);
        call.AsObject().Remove("id");
        Assert.Equal(
            """{"index":1,"type":"function","function":{"name":"b","arguments":"{\"x\": 1}"}}""",
            call.ToJsonString(
                new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }));
        Assert.Equal("Look.", (string?)choice["message"]!["content"]);
        Assert.Equal("tool_calls", (string?)choice["finish_reason"]);
        Assert.Null(choice["matched_stop"]);
    }

    [Theory]
    [InlineData(",\"tool_choice\":\"none\"")]
    [InlineData("")]
    public async Task Without_tools_a_call_is_text(string choice)
    {
        await using var server = await StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, "</think>" + Call);
        var tools = choice.Length > 0 ? "," + Tools : "";

        var (_, body) = await server.AskAsync(Path, $$"""{ {{Hi}}{{tools}}{{choice}}}""");

        Assert.Equal(Call, (string?)body["choices"]![0]!["message"]!["content"]);
        Assert.Equal("stop", (string?)body["choices"]![0]!["finish_reason"]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Calls_cut_off_by_the_token_limit_keep_that_reason(bool streaming)
    {
        await using var server = await StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(
            request,
            new GenerationFinish.Length(9),
            "</think>" + Call);

        string? reason;
        if (streaming)
        {
            var events = await server.StreamAsync(Path, $$"""{ {{Hi}},{{Tools}},"stream":true}""");
            reason = (string?)JsonNode.Parse(events[^2])!["choices"]![0]!["finish_reason"];
        }
        else
        {
            var (_, body) = await server.AskAsync(Path, $$"""{ {{Hi}},{{Tools}}}""");
            reason = (string?)body["choices"]![0]!["finish_reason"];
        }

        Assert.Equal("length", reason);
    }

    [Fact]
    public async Task Logprobs_of_held_text_come_with_the_next_event()
    {
        await using var server = await StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, "</think>", "a<tool", "b");

        var events = await server.StreamAsync(Path, $$"""{ {{Hi}},{{Tools}},"stream":true,"logprobs":true}""");

        var tokens = events.SkipLast(1)
            .Select(data => JsonNode.Parse(data)!["choices"]![0]!["logprobs"])
            .Where(logprobs => logprobs is not null)
            .SelectMany(logprobs => logprobs!["content"]!.AsArray().Select(token => (string?)token!["token"]));
        Assert.Equal("</think>a<toolb<eos>", string.Concat(tokens));
    }

    [Fact]
    public async Task Choices_are_parsed_each_by_itself()
    {
        await using var server = await StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(
            request,
            request.Id == "r1" ? ["</think>", Call] : ["hm</think>", "Yes."]);

        var events = await server.StreamAsync(Path, $$"""{ {{Hi}},{{Tools}},"stream":true,"n":2}""");

        var finishes = events.SkipLast(1).TakeLast(2).Select(
            data => (string?)JsonNode.Parse(data)!["choices"]![0]!["finish_reason"]);
        Assert.Equal(["tool_calls", "stop"], finishes);
    }

    [Fact]
    public async Task Parsers_can_be_chosen_by_the_template()
    {
        await using var server = await RunningServer.StartAsync(
            options => options with { ToolCallParser = "auto", ReasoningParser = "auto" });

        var (_, body) = await server.GetAsync("/model_info");

        Assert.Null((string?)JsonNode.Parse(body)!["tool_call_parser"]);
    }

    [Theory]
    [InlineData("hermez", null, "unknown tool-call parser 'hermez'; did you mean 'hermes'?")]
    [InlineData(null, "qwen4", "unknown reasoning parser 'qwen4'; did you mean 'qwen3'?")]
    public void Unknown_parsers_stop_the_start(string? calls, string? thoughts, string message)
    {
        var options = new ServerOptions { ToolCallParser = calls, ReasoningParser = thoughts };

        var fault = Assert.Throws<ConfigurationException>(
            () => LsglangServer.Build(options, new ScriptedEngine(), new ServedModel { Path = "x" }));

        Assert.StartsWith(message, fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_parsers_are_served_by_themselves()
    {
        await using var server = await StartAsync();

        var (_, calls) = await server.AskAsync(
            "/parse_function_call",
            $$"""{"text":{{JsonValue.Create("Look. " + Call).ToJsonString()}},{{Tools}},"tool_call_parser":"her"""
            + $$"""mes"}""");
        var (_, thoughts) = await server.AskAsync(
            "/separate_reasoning",
            """{"text":"<think>hm</think>Yes.","return_blocks":true}""");

        Assert.Equal("""{"normal_text":"Look.","calls":[{"tool_index":1,"name":"b","parameters":"{\"x\": 1}"}]}""",
            calls.ToJsonString(
                new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }));
        Assert.Equal(
            """{"reasoning_text":"hm","text":"Yes.","reasoning_blocks":["hm"],"text_blocks":["Yes."],"block"""
            + """s":[{"type":"reasoning","text":"hm"},{"type":"text","text":"Yes."}]}""",
            thoughts.ToJsonString());
    }

    [Theory]
    [InlineData("", 3, 6)]
    [InlineData(",\"chat_template_kwargs\":{\"enable_thinking\":false}", 0, 6)]
    public async Task Tokens_of_thoughts_are_counted_up_to_the_one_that_ends_them(string fields, int reasoning, int all)
    {
        await using var server = await RunningServer.StartAsync(
            options => options with { ReasoningParser = "qwen3" }, model => model with { Text = new TextWithEndOfThoughts() });
        server.Engine.Script = request => new[]
        {
            new GenerationChunk
            {
                Text = "hm</think>Yes", Tokens = [104, 109, TextWithEndOfThoughts.End, 89, 101, 115],
                Finish = new GenerationFinish.Length(6), Usage = new GenerationUsage(1, 0, 6, 0),
            },
        }.ToAsyncEnumerable();

        var (_, body) = await server.AskAsync(Path, $$"""{ {{Hi}}{{fields}}}""");

        Assert.Equal(
            (reasoning, all), ((int)body["usage"]!["reasoning_tokens"]!, (int)body["usage"]!["completion_tokens"]!));
    }

    private static List<string> Deltas(List<string> events) =>
        [.. events.SkipLast(1).Select(data => JsonNode.Parse(data)!["choices"]![0]!["delta"]!
            .ToJsonString(new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))];

    private static Task<RunningServer> StartAsync() =>
        RunningServer.StartAsync(options => options with { ToolCallParser = "qwen25", ReasoningParser = "qwen3" });

    /// <summary>Bytes, but the end of thoughts is one token.</summary>
    private sealed class TextWithEndOfThoughts : IModelText
    {
        public const int End = 999;

        private readonly ByteText _bytes = new();

        public int[] Encode(string text, bool addSpecialTokens) =>
            text == "</think>" ? [End] : _bytes.Encode(text, addSpecialTokens);

        public string Decode(
            ReadOnlySpan<int> tokens,
            bool skipSpecialTokens) => _bytes.Decode(tokens, skipSpecialTokens);

        public byte[] BytesOf(int token) => _bytes.BytesOf(token);
    }
}
