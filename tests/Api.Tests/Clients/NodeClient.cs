using System.Diagnostics;
using LsglangSharp.Support;

namespace LsglangSharp.Api.Tests.Clients;

/// <summary>Runs the scripts that use the openai package of npm.</summary>
internal static class NodeClient
{
    public const string WhyNot = "node or npm is missing, or the openai package cannot be installed here";

    private static readonly string _folder = Path.Combine(Repository.Root, "tests/Api.Tests/openai-node");

    /// <summary>Installs the package on first use.</summary>
    public static async Task<bool> IsInstalledAsync()
    {
        try
        {
            return Directory.Exists(Path.Combine(_folder, "node_modules", "openai"))
                || await InstallAsync() == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }

    public static async Task<(int Code, string Output, string Errors)> RunAsync(
        string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = _folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }

        return (process.ExitCode, await output, await errors);
    }

    private static async Task<int> InstallAsync() =>
        (await RunAsync("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent")).Code;
}
