using System.Diagnostics;
using System.Net.Sockets;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli.Commands;

/// <summary>lsglang serve: loads a model and serves it until it is told to stop.</summary>
internal static class ServeCommand
{
    private static readonly TimeSpan _leaveLimit = TimeSpan.FromSeconds(3);

    public static async Task<int> RunAsync(IReadOnlyList<string> arguments)
    {
        var settings = ServeSettings.Parse(arguments);
        var environment = EnvironmentVariables.Read();
        using var log = new LogFile(settings.LogLevel);
        foreach (var warning in settings.Warnings.Concat(environment.Warnings))
        {
            Tell(log, $"warning: {warning}");
        }

        RequirePort(settings);
        var clock = Stopwatch.StartNew();
        using var model = ServingModel.Load(settings, environment, new LoadDisplay(Console.Error));
        model.Describe(Console.Error);
        await using var server = LsglangServer.Build(
            model.ServerOptions with { Log = line => Tell(log, line) }, model.Engine, model.Served);
        var serving = LsglangServer.RunAsync(server, address => Announce(address, settings, model, log, clock.Elapsed));
        if (await Task.WhenAny(serving, model.DeviceLost).ConfigureAwait(false) != serving)
        {
            Tell(log, $"error: {await model.DeviceLost.ConfigureAwait(false)} The server ends; all requests were told.");
            await Leave(server).ConfigureAwait(false);
        }

        await serving.ConfigureAwait(false);
        return 0;
    }

    /// <summary>
    /// Sends what readers are still to get and ends the process, whatever a driver may think of it: nothing is taken down,
    /// because that would wait for a device that is not there.
    /// </summary>
    private static async Task Leave(WebApplication server)
    {
        using var limit = new CancellationTokenSource(_leaveLimit);
        try
        {
            await server.StopAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // Whoever reads that slowly gets no more.
        }

        // The driver's own clean-up at the end of the process may hang as well.
        using var insist = new Timer(_ => Process.GetCurrentProcess().Kill(), null, _leaveLimit, Timeout.InfiniteTimeSpan);
        Environment.Exit(1);
    }

    private static void Announce(string address, ServeSettings settings, ServingModel model, LogFile log, TimeSpan elapsed)
    {
        var key = settings.ApiKey is null ? "" : " -H \"Authorization: Bearer $API_KEY\"";
        log.Write($"ready at {address}, model {model.Name}, after {elapsed.TotalSeconds:F1} s");
        Console.WriteLine();
        Console.WriteLine($"Ready after {elapsed.TotalSeconds:F1} s at {address}. The server is fired up and ready to roll!");
        Console.WriteLine();
        Console.WriteLine(settings.SkipTokenizer
            ? $"  curl {address}/generate{key} -H 'Content-Type: application/json' \\\n"
                + "    -d '{\"input_ids\": [1, 2, 3], \"sampling_params\": {\"max_new_tokens\": 16}}'"
            : $"  curl {address}/v1/chat/completions{key} -H 'Content-Type: application/json' \\\n"
                + "    -d '{\"messages\": [{\"role\": \"user\", \"content\": \"What is the capital of France?\"}]}'");
        Console.WriteLine();
        Console.WriteLine($"OpenAI base URL: {address}/v1    Logs: {log.Folder}    Stop: Ctrl-C");
    }

    /// <summary>Fails before the model is loaded, not after.</summary>
    private static void RequirePort(ServeSettings settings)
    {
        try
        {
            var address = System.Net.IPAddress.TryParse(settings.Host, out var parsed)
                ? parsed : System.Net.Dns.GetHostAddresses(settings.Host)[0];
            using var probe = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            probe.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
            probe.Bind(new System.Net.IPEndPoint(address, settings.Port));
            probe.Listen(1);
        }
        catch (SocketException fault)
        {
            throw new ConfigurationException(
                fault.SocketErrorCode switch
                {
                    SocketError.AddressAlreadyInUse =>
                        $"Port {settings.Port} on {settings.Host} is in use. Stop what uses it, or choose another with --port.",
                    SocketError.AccessDenied =>
                        $"Port {settings.Port} may not be opened by this user; ports below 1024 need rights. Choose another with --port.",
                    SocketError.HostNotFound or SocketError.AddressNotAvailable or SocketError.TryAgain =>
                        $"--host {settings.Host} is not an address of this machine.",
                    _ => $"--host {settings.Host} --port {settings.Port} cannot be opened: {fault.Message}.",
                },
                fault);
        }
    }

    private static void Tell(LogFile log, string line)
    {
        log.Write(line);
        Console.Error.WriteLine(line);
    }
}
