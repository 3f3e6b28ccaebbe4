using System.CommandLine;
using LsglangSharp.Api.Cli.Commands;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli;

/// <summary>The commands of lsglang. serve, chat, bench and plan read sglang's flags with argparse's rules; the rest are plain.</summary>
internal static class CommandLine
{
    private static readonly Dictionary<string, Func<IReadOnlyList<string>, Task<int>>> _withFlags = new(StringComparer.Ordinal)
    {
        ["serve"] = ServeCommand.RunAsync,
        ["chat"] = ChatCommand.RunAsync,
        ["bench"] = BenchCommand.RunAsync,
        ["plan"] = PlanCommand.RunAsync,
    };

    public static Task<int> RunAsync(string[] arguments)
    {
        if (arguments.Length > 0 && _withFlags.TryGetValue(arguments[0], out var run)
            && !arguments.Skip(1).Any(argument => argument is "--help" or "-h" or "-?"))
        {
            return run(arguments[1..]);
        }

        if (arguments.Length > 0 && _withFlags.ContainsKey(arguments[0]))
        {
            Console.Out.Write(FlagHelp.For(arguments[0]));
            return Task.FromResult(0);
        }

        return PlainAsync(arguments);
    }

    private static Task<int> PlainAsync(string[] arguments)
    {
        var root = new RootCommand("lsglang: an inference server for mixture-of-experts language models.")
        {
            new Command("serve", "Serve a model over an OpenAI-compatible API: serve [MODEL_FOLDER] [flags]. See serve --help."),
            new Command("chat", "Chat in the terminal: chat [MODEL_FOLDER] [flags], or chat --url URL. See chat --help."),
            new Command("bench", "Measure throughput and latency without HTTP: bench [MODEL_FOLDER] [flags]. See bench --help."),
            new Command("plan", "Print what serve would put where, without loading: plan [MODEL_FOLDER] [flags]. See plan --help."),
            DescribeCommand.Create(),
            DoctorCommand.Create(),
            VersionCommand.Create(),
        };
        if (arguments.Length > 0 && !arguments[0].StartsWith('-')
            && root.Subcommands.All(command => command.Name != arguments[0]))
        {
            var nearest = Spelling.Nearest(arguments[0], root.Subcommands.Select(command => command.Name));
            throw new ConfigurationException(
                $"There is no command {arguments[0]}{(nearest is null ? "" : $"; did you mean {nearest}?")} "
                + $"Commands: {string.Join(", ", root.Subcommands.Select(command => command.Name))}.");
        }

        var parsed = root.Parse(arguments.Length == 0 ? ["--help"] : arguments);
        parsed.InvocationConfiguration.EnableDefaultExceptionHandler = false;
        return parsed.InvokeAsync();
    }
}
