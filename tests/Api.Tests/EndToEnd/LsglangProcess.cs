using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;

using LsglangSharp.Api.Tests.Placement;

namespace LsglangSharp.Api.Tests.EndToEnd;

/// <summary>lsglang as a process of its own, as a user starts it.</summary>
public sealed partial class LsglangProcess : IDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _output = new();
    private readonly TaskCompletionSource<Uri> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private LsglangProcess(string[] arguments, (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo("dotnet")
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            UseShellExecute = false,
        };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "lsglang.dll"));
        foreach (var argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        // The double of the CUDA driver is for those who name it.
        start.Environment.Remove(Placements.Variable);
        start.Environment["LSGLANG_LOG_DIR"] = Path.Combine(Path.GetTempPath(), "lsglang-test-logs");
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        _process = Process.Start(start)!;
        _process.OutputDataReceived += (_, line) => Take(line.Data);
        _process.ErrorDataReceived += (_, line) => Take(line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>Both streams so far.</summary>
    public string Output
    {
        get
        {
            lock (_output)
            {
                return _output.ToString();
            }
        }
    }

    public static LsglangProcess Start(params string[] arguments) => new(arguments, []);

    public static LsglangProcess Start(string[] arguments, params (string Name, string Value)[] environment) =>
        new(arguments, environment);

    /// <summary>Runs to its end; the exit code and everything that it printed.</summary>
    public static async Task<(int Code, string Output)> RunAsync(
        string[] arguments, params (string Name, string Value)[] environment)
    {
        using var process = new LsglangProcess(arguments, environment);
        process.CloseInput();
        return (await process.ExitAsync(), process.Output);
    }

    /// <summary>The address that the server says it is ready at.</summary>
    public async Task<Uri> ReadyAsync()
    {
        var first = await Task.WhenAny(_ready.Task, _process.WaitForExitAsync());
        Assert.True(first == _ready.Task, Output);
        return await _ready.Task;
    }

    public async Task<int> ExitAsync()
    {
        await _process.WaitForExitAsync();
        return _process.ExitCode;
    }

    public void Write(string line) => _process.StandardInput.WriteLine(line);

    public void CloseInput() => _process.StandardInput.Close();

    /// <summary>2 is Ctrl-C, 15 asks to terminate.</summary>
    public void Signal(int number) => Assert.Equal(0, Kill(_process.Id, number));

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        _process.Dispose();
    }

    private void Take(string? line)
    {
        if (line is null)
        {
            return;
        }

        lock (_output)
        {
            _output.AppendLine(line);
        }

        if (Ready().Match(line) is { Success: true } match)
        {
            _ready.TrySetResult(new Uri(match.Groups[1].Value));
        }
    }

    [GeneratedRegex(@"^Ready after .* at (http://[\d.]+:\d+)\.")]
    private static partial Regex Ready();

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
