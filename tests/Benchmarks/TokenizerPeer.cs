using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json;
using LsglangSharp.Support;

namespace LsglangSharp.Benchmarks;

/// <summary>The other tokenizer, in a Node.js process that encodes files on demand.</summary>
internal sealed class TokenizerPeer : IDisposable
{
    private readonly Process _process;

    private TokenizerPeer(Process process)
    {
        _process = process;
        LoadMilliseconds = Answered().Milliseconds;
    }

    public double LoadMilliseconds { get; }

    /// <summary>Null, with a line that says why, where the peer cannot run.</summary>
    public static TokenizerPeer? Start(string tokenizerFolder)
    {
        var folder = Path.Combine(Repository.Root, "tests", "Benchmarks", "tokenizer");
        if (!Directory.Exists(Path.Combine(folder, "node_modules")))
        {
            Console.WriteLine($"no peer: run 'npm install' in {folder} first");
            return null;
        }

        try
        {
            return new TokenizerPeer(Process.Start(new ProcessStartInfo("node", ["peer.mjs", tokenizerFolder])
            {
                WorkingDirectory = folder,
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
            })!);
        }
        catch (Win32Exception error)
        {
            Console.WriteLine($"no peer: {error.Message}");
            return null;
        }
    }

    public TokenizerTiming Encode(string path, int repeats)
    {
        _process.StandardInput.WriteLine($"{repeats} {path}");
        _process.StandardInput.Flush();
        return Answered();
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        _process.WaitForExit();
        _process.Dispose();
    }

    private TokenizerTiming Answered()
    {
        var line = _process.StandardOutput.ReadLine() ?? throw new InvalidOperationException("the peer ended early");
        using var answer = JsonDocument.Parse(line);
        var root = answer.RootElement;
        return new TokenizerTiming(
            root.GetProperty("milliseconds").GetDouble(), root.GetProperty("cpu").GetDouble(),
            root.GetProperty("count").GetInt32(), root.GetProperty("hash").GetInt32());
    }
}

/// <summary>What an encoding took, by the clock and of CPU time, and what it gave.</summary>
internal readonly record struct TokenizerTiming(double Milliseconds, double CpuMilliseconds, int Count, int Hash);
