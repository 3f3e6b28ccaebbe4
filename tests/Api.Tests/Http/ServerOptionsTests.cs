using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json.Nodes;
using LsglangSharp.Api.Http;
using LsglangSharp.Api.Tests.Serving;

namespace LsglangSharp.Api.Tests.Http;

/// <summary>What an operator can choose.</summary>
public sealed class ServerOptionsTests
{
    private const string Chat = "/v1/chat/completions";
    private const string Stream = """{"messages":[{"role":"user","content":"Hi"}],"stream":true}""";

    [Fact]
    public async Task Streams_can_end_with_the_usage_unasked()
    {
        await using var server = await RunningServer.StartAsync(options => options with { IncludesUsage = true });

        var unasked = await server.StreamAsync(Chat, Stream);
        var refused = await server.StreamAsync(
            Chat, """{"messages":[{"role":"user","content":"Hi"}],"stream":true,"stream_options":{"include_usage":false}}""");

        Assert.Equal(23, (int)JsonNode.Parse(unasked[^2])!["usage"]!["total_tokens"]!);
        Assert.Null(JsonNode.Parse(refused[^2])!["usage"]);
    }

    [Fact]
    public async Task Native_streams_can_send_only_what_is_new()
    {
        await using var server = await RunningServer.StartAsync(options => options with { StreamsIncrements = true });
        server.Engine.Script = request => ScriptedEngine.Say(request, "a", "b");

        var events = await server.StreamAsync("/generate", """{"text":"Hi","stream":true}""");

        Assert.Equal(["a", "b"], events.SkipLast(1).Select(data => (string?)JsonNode.Parse(data)!["text"]));
        Assert.Equal(3, (int)JsonNode.Parse(events[1])!["meta_info"]!["completion_tokens"]!);
    }

    [Theory]
    [InlineData(10, 5, 10, 5)]
    [InlineData(1500, 5, 999, 1)]
    [InlineData(990, 50, 990, 10)]
    public async Task Prompts_and_limits_can_be_cut_to_the_context(int prompt, int limit, int keptPrompt, int keptLimit)
    {
        await using var server = await RunningServer.StartAsync(options => options with { TruncatesPrompts = true });
        var ids = string.Join(',', Enumerable.Range(0, prompt).Select(index => index % 100));

        await server.AskAsync(
            "/generate",
            $$"""{"input_ids":[{{ids}}],"sampling_params":{"max_new_tokens":{{limit}} } }""");

        var request = server.Engine.Requests.Single();
        Assert.Equal((keptPrompt, keptLimit), (request.Prompt.Count, request.Sampling.MaxNewTokens));
        Assert.Equal(Enumerable.Range(0, keptPrompt).Select(index => index % 100), request.Prompt);
    }

    [Fact]
    public async Task A_certificate_makes_it_speak_HTTPS()
    {
        var folder = Directory.CreateTempSubdirectory();
        var (certificate, key) = (Path.Combine(folder.FullName, "c.pem"), Path.Combine(folder.FullName, "k.pem"));
        using (var secret = RSA.Create(2048))
        {
            var request = new CertificateRequest(
                "CN=localhost",
                secret,
                HashAlgorithmName.SHA256,
                RSASignaturePadding.Pkcs1);
            using var made = request.CreateSelfSigned(
                DateTimeOffset.UtcNow.AddDays(-1),
                DateTimeOffset.UtcNow.AddDays(1));
            await File.WriteAllTextAsync(certificate, made.ExportCertificatePem());
            await File.WriteAllTextAsync(key, secret.ExportPkcs8PrivateKeyPem());
        }

        await using var server = await RunningServer.StartAsync(
            options => options with { CertificateFile = certificate, CertificateKeyFile = key });
        using var handler = new HttpClientHandler
        {
            ServerCertificateCustomValidationCallback = HttpClientHandler.DangerousAcceptAnyServerCertificateValidator,
        };
        using var client = new HttpClient(handler);
        using var response = await client.GetAsync(new Uri(server.Address, "/ping"));
        folder.Delete(recursive: true);

        Assert.Equal("https", server.Address.Scheme);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [Fact]
    public async Task Starting_warms_up_and_then_is_ready()
    {
        var engine = new ScriptedEngine();
        var model = new ServedModel { Path = "x", Text = new ByteText() };
        await using var app = LsglangServer.Build(new ServerOptions { Port = 0, Log = _ => { } }, engine, model);
        var token = engine.SayLater();

        var started = LsglangServer.StartAsync(app, CancellationToken.None);
        while (engine.Requests.IsEmpty)
        {
            await Task.Delay(1);
        }

        using var client = new HttpClient { BaseAddress = new Uri(LsglangServer.AddressOf(app)) };
        var early = await client.GetAsync(new Uri("/health", UriKind.Relative));
        using var refused = await client.PostAsync(
            new Uri("/generate", UriKind.Relative),
            new StringContent("{\"text\":\"a\"}"));
        token.TryWrite(new() { Finish = new Runtime.Generation.GenerationFinish.Length(1), Usage = default });
        token.Complete();
        await started;
        engine.Script = request => ScriptedEngine.Say(request, "ok");
        using var late = await client.GetAsync(new Uri("/health", UriKind.Relative));

        Assert.Equal(HttpStatusCode.ServiceUnavailable, early.StatusCode);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.Equal(HttpStatusCode.OK, late.StatusCode);
        early.Dispose();
    }
}
