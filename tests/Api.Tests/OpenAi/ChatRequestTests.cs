using System.Net;
using System.Text.Json.Nodes;
using LsglangSharp.Api.Http;
using LsglangSharp.Api.Tests.Serving;
using LsglangSharp.Runtime.Text.Templates;

namespace LsglangSharp.Api.Tests.OpenAi;

public sealed class ChatRequestTests
{
    private const string Path = "/v1/chat/completions";

    [Fact]
    public async Task Values_of_the_request_reach_the_engine()
    {
        await using var server = await RunningServer.StartAsync();

        await server.AskAsync(Path,
            """
            {"messages":[{"role":"user","content":"Hi"}],"rid":"r","max_tokens":9,"max_completion_tokens":7,"min_tokens":2,
            "temperature":0.5,"top_p":0.25,"top_k":4,"min_p":0.125,"repetition_penalty":1.5,"frequency_penalty":-0.5,
            "presence_penalty":2,"logit_bias":{"5":1.5},"seed":-3,"stop":["a",""],"stop_token_ids":[1,null],"ignore_eos":true,
            "no_stop_trim":true,"skip_special_tokens":false,"logprobs":true,"top_logprobs":3,"priority":5,"cache_salt":"s"}
            """);

        var request = server.Engine.Requests.Single();
        var sampling = request.Sampling;
        Assert.Equal("r", request.Id);
        Assert.Equal((7, 2), (sampling.MaxNewTokens, sampling.MinNewTokens));
        Assert.Equal((0.5f, 0.25f, 4, 0.125f), (sampling.Temperature, sampling.TopP, sampling.TopK, sampling.MinP));
        Assert.Equal(
            (1.5f, -0.5f, 2f),
            (sampling.RepetitionPenalty, sampling.FrequencyPenalty, sampling.PresencePenalty));
        Assert.Equal(1.5f, sampling.LogitBias![5]);
        Assert.Equal(-3, sampling.Seed);
        Assert.Equal(["a"], sampling.StopStrings);
        Assert.Equal([1], sampling.StopTokenIds);
        Assert.True(sampling is { IgnoreEos: true, NoStopTrim: true, SkipSpecialTokens: false });
        Assert.Equal((true, 3, -1), (request.ReturnLogprobs, request.TopLogprobs, request.PromptLogprobStart));
        Assert.Equal((5, "s"), (request.Priority, request.CacheSalt));
        Assert.Equal("user: Hi\nassistant: ", Text(request.Prompt));
    }

    [Fact]
    public async Task What_a_request_leaves_open_comes_from_the_model()
    {
        await using var server = await RunningServer.StartAsync(
            options => options with { SamplingDefaults = new SamplingDefaults(0.6, 0.95, 20, 0.1, 1.05) });

        await server.AskAsync(Path, """{"messages":[{"role":"user","content":"Hi"}],"temperature":null}""");
        await server.AskAsync("/v1/completions", """{"prompt":"Hi"}""");

        var sampling = server.Engine.Requests.Select(request => request.Sampling).ToArray();
        Assert.Equal(
            (0.6f, 0.95f, 20, 0.1f, 1.05f),
            (
                sampling[0].Temperature,
                sampling[0].TopP,
                sampling[0].TopK,
                sampling[0].MinP,
                sampling[0].RepetitionPenalty));
        Assert.Null(sampling[0].MaxNewTokens);
        Assert.Equal(
            (1f, 1f, -1, 16),
            (sampling[1].Temperature, sampling[1].TopP, sampling[1].TopK, sampling[1].MaxNewTokens));
    }

    [Theory]
    [InlineData("""[{"role":"SYSTEM","content":"a"},{"role":"user","content":"b"}]""", "system: a\nuser: b\n")]
    [InlineData("""[{"role":"developer","content":"a"}]""", "system: a\n")]
    [InlineData(
        """[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]""",
        "user: a b\n")]
    [InlineData(
        """[{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}]""",
        "user: \n")]
    [InlineData("""[{"role":"assistant","content":"a"}]""", "user: a\n")]
    [InlineData(
        """[{"role":"tool","tool_call_id":"x","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]""",
        "tool: a b\n")]
    [InlineData("""[{"role":"user","content":"Hé 🎉"}]""", "user: Hé 🎉\n")]
    [InlineData("""[{"role":"user","content":"\ud83c\udf89"}]""", "user: 🎉\n")]
    public async Task Messages_become_a_prompt(string messages, string prompt)
    {
        await using var server = await RunningServer.StartAsync();

        var (status, body) = await server.AskAsync(Path, $$"""{"messages":{{messages}}}""");

        Assert.True(status == HttpStatusCode.OK, body.ToJsonString());
        Assert.Equal(prompt + "assistant: ", Text(server.Engine.Requests.Single().Prompt));
    }

    [Fact]
    public async Task An_unfinished_answer_is_continued_on_demand()
    {
        await using var server = await RunningServer.StartAsync();

        await server.AskAsync(
            Path, """{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"bc"}],"continue_final_message":true}""");

        Assert.Equal("user: a\nassistant: bc", Text(server.Engine.Requests.Single().Prompt));
    }

    [Fact]
    public async Task Templates_that_want_parts_get_them_and_objects_for_arguments()
    {
        const string template =
            """
            {%- for message in messages %}{% for part in message.content %}<{{ part.text }}>{% endfor %}
            {%- for call in message.tool_calls or [] %}{{ call.function.arguments.x + 1 }}{% endfor %}{{ message.reasoning_content }}
            {%- endfor %}
            """;
        await using var server = await RunningServer.StartAsync(
            model: model => model with { ChatTemplate = ChatTemplate.Parse(template) });

        await server.AskAsync(Path,
            """
            {"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
            {"role":"assistant","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"c"}],
            "tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"x\": 2}"}}]}]}
            """);

        Assert.Equal("<a><b><c>3hm", Text(server.Engine.Requests.Single().Prompt));
    }

    [Theory]
    [InlineData("", "assistant: ")]
    [InlineData(""","reasoning_effort":"none" """, "assistant (no thoughts): ")]
    [InlineData(""","reasoning_effort":"low" """, "assistant: ")]
    [InlineData(""","reasoning_effort":0.5""", "assistant: ")]
    [InlineData(""","reasoning":{"enabled":false}""", "assistant (no thoughts): ")]
    [InlineData(""","reasoning":{"effort":"none"}""", "assistant (no thoughts): ")]
    [InlineData(""","chat_template_kwargs":{"enable_thinking":false}""", "assistant (no thoughts): ")]
    [InlineData(""","chat_template_kwargs":{"enable_thinking":true},"reasoning_effort":"none" """, "assistant: ")]
    public async Task Thinking_can_be_switched(string fields, string end)
    {
        await using var server = await RunningServer.StartAsync();

        await server.AskAsync(Path, $$"""{"messages":[{"role":"user","content":"a"}]{{fields}}}""");

        Assert.Equal("user: a\n" + end, Text(server.Engine.Requests.Single().Prompt));
    }

    [Fact]
    public async Task The_servers_template_variables_give_way_to_the_requests()
    {
        await using var server = await RunningServer.StartAsync(
            options => options with { ChatTemplateDefaults = new JsonObject { ["enable_thinking"] = false } });

        await server.AskAsync(Path, """{"messages":[{"role":"user","content":"a"}]}""");
        await server.AskAsync(
            Path,
            """{"messages":[{"role":"user","content":"a"}],"chat_template_kwargs":{"enable_thinking":true}}""");

        Assert.Equal(
            ["user: a\nassistant (no thoughts): ", "user: a\nassistant: "], server.Engine.Requests.Select(
                request => Text(request.Prompt)));
    }

    [Theory]
    [InlineData("", true)]
    [InlineData(""","tool_choice":"auto" """, true)]
    [InlineData(""","tool_choice":"none" """, false)]
    public async Task Tools_are_shown_to_the_model_unless_forbidden(string choice, bool shown)
    {
        await using var server = await RunningServer.StartAsync();
        const string tools = """[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]""";

        var (status, body) = await server.AskAsync(
            Path, $$"""{"messages":[{"role":"user","content":"a"}],"tools":{{tools}}{{choice}}}""");

        Assert.True(status == HttpStatusCode.OK, body.ToJsonString());
        var request = server.Engine.Requests.Single();
        Assert.Equal(shown, Text(request.Prompt).Contains("\"name\": \"f\"", StringComparison.Ordinal));
        Assert.Equal(!shown, request.Sampling.SkipSpecialTokens);
    }

    [Fact]
    public async Task Token_ids_take_the_templates_place()
    {
        await using var server = await RunningServer.StartAsync();

        await server.AskAsync(Path, """{"messages":[],"input_ids":[7,8]}""");

        Assert.Equal([7, 8], server.Engine.Requests.Single().Prompt);
    }

    [Theory]
    [InlineData("tiny")]
    [InlineData("tiny-alias")]
    [InlineData("models/tiny")]
    [InlineData("default")]
    public async Task Every_name_of_the_model_is_known_and_repeated(string name)
    {
        await using var server = await RunningServer.StartAsync();

        var (status, body) = await server.AskAsync(
            Path,
            $$"""{"model":"{{name}}","messages":[{"role":"user","content":"a"}]}""");

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal(name, (string?)body["model"]);
    }

    private static string Text(IReadOnlyList<int> tokens) => new ByteText().Decode(
        [.. tokens],
        skipSpecialTokens: false);
}
