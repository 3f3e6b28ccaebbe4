using System.Runtime.InteropServices;
using LsglangSharp.Api.Cli.Chat;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli.Commands;

/// <summary>lsglang chat: a conversation in the terminal, with a model of its own or a server that runs.</summary>
internal static class ChatCommand
{
    public static async Task<int> RunAsync(IReadOnlyList<string> arguments)
    {
        var (url, system, others) = Own(arguments);
        var settings = ServeSettings.Parse(others);
        if (url is not null)
        {
            if (settings.ModelPath is not null)
            {
                throw new ConfigurationException("chat takes a model folder or --url, not both.");
            }

            await TalkAsync(new Uri(url.TrimEnd('/').EndsWith("/v1", StringComparison.Ordinal)
                ? url.TrimEnd('/')[..^2] : url.TrimEnd('/') + "/"), settings.ApiKey, system).ConfigureAwait(false);
            return 0;
        }

        // The same path as every client takes: a server of its own on a free loopback port.
        using var model = ServingModel.Load(
            settings with { Host = "127.0.0.1", Port = 0 }, EnvironmentVariables.Read(), new LoadDisplay(Console.Error));
        await using var server = LsglangServer.Build(
            model.ServerOptions with { Log = _ => { }, DrainLimit = TimeSpan.FromMilliseconds(200) }, model.Engine, model.Served);
        await LsglangServer.StartAsync(server, CancellationToken.None).ConfigureAwait(false);
        Console.Error.WriteLine($"Chatting with {model.Name}. /help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves.");
        await TalkAsync(new Uri(LsglangServer.AddressOf(server) + "/"), settings.ApiKey, system).ConfigureAwait(false);
        await LsglangServer.DrainAsync(server, CancellationToken.None).ConfigureAwait(false);
        return 0;
    }

    private static async Task TalkAsync(Uri server, string? apiKey, string? system)
    {
        using var http = new HttpClient { BaseAddress = server, Timeout = Timeout.InfiniteTimeSpan };
        var client = new ChatClient(http, apiKey ?? Environment.GetEnvironmentVariable("OPENAI_API_KEY"));
        var colours = !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("NO_COLOR") is null or "";
        string name;
        try
        {
            name = await client.ModelAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch (ChatClientException fault)
        {
            throw new ConfigurationException(fault.Message, fault);
        }

        var session = new ChatSession(client, name, Console.Out, colours);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal =>
        {
            signal.Cancel = true;
            if (!session.Stop())
            {
                Console.Error.WriteLine("\n(Ctrl-D or /exit leaves)");
            }
        });
        if (system is not null)
        {
            await session.HandleAsync($"/system {system}").ConfigureAwait(false);
        }

        var editor = new LineEditor(Console.Out);
        while (editor.Read("> ") is { } line)
        {
            if (!await session.HandleAsync(line).ConfigureAwait(false))
            {
                break;
            }
        }
    }

    private static (string? Url, string? System, List<string> Others) Own(IReadOnlyList<string> arguments)
    {
        string? url = null;
        string? system = null;
        var others = new List<string>();
        for (var i = 0; i < arguments.Count; i++)
        {
            switch (arguments[i])
            {
                case "--url" or "--system" when i + 1 == arguments.Count:
                    throw new ConfigurationException($"{arguments[i]} needs a value.");
                case "--url":
                    url = arguments[++i];
                    if (!Uri.TryCreate(url, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
                    {
                        throw new ConfigurationException($"--url must be an address such as http://127.0.0.1:30000, got \"{url}\".");
                    }

                    break;
                case "--system":
                    system = arguments[++i];
                    break;
                default:
                    others.Add(arguments[i]);
                    break;
            }
        }

        return (url, system, others);
    }
}
