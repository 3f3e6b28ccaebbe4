using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using LsglangSharp.Api.Tests.Serving;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.Tests.OpenAi;

public sealed class BadRequestTests
{
    private const string Chat = "/v1/chat/completions";
    private const string Hi = "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]";

    /// <summary>Fields beside a good conversation, the message, and the field that the error names.</summary>
    public static TheoryData<string, string, string?> Fields => new()
    {
        { "\"temperature\":\"hot\"", "'temperature' must be a finite number, got the string \"hot\".", "temperature" },
        { "\"temperature\":1e400", "'temperature' must be a finite number, got the number 1e400.", "temperature" },
        { "\"temperature\":-0.1", "temperature must be a finite number of at least 0, got -0.1.", "temperature" },
        { "\"top_p\":0", "top_p must be in (0, 1], got 0.", "top_p" },
        { "\"top_p\":[1]", "'top_p' must be a finite number, got a list.", "top_p" },
        { "\"top_k\":0", "top_k must be -1 (all) or at least 1, got 0.", "top_k" },
        { "\"top_k\":1.5", "'top_k' must be a whole number of at most 32 bits, got the number 1.5.", "top_k" },
        {
            "\"top_k\":99999999999",
            "'top_k' must be a whole number of at most 32 bits, got the number 99999999999.",
            "top_k"
        },
        { "\"min_p\":2", "min_p must be in [0, 1], got 2.", "min_p" },
        { "\"frequency_penalty\":3", "frequency_penalty must be in [-2, 2], got 3.", "frequency_penalty" },
        { "\"presence_penalty\":-3", "presence_penalty must be in [-2, 2], got -3.", "presence_penalty" },
        { "\"repetition_penalty\":0", "repetition_penalty must be in (0, 2], got 0.", "repetition_penalty" },
        { "\"max_tokens\":-1", "'max_tokens' must be at least 1, got -1.", "max_tokens" },
        { "\"max_tokens\":0", "'max_tokens' must be at least 1, got 0.", "max_tokens" },
        {
            "\"max_completion_tokens\":true",
            "'max_completion_tokens' must be a whole number of at most 32 bits, got true.",
            "max_completion_tokens"
        },
        { "\"n\":0", "'n' must be at least 1, got 0.", "n" },
        { "\"n\":1000", "'n' must be at most 128, got 1000.", "n" },
        { "\"stop\":5", "'stop' must be a list, got the number 5.", "stop" },
        { "\"stop\":[5]", "'stop[0]' must be a string, got the number 5.", "stop[0]" },
        { "\"seed\":1.5", "'seed' must be a whole number of at most 64 bits, got the number 1.5.", "seed" },
        { "\"stream\":\"yes\"", "'stream' must be true or false, got the string \"yes\".", "stream" },
        { "\"stream_options\":[]", "'stream_options' must be an object, got a list.", "stream_options" },
        { "\"logit_bias\":{\"x\":1}", "'logit_bias' maps token ids to numbers, got the name 'x'.", "logit_bias" },
        { "\"logit_bias\":{\"999\":1}", "logit_bias names token 999, but token ids are in [0, 257).", "logit_bias" },
        { "\"top_logprobs\":3", "'top_logprobs' needs 'logprobs' to be true.", "top_logprobs" },
        { "\"logprobs\":true,\"top_logprobs\":21", "'top_logprobs' must be in [0, 20], got 21.", "top_logprobs" },
        { "\"tools\":{}", "'tools' must be a list, got an object.", "tools" },
        {
            "\"tools\":[{\"type\":\"retrieval\"}]",
            "'tools[0].type' must be 'function', got 'retrieval'.",
            "tools[0].type"
        },
        {
            "\"tools\":[{\"type\":\"function\"}]",
            "'tools[0].function' is missing: it must be an object.",
            "tools[0].function"
        },
        {
            "\"tools\":[{\"function\":{}}]",
            "'tools[0].function.name' is missing: it must be a string.",
            "tools[0].function.name"
        },
        {
            "\"tools\":[{\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{\"a\":{\"type\":\"text\"}}}}}]",
            "The parameters of tool 'f' are not a valid JSON schema: "
            + "'tools[0].function.parameters.properties.a.type' must be one of "
            + "array, boolean, integer, null, number, object, string, got the string \"text\".",
            "tools[0].function.parameters"
        },
        { "\"tool_choice\":\"required\"", "tool_choice 'required' needs at least one tool in 'tools'.", "tool_choice" },
        {
            "\"tool_choice\":\"sometimes\"",
            "'tool_choice' must be auto, none, required or an object that names a function, got 'sometimes'.",
            "tool_choice"
        },
        {
            "\"tools\":[{\"function\":{\"name\":\"f\"}}],\"tool_choice\":{\"type\":\"function\",\"functio"
            + "n\":{\"name\":\"g\"}}",
            "'tool_choice' names the function 'g', which is not among the tools.", "tool_choice"
        },
        {
            "\"response_format\":{\"type\":\"json_object\"}",
            "'response_format' is not supported: 'json_object' needs grammars, which this server does not have yet.", "response_format"
        },
        { "\"regex\":\"a+\"", "'regex' is not supported: answers cannot be held to a grammar yet.", "regex" },
        {
            "\"reasoning_effort\":\"extreme\"",
            "'reasoning_effort' must be one of none, minimal, low, medium, high, xhigh, max or a number in "
            + "[0, 0.99], got the string \"extreme\".",
            "reasoning_effort"
        },
        {
            "\"chat_template_kwargs\":1",
            "'chat_template_kwargs' must be an object, got the number 1.",
            "chat_template_kwargs"
        },
        {
            "\"stream\":true,\"return_meta_info\":true",
            "'return_meta_info' cannot be combined with 'stream'.",
            "return_meta_info"
        },
        { "\"input_ids\":[1,-1]", "The prompt has token -1.", null },
    };

    public static TheoryData<string, string, string> Conversations => new()
    {
        { "[]", "'messages' must not be empty: at least one message is needed.", "messages" },
        { "null", "'messages' is missing: it must be a list of at least one message.", "messages" },
        { "\"Hi\"", "'messages' must be a list, got the string \"Hi\".", "messages" },
        { "[\"Hi\"]", "'messages[0]' must be an object, got the string \"Hi\".", "messages[0]" },
        {
            "[{\"content\":\"Hi\"}]",
            "'messages[0].role' is missing: it must be one of system, developer, user, assistant, tool, function.",
            "messages[0].role"
        },
        {
            "[{\"role\":\"robot\",\"content\":\"Hi\"}]",
            "'messages[0].role' must be one of system, developer, user, assistant, tool, function, got 'robot'.",
            "messages[0].role"
        },
        {
            "[{\"role\":\"user\",\"content\":null}]",
            "'messages[0].content' must be a string or a list of parts in a user message, got null.",
            "messages[0].content"
        },
        {
            "[{\"role\":\"user\"}]",
            "'messages[0].content' must be a string or a list of parts in a user message, got null.",
            "messages[0].content"
        },
        {
            "[{\"role\":\"user\",\"content\":5}]",
            "'messages[0].content' must be a string or a list of parts, got the number 5.",
            "messages[0].content"
        },
        {
            "[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"x\"}}]}]",
            "Model only supports text input; received unsupported content type 'image_url'.",
            "messages[0].content[0].type"
        },
        {
            "[{\"role\":\"user\",\"content\":[{\"text\":\"x\"}]}]",
            "'messages[0].content[0].type' is missing: it must be a string.",
            "messages[0].content[0].type"
        },
        {
            "[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]",
            "'messages[0].content[0].text' is missing: it must be a string.",
            "messages[0].content[0].text"
        },
        {
            "[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"[1]\"}}]}]",
            "'messages[0].tool_calls[0].function.arguments' must hold a JSON object, got the string \"[1]\".",
            "messages[0].tool_calls[0].function.arguments"
        },
        {
            "[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}]",
            "'messages[0].tool_calls[0].function.arguments' must hold a JSON object, but it is not valid "
            + "JSON: the string \"{\".",
            "messages[0].tool_calls[0].function.arguments"
        },
        {
            "[{\"role\":\"user\",\"content\":\"refuse me\"}]",
            "The chat template cannot render these messages: this conversation is refused",
            "messages"
        },
    };

    /// <summary>Bodies that are no JSON object at all.</summary>
    public static TheoryData<byte[], string> Bodies => new()
    {
        {
            "{\"messages\":"u8.ToArray(),
            "The request body is not valid JSON: Expected depth to be zero at the end of the JSON payload. "
            + "There is an open JSON object or array that should be closed (line 1, byte 13)."
        },
        {
            "{\n  \"a\": tru\n}"u8.ToArray(),
            "The request body is not valid JSON: 'tru\n}' is an invalid JSON literal. Expected the literal "
            + "'true' (line 2, byte 11)."
        },
        { ""u8.ToArray(), "The request body is not valid JSON: it is empty, a JSON object is expected." },
        { "[1]"u8.ToArray(), "The request body must be a JSON object, got a list." },
        { "\"Hi\""u8.ToArray(), "The request body must be a JSON object, got the string \"Hi\"." },
        {
            [.. "{\"a\":\""u8, 0xC3, 0x28, .. "\"}"u8],
            "The request body is not valid JSON: it is not valid UTF-8 at byte 6 (0xc3)."
        },
        {
            "{\"a\":\"\\ud800\"}"u8.ToArray(),
            "The request body is not valid JSON: the string at byte 5 holds half of a surrogate pair."
        },
        {
            "{\"a\":NaN}"u8.ToArray(),
            "The request body is not valid JSON: 'N' is an invalid start of a value (line 1, byte 6)."
        },
    };

    [Theory]
    [MemberData(nameof(Fields))]
    public async Task A_bad_field_is_named(string fields, string message, string? parameter)
    {
        await using var server = await StartAsync();

        var (status, body) = await server.AskAsync(Chat, $"{{{Hi},{fields}}}");

        AssertError(status, body, message, parameter);
        Assert.Empty(server.Engine.Requests);
    }

    [Theory]
    [MemberData(nameof(Conversations))]
    public async Task A_bad_conversation_is_explained(string messages, string message, string parameter)
    {
        await using var server = await StartAsync();

        var (status, body) = await server.AskAsync(Chat, $$"""{"messages":{{messages}}}""");

        AssertError(status, body, message, parameter);
    }

    [Theory]
    [MemberData(nameof(Bodies))]
    public async Task A_body_that_is_no_object_is_explained(byte[] bytes, string message)
    {
        await using var server = await StartAsync();
        using var content = new ByteArrayContent(bytes);
        content.Headers.ContentType = new("application/json");

        using var response = await server.Client.PostAsync(new Uri(Chat, UriKind.Relative), content);

        var body = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
        AssertError(response.StatusCode, body, message, null);
    }

    [Fact]
    public async Task Duplicate_names_and_deep_nesting_are_refused()
    {
        await using var server = await StartAsync();

        var (twice, first) = await server.AskAsync(Chat, $$"""{ {{Hi}},"n":1,"n":2}""");
        var (deep, second) = await server.AskAsync(
            Chat,
            $$"""{ {{Hi}},"metadata":{{new string('[', 5000)}}{{new string(']', 5000)}}}""");

        Assert.Equal((HttpStatusCode.BadRequest, HttpStatusCode.BadRequest), (twice, deep));
        Assert.Contains("'n'", (string?)first["error"]!["message"], StringComparison.Ordinal);
        Assert.Contains("depth of 128", (string?)second["error"]!["message"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_model_is_a_404_that_lists_the_known_ones()
    {
        await using var server = await StartAsync();

        var (status, body) = await server.AskAsync(Chat, $$"""{"model":"gpt-9",{{Hi}}}""");

        Assert.Equal(HttpStatusCode.NotFound, status);
        Assert.Equal(
            """{"message":"The model 'gpt-9' does not exist. This server serves: tiny, tiny-alias.","type":"i"""
            + """nvalid_request_error","param":"model","code":"model_not_found"}""",
            Relaxed(body["error"]!));
    }

    [Fact]
    public async Task What_the_engine_refuses_is_passed_on()
    {
        await using var server = await StartAsync();
        const string tooLong = "The input (1001 tokens) is longer than the model's context length (1000 tokens).";
        server.Engine.Refuse = _ => new Rejection(tooLong, 400);
        var text = new string('a', 1100);

        var (status, body) = await server.AskAsync(Chat, $$"""{"messages":[{"role":"user","content":"{{text}}"}]}""");

        AssertError(status, body, tooLong, null);
        Assert.Equal("context_length_exceeded", (string?)body["error"]!["code"]);
    }

    [Fact]
    public async Task A_full_queue_is_a_503_that_says_when_to_come_back()
    {
        await using var server = await StartAsync();
        server.Engine.Refuse = _ => new Rejection("The request queue is full.", 503);

        using var response = await server.PostAsync(Chat, $"{{{Hi}}}");

        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Equal(TimeSpan.FromSeconds(1), response.Headers.RetryAfter?.Delta);
        var error = JsonNode.Parse(await response.Content.ReadAsStringAsync())!["error"]!;
        Assert.Equal(
            ("The request queue is full.", "server_error"),
            ((string?)error["message"], (string?)error["type"]));
    }

    [Fact]
    public async Task Choices_are_submitted_together_or_not_at_all()
    {
        await using var server = await StartAsync();
        server.Engine.SayLater();
        server.Engine.Refuse = request => request.Id == "r_2" ? new Rejection("The request queue is full.", 503) : null;

        var (status, _) = await server.AskAsync(Chat, $$"""{ {{Hi}},"n":3,"rid":"r"}""");

        Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
        Assert.Equal(["r", "r_1"], server.Engine.Cancelled);
        Assert.Empty(server.Engine.AbortedPrefixes);
    }

    [Theory]
    [InlineData("text/plain", "The Content-Type must be application/json, got 'text/plain; charset=utf-8'.")]
    [InlineData(
        "application/x-www-form-urlencoded",
        "The Content-Type must be application/json, got 'application/x-www-form-urlencoded; charset=utf-8'.")]
    public async Task Another_content_type_is_refused(string type, string message)
    {
        await using var server = await StartAsync();
        using var content = new StringContent($"{{{Hi}}}", Encoding.UTF8, type);

        using var response = await server.Client.PostAsync(new Uri(Chat, UriKind.Relative), content);

        AssertError(response.StatusCode, JsonNode.Parse(await response.Content.ReadAsStringAsync())!, message, null);
    }

    [Theory]
    [InlineData("GET", "/v1/chat/completions", 405, "/v1/chat/completions takes POST, not GET.")]
    [InlineData("POST", "/v1/models", 405, "/v1/models takes GET, not POST.")]
    [InlineData(
        "POST",
        "/chat/completions",
        404,
        "There is no route /chat/completions. Did you mean /v1/chat/completions?")]
    [InlineData(
        "POST",
        "/v1/v1/chat/completions",
        404,
        "There is no route /v1/v1/chat/completions. Did you mean /v1/chat/completions?")]
    [InlineData("GET", "/nothing", 404, "There is no route /nothing.")]
    [InlineData(
        "POST",
        "/v1/embeddings",
        501,
        "/v1/embeddings is not implemented. This server generates text; it does not embed, classify or rank.")]
    [InlineData(
        "POST",
        "/v1/responses",
        501,
        "/v1/responses is not implemented. The Responses API is not served yet; use /v1/chat/completions.")]
    [InlineData(
        "GET",
        "/get_weight_version",
        404,
        "/get_weight_version is no more; 'weight_version' is in /model_info.")]
    public async Task Unknown_routes_and_methods_are_explained(string method, string path, int status, string message)
    {
        await using var server = await StartAsync();
        using var request = new HttpRequestMessage(new HttpMethod(method), path);

        using var response = await server.Client.SendAsync(request);

        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal(
            message,
            (string?)JsonNode.Parse(await response.Content.ReadAsStringAsync())!["error"]!["message"]);
    }

    [Fact]
    public async Task A_body_beyond_the_limit_is_a_413_even_if_all_of_it_is_sent()
    {
        await using var server = await RunningServer.StartAsync(options => options with { RequestBytesMax = 100_000 });
        var body = $$"""{"messages":[{"role":"user","content":"{{new string('a', 5_000_000)}}"}]}""";
        using var chunked = new StreamContent(new MemoryStream(Encoding.UTF8.GetBytes(body)));
        chunked.Headers.ContentType = new("application/json");
        using var request = new HttpRequestMessage(HttpMethod.Post, Chat) { Content = chunked };
        request.Headers.TransferEncodingChunked = true;

        using var known = await server.PostAsync(Chat, body);
        using var unknown = await server.Client.SendAsync(request);
        var (after, _) = await server.AskAsync(Chat, $"{{{Hi}}}");

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, known.StatusCode);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, unknown.StatusCode);
        Assert.Contains("limit of 100000 bytes", await known.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.OK, after);
    }

    [Fact]
    public async Task A_body_of_exactly_the_limit_is_read()
    {
        var body = $"{{{Hi}}}";
        await using var server = await RunningServer.StartAsync(
            options => options with { RequestBytesMax = body.Length });

        using var fits = await server.PostAsync(Chat, body);
        using var does_not = await server.PostAsync(Chat, body + " ");

        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.RequestEntityTooLarge), (fits.StatusCode, does_not.StatusCode));
    }

    [Fact]
    public async Task A_failure_of_the_server_is_a_500_that_keeps_its_secrets()
    {
        await using var server = await StartAsync();
        server.Engine.Script = _ => throw new InvalidOperationException("secret");

        var (status, body) = await server.AskAsync(Chat, $"{{{Hi}}}");

        Assert.Equal(HttpStatusCode.InternalServerError, status);
        Assert.DoesNotContain("secret", body.ToJsonString(), StringComparison.Ordinal);
    }

    private static Task<RunningServer> StartAsync() => RunningServer.StartAsync(engine: new ScriptedEngine
    {
        Refuse = request => request.Prompt.Any(token => token < 0) ? new Rejection(
            "The prompt has token -1.",
            400) : null,
    });

    private static void AssertError(HttpStatusCode status, JsonNode body, string message, string? parameter)
    {
        Assert.Equal(message, (string?)body["error"]!["message"]);
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Equal("invalid_request_error", (string?)body["error"]!["type"]);
        Assert.Equal(parameter, (string?)body["error"]!["param"]);
        Assert.True(body["error"]!.AsObject().ContainsKey("code"));
    }

    private static string Relaxed(JsonNode node) => node.ToJsonString(
        new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}
