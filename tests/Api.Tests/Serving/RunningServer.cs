using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Text.Templates;
using Microsoft.AspNetCore.Builder;

namespace LsglangSharp.Api.Tests.Serving;

/// <summary>A real server on a free loopback port over a scripted engine.</summary>
internal sealed class RunningServer : IAsyncDisposable
{
    /// <summary>A line a message, tools first, and an objection to conversations that say "refuse".</summary>
    public const string LineTemplate =
        """
        {%- if tools %}{{ tools | tojson }}
        {% endif %}
        {%- for message in messages %}
        {%- if 'refuse' in message.content %}{{ raise_exception('this conversation is refused') }}{% endif %}
        {{- message.role + ': ' + message.content + '\n' }}
        {%- endfor %}
        {{- 'assistant: ' if enable_thinking is not defined or enable_thinking else 'assistant (no thoughts): ' }}
        """;

    private RunningServer(WebApplication app, ScriptedEngine engine)
    {
        App = app;
        Engine = engine;
        Client = new HttpClient { BaseAddress = new Uri(LsglangServer.AddressOf(app)) };
    }

    public WebApplication App { get; }

    public ScriptedEngine Engine { get; }

    public HttpClient Client { get; }

    public Uri Address => Client.BaseAddress!;

    public static async Task<RunningServer> StartAsync(
        Func<ServerOptions, ServerOptions>? options = null, Func<ServedModel, ServedModel>? model = null, ScriptedEngine? engine = null)
    {
        engine ??= new ScriptedEngine();
        var served = new ServedModel
        {
            Path = "models/tiny", Text = new ByteText(), ChatTemplate = ChatTemplate.Parse(LineTemplate),
        };
        var chosen = new ServerOptions { Port = 0, ServedModelNames = ["tiny", "tiny-alias"], Log = _ => { }, HealthGenerates = false };
        var app = LsglangServer.Build(options?.Invoke(chosen) ?? chosen, engine, model?.Invoke(served) ?? served);
        await app.StartAsync();
        return new RunningServer(app, engine);
    }

    public Task<HttpResponseMessage> PostAsync(string path, string json) =>
        Client.PostAsync(new Uri(path, UriKind.Relative), new StringContent(json, Encoding.UTF8, "application/json"));

    /// <summary>The status and the body as JSON.</summary>
    public async Task<(HttpStatusCode Status, JsonNode Body)> AskAsync(string path, string json)
    {
        using var response = await PostAsync(path, json);
        return (response.StatusCode, JsonNode.Parse(await response.Content.ReadAsStringAsync())!);
    }

    public async Task<(HttpStatusCode Status, string Body)> GetAsync(string path)
    {
        using var response = await Client.GetAsync(new Uri(path, UriKind.Relative));
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    /// <summary>The data of every event of a stream, with ids and times made the same in all runs.</summary>
    public async Task<List<string>> StreamAsync(string path, string json)
    {
        using var response = await PostAsync(path, json);
        var body = await response.Content.ReadAsStringAsync();
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.MediaType);
        Assert.EndsWith("\n\n", body, StringComparison.Ordinal);
        var events = body.Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.All(events, line => Assert.StartsWith("data: ", line, StringComparison.Ordinal));
        return [.. events.Select(line => line["data: ".Length..])];
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        Engine.Abort("");
        await App.DisposeAsync();
    }
}
