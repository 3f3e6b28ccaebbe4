using System.Net;
using System.Net.Sockets;
using System.Text;
using LsglangSharp.Api.Http;
using LsglangSharp.Api.Tests.Serving;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.Tests.Http;

/// <summary>Clients that leave or do not read, and a server that has to stop.</summary>
public sealed class LifecycleTests
{
    private const string Chat = "/v1/chat/completions";
    private const string Stream = """{"messages":[{"role":"user","content":"Hi"}],"stream":true}""";
    private const string Whole = """{"messages":[{"role":"user","content":"Hi"}]}""";

    private static readonly TimeSpan _patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Text_is_sent_as_soon_as_it_is_there()
    {
        await using var server = await RunningServer.StartAsync();
        var engine = server.Engine.SayLater();
        engine.TryWrite(Chunk("a"));

        using var response = await StartStreamAsync(server);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        await ReadUntilAsync(reader, "\"content\":\"a\"");
        engine.TryWrite(Chunk("b", new GenerationFinish.Length(2)));
        engine.Complete();
        await ReadUntilAsync(reader, "[DONE]");

        Assert.Empty(server.Engine.Cancelled);
    }

    [Theory]
    [InlineData(Stream)]
    [InlineData(Whole)]
    [InlineData("""{"messages":[{"role":"user","content":"Hi"}],"stream":true,"n":3}""")]
    public async Task A_client_that_leaves_ends_its_generations(string request)
    {
        await using var server = await RunningServer.StartAsync();
        var engine = server.Engine.SayLater();
        engine.TryWrite(Chunk("a"));
        using var leave = new CancellationTokenSource();
        using var message = new HttpRequestMessage(HttpMethod.Post, Chat)
        {
            Content = new StringContent(request, Encoding.UTF8, "application/json"),
        };

        var answer = server.Client.SendAsync(message, HttpCompletionOption.ResponseContentRead, leave.Token);
        await WaitUntilAsync(() => !server.Engine.Requests.IsEmpty);
        await leave.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => answer);
        await server.Engine.LeftEarly.WaitAsync(_patience);
        await WaitUntilAsync(() => server.Engine.Cancelled.Count == server.Engine.Requests.Count);
        Assert.Equal(HttpStatusCode.OK, (await server.GetAsync("/health")).Status);
    }

    [Fact]
    public async Task A_client_that_does_not_read_is_disconnected_and_holds_up_nobody()
    {
        await using var server = await RunningServer.StartAsync(options => options with
        {
            ResponseBytesPerSecondMin = 1_000_000, ResponseGrace = TimeSpan.FromMilliseconds(1100), ResponseBufferBytesMax = 4096,
        });
        server.Engine.Script = request => request.Id == "slow"
            ? Endless().ToAsyncEnumerable()
            : ScriptedEngine.Say(request, "ok");
        using var client = new TcpClient { ReceiveBufferSize = 4096 };
        await client.ConnectAsync(IPAddress.Loopback, server.Address.Port);
        var body = Stream.Replace("{\"messages\"", "{\"rid\":\"slow\",\"messages\"", StringComparison.Ordinal);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(
            $"POST {Chat} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\n\r\n{body}"));

        await WaitUntilAsync(() => !server.Engine.Requests.IsEmpty);
        var (meanwhile, _) = await server.AskAsync(Chat, Whole);
        await server.Engine.LeftEarly.WaitAsync(_patience);

        Assert.Equal(HttpStatusCode.OK, meanwhile);
        Assert.Equal(["slow"], server.Engine.Cancelled);
    }

    [Fact]
    public async Task An_error_after_the_first_byte_is_an_event()
    {
        await using var server = await RunningServer.StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, "a").Select(chunk => chunk with { Finish = null })
            .Concat(new[] { Chunk("", new GenerationFinish.Aborted("The engine failed: x", 503)) }.ToAsyncEnumerable());

        var events = await server.StreamAsync(Chat, Stream);

        Assert.Equal(
            """{"error":{"message":"The engine failed: x","type":"server_error","param":null,"code":null}}""",
            events[^2]);
        Assert.Equal("[DONE]", events[^1]);
    }

    [Fact]
    public async Task An_error_before_the_first_byte_is_a_status()
    {
        await using var server = await RunningServer.StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(
            request,
            new GenerationFinish.Aborted("The request queue is full.", 503),
            "");

        var (status, body) = await server.AskAsync(Chat, Stream);

        Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
        Assert.Equal("The request queue is full.", (string?)body["error"]!["message"]);
    }

    [Fact]
    public async Task A_bug_in_the_middle_of_a_stream_is_an_event_that_keeps_its_secrets()
    {
        await using var server = await RunningServer.StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, "a").Select(chunk => chunk with { Finish = null })
            .Concat(Broken());

        var events = await server.StreamAsync(Chat, Stream);

        Assert.Contains("\"type\":\"server_error\"", events[^2], StringComparison.Ordinal);
        Assert.DoesNotContain("secret", events[^2], StringComparison.Ordinal);
        Assert.Equal("[DONE]", events[^1]);
    }

    [Fact]
    public async Task A_choice_that_fails_does_not_wait_for_the_others()
    {
        await using var server = await RunningServer.StartAsync();
        var healthy = server.Engine.SayLater();
        healthy.TryWrite(Chunk("a"));
        var endless = server.Engine.Script;
        server.Engine.Script = request => request.Id == "r_1" ? Broken() : endless(request);

        var (status, _) = await server.AskAsync(
            Chat, """{"messages":[{"role":"user","content":"Hi"}],"n":2,"rid":"r"}""");

        Assert.Equal(HttpStatusCode.InternalServerError, status);
        await WaitUntilAsync(() => server.Engine.Cancelled.Contains("r"));
    }

    [Fact]
    public async Task Stopping_lets_what_runs_finish_and_takes_nothing_new()
    {
        await using var server = await RunningServer.StartAsync();
        var engine = server.Engine.SayLater();
        engine.TryWrite(Chunk("a"));
        using var response = await StartStreamAsync(server);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        await ReadUntilAsync(reader, "\"content\":\"a\"");

        var stopped = LsglangServer.DrainAsync(server.App, CancellationToken.None);
        var (health, _) = await server.GetAsync("/health");
        using var refused = await server.PostAsync(Chat, Whole);
        engine.TryWrite(Chunk("b", new GenerationFinish.Length(2)));
        engine.Complete();
        await ReadUntilAsync(reader, "[DONE]");
        await stopped.WaitAsync(_patience);

        Assert.Equal(HttpStatusCode.ServiceUnavailable, health);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.Equal(TimeSpan.FromSeconds(1), refused.Headers.RetryAfter?.Delta);
        Assert.Empty(server.Engine.Cancelled);
        await Assert.ThrowsAnyAsync<HttpRequestException>(() => server.GetAsync("/health"));
    }

    [Fact]
    public async Task Stopping_a_second_time_ends_what_runs_with_an_error()
    {
        await using var server = await RunningServer.StartAsync();
        var engine = server.Engine.SayLater();
        engine.TryWrite(Chunk("a"));
        using var response = await StartStreamAsync(server);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        await ReadUntilAsync(reader, "\"content\":\"a\"");
        using var again = new CancellationTokenSource();

        var stopped = LsglangServer.DrainAsync(server.App, again.Token);
        await again.CancelAsync();
        var rest = await reader.ReadToEndAsync();
        await stopped.WaitAsync(_patience);

        Assert.Contains("The server is shutting down.", rest, StringComparison.Ordinal);
        Assert.EndsWith("data: [DONE]\n\n", rest, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_whole_answer_that_is_cut_off_by_the_stop_is_a_503()
    {
        await using var server = await RunningServer.StartAsync(
            options => options with { DrainLimit = TimeSpan.FromMilliseconds(1) });
        server.Engine.SayLater().TryWrite(Chunk("a"));

        var answer = server.PostAsync(Chat, Whole);
        await WaitUntilAsync(() => !server.Engine.Requests.IsEmpty);
        await LsglangServer.DrainAsync(server.App, CancellationToken.None).WaitAsync(_patience);

        using var response = await answer;
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
    }

    private static GenerationChunk Chunk(string text, GenerationFinish? finish = null) => new()
    {
        Text = text,
        Tokens = [.. Encoding.UTF8.GetBytes(text).Select(value => (int)value)],
        Finish = finish,
        Usage = new GenerationUsage(1, 0, 1, 0),
    };

    private static IEnumerable<GenerationChunk> Endless()
    {
        while (true)
        {
            yield return Chunk(new string('a', 1000));
        }
    }

    private static async IAsyncEnumerable<GenerationChunk> Broken()
    {
        await Task.Yield();
        yield return Chunk("b") is var chunk && chunk.Text == "b" ? throw new InvalidOperationException("secret") : chunk;
    }

    private static async Task<HttpResponseMessage> StartStreamAsync(RunningServer server)
    {
        using var message = new HttpRequestMessage(HttpMethod.Post, Chat)
        {
            Content = new StringContent(Stream, Encoding.UTF8, "application/json"),
        };
        return await server.Client.SendAsync(message, HttpCompletionOption.ResponseHeadersRead);
    }

    private static async Task ReadUntilAsync(StreamReader reader, string expected)
    {
        while (await reader.ReadLineAsync().WaitAsync(_patience) is { } line)
        {
            if (line.Contains(expected, StringComparison.Ordinal))
            {
                return;
            }
        }

        Assert.Fail($"The stream ended without {expected}.");
    }

    private static async Task WaitUntilAsync(Func<bool> holds)
    {
        using var limit = new CancellationTokenSource(_patience);
        while (!holds())
        {
            await Task.Delay(5, limit.Token);
        }
    }
}
