using System.CommandLine;
using System.Reflection;

namespace LsglangSharp.Api.Cli.Commands;

/// <summary>lsglang version.</summary>
internal static class VersionCommand
{
    public static string Version { get; } =
        typeof(VersionCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!
            .InformationalVersion.Split('+')[0];

    private static string Revision =>
        typeof(VersionCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!
            .InformationalVersion.Split('+') is [_, var revision, ..] ? revision[..Math.Min(7, revision.Length)] : "unknown";

    public static Command Create()
    {
        var command = new Command("version", "Print the version and the revision that it was built from.");
        command.SetAction(_ =>
        {
            Console.WriteLine($"lsglang version: {Version}");
            Console.WriteLine($"git revision: {Revision}");
        });
        return command;
    }
}
