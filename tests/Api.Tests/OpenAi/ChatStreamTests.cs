using LsglangSharp.Api.Tests.Serving;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.Tests.OpenAi;

public sealed class ChatStreamTests
{
    private const string Path = "/v1/chat/completions";

    private static readonly FixedClock _clock = new();

    [Fact]
    public async Task Sends_the_role_then_the_text_then_the_finish()
    {
        await using var server = await StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, "Hel", "", "lo");

        var events = await server.StreamAsync(
            Path, """{"messages":[{"role":"user","content":"Hi"}],"stream":true,"rid":"r1","model":"tiny"}""");

        const string none = ""","logprobs":null,"finish_reason":null,"matched_stop":null}""";
        Assert.Equal(
            [
                Head("""{"index":0,"delta":{"reasoning_content":null,"role":"assistant","content":""}""" + none) + "}",
                Head("""{"index":0,"delta":{"reasoning_content":null,"content":"Hel"}""" + none) + "}",
                Head("""{"index":0,"delta":{"reasoning_content":null,"content":"lo"}""" + none) + "}",
                Head("""{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop","matched_stop":256}""")
                    + ""","usage":null}""",
                "[DONE]",
            ],
            events);
    }

    [Fact]
    public async Task Sends_the_usage_in_an_event_of_its_own_when_asked()
    {
        await using var server = await StartAsync();

        var events = await server.StreamAsync(
            Path,
            """
            {"messages":[{"role":"user","content":"Hi"}],"stream":true,"rid":"r1","model":"tiny",
            "stream_options":{"include_usage":true}}
            """);

        Assert.Equal(
            Head("") + ""","usage":{"prompt_tokens":20,"total_tokens":23,"completion_tokens":3,"""
                + "\"prompt_tokens_details\":null,\"reasoning_tokens\":0}}",
            events[^2]);
        Assert.Equal("[DONE]", events[^1]);
    }

    private static string Head(string choice) =>
        $$"""{"id":"r1","object":"chat.completion.chunk","created":1700000000,"model":"tiny","choices":[{{choice}}]""";

    private static Task<RunningServer> StartAsync() => RunningServer.StartAsync(
        options => options with { Clock = _clock });
}
