using LsglangSharp.Api.Cli;
using LsglangSharp.Api.Http;
using LsglangSharp.Support;
using Microsoft.AspNetCore.Builder;

namespace LsglangSharp.Api.Tests.EndToEnd;

/// <summary>The product as a user starts it: the built-in model, the native library, a real port; only in this process.</summary>
public sealed class DemoServer : IAsyncLifetime
{
    private ServingModel? _model;
    private WebApplication? _app;

    public static string ModelFolder { get; } = Path.Combine(Repository.Root, "models", "demo");

    public Uri Address { get; private set; } = new("http://unset/");

    public HttpClient Http { get; private set; } = new();

    public async Task InitializeAsync()
    {
        _model = ServingModel.Load(
            ServeSettings.Parse(["--device", "cpu", "--port", "0", "--max-total-tokens", "65536", "--enable-cache-report"]),
            EnvironmentVariables.Read(new Dictionary<string, string>()),
            new LoadDisplay(TextWriter.Null));
        _app = LsglangServer.Build(_model.ServerOptions with { Log = _ => { } }, _model.Engine, _model.Served);
        await LsglangServer.StartAsync(_app, CancellationToken.None);
        Address = new Uri(LsglangServer.AddressOf(_app) + "/");
        Http = new HttpClient { BaseAddress = Address, Timeout = TimeSpan.FromMinutes(5) };
    }

    public async Task DisposeAsync()
    {
        Http.Dispose();
        if (_app is not null)
        {
            await LsglangServer.DrainAsync(_app, CancellationToken.None);
            await _app.DisposeAsync();
        }

        _model?.Dispose();
    }
}

/// <summary>One server for all end-to-end tests.</summary>
[CollectionDefinition("demo server")]
public sealed class DemoServerGroup : ICollectionFixture<DemoServer>;
