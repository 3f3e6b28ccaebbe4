using System.Net;
using System.Runtime.InteropServices;
using System.Security.Cryptography.X509Certificates;
using LsglangSharp.Api.Native;
using LsglangSharp.Api.OpenAi;
using LsglangSharp.Runtime.Generation;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;

namespace LsglangSharp.Api.Http;

/// <summary>The HTTP server over an engine.</summary>
public static class LsglangServer
{
    private static readonly TimeSpan _farewellLimit = TimeSpan.FromSeconds(1);

    /// <summary>A server that is ready to be started; it has no opinions from files or environment variables.</summary>
    public static WebApplication Build(ServerOptions options, IEngine engine, ServedModel model)
    {
        var server = new ServerContext(options, engine, model);
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration()
            .ConfigureKestrel(kestrel => Configure(kestrel, options));
        builder.Services.AddSingleton(server);
        builder.Services.Replace(ServiceDescriptor.Singleton<IHostLifetime, NoLifetime>());

        var app = builder.Build();
        app.Run(new ErrorPipeline(server, AllRoutes(server)).InvokeAsync);
        return app;
    }

    /// <summary>Where a started server listens, such as http://127.0.0.1:30000.</summary>
    public static string AddressOf(WebApplication app) =>
        app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();

    /// <summary>
    /// Takes no more work (503), lets what runs finish within the limit, ends the rest with an error, and stops. Firing the token
    /// ends the waiting.
    /// </summary>
    public static async Task DrainAsync(WebApplication app, CancellationToken giveUp)
    {
        var server = app.Services.GetRequiredService<ServerContext>();
        server.Phase.BeginDrain();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(giveUp);
        limit.CancelAfter(server.Options.DrainLimit);
        await server.Engine.DrainAsync(limit.Token);

        // The last words, errors included, are still on their way to the clients.
        using var farewell = new CancellationTokenSource(_farewellLimit);
        await app.StopAsync(farewell.Token);
    }

    /// <summary>Starts listening and warms up.</summary>
    public static async Task StartAsync(WebApplication app, CancellationToken cancel)
    {
        var server = app.Services.GetRequiredService<ServerContext>();
        server.Phase.BeginStart();
        await app.StartAsync(CancellationToken.None);
        if (server.Options.WarmsUp)
        {
            await HealthProbe.WarmUpAsync(server, cancel);
        }

        server.Phase.BecomeReady();
    }

    /// <summary>Starts, warms up, says so, and serves until SIGTERM or Ctrl-C; a second one ends at once.</summary>
    public static async Task RunAsync(WebApplication app, Action<string> ready)
    {
        var server = app.Services.GetRequiredService<ServerContext>();
        using var asked = new CancellationTokenSource();
        using var insisted = new CancellationTokenSource();
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);

        await StartAsync(app, asked.Token);
        ready(AddressOf(app));

        await WaitAsync(asked.Token);
        server.Options.Log(
            $"Stopping: running requests may finish within {server.Options.DrainLimit.TotalSeconds:0} s; "
            + "once more to stop at once.");
        await DrainAsync(app, insisted.Token);

        void OnSignal(PosixSignalContext signal)
        {
            signal.Cancel = true;
            if (asked.IsCancellationRequested)
            {
                insisted.Cancel();
            }
            else
            {
                asked.Cancel();
            }
        }
    }

    private static async Task WaitAsync(CancellationToken token)
    {
        var fired = new TaskCompletionSource();
        await using var registration = token.Register(fired.SetResult);
        await fired.Task;
    }

    private static void Configure(KestrelServerOptions kestrel, ServerOptions options)
    {
        kestrel.AddServerHeader = false;
        kestrel.AllowSynchronousIO = false;
        kestrel.Limits.MaxRequestBodySize = null;
        kestrel.Limits.MaxResponseBufferSize = options.ResponseBufferBytesMax;
        kestrel.Limits.MinResponseDataRate = new MinDataRate(options.ResponseBytesPerSecondMin, options.ResponseGrace);
        kestrel.Listen(AddressOf(options.Host), options.Port, endpoint =>
        {
            if (options.CertificateFile is { } certificate)
            {
                endpoint.UseHttps(Certificate(certificate, options.CertificateKeyFile, options.CertificateKeyPassword));
            }
        });
    }

    private static IPAddress AddressOf(string host) =>
        host == "localhost" ? IPAddress.Loopback
        : IPAddress.TryParse(host, out var address) ? address
        : Dns.GetHostAddresses(host)[0];

    private static X509Certificate2 Certificate(string file, string? keyFile, string? password) => password is null
        ? X509Certificate2.CreateFromPemFile(file, keyFile)
        : X509Certificate2.CreateFromEncryptedPemFile(file, password, keyFile);

    private static Routes AllRoutes(ServerContext server)
    {
        var routes = new Routes();
        OpenAiRoutes.AddTo(routes, server);
        NativeRoutes.AddTo(routes, server);
        LaterRoutes.AddTo(routes);
        return routes;
    }

    /// <summary>Signals are <see cref="RunAsync"/>'s, not the host's.</summary>
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
