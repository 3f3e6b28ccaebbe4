using System.Diagnostics;
using System.Globalization;
using System.Text;
using LsglangSharp.Runtime.Text;
using LsglangSharp.Support;

namespace LsglangSharp.Benchmarks;

/// <summary>
/// Times encoding against @huggingface/tokenizers on the same texts, round by round in turn, and prints megabytes a
/// second of CPU time and the ratios: tokenizer [text-file]. The peer runs in Node.js and is left out where Node.js or
/// the package is missing.
/// </summary>
internal static class TokenizerBenchmark
{
    private const int Rounds = 5;
    // Short texts are encoded several times a round, so that the clock can see them.
    private const int RoundBytes = 200_000;
    private static readonly int[] _kilobytes = [10, 100, 1000];

    public static int Run(ReadOnlySpan<string> arguments)
    {
        var file = arguments.Length > 0 ? arguments[0] : null;
        Console.WriteLine("MB/s of CPU time; first: the first round; best: of five; ratios: best to best");
        Console.WriteLine($"{"tokenizer",-9} {"text",-6} {"KB",5} {"tokens",8} {"first",8} {"best",8} " +
            $"{"peer first",11} {"peer best",10} {"CPU ratio",10} {"clock ratio",12}");
        foreach (var (name, folder) in Folders())
        {
            Measure(name, folder, file);
        }

        return 0;
    }

    private static IEnumerable<(string Name, string Folder)> Folders()
    {
        var demo = new[] { Path.Combine(Repository.Root, "models", "demo"), Repository.SharedPath("demo-model") }
            .FirstOrDefault(path => path is not null && File.Exists(Path.Combine(path, "tokenizer.json")));
        if (demo is not null)
        {
            yield return ("demo", demo);
        }

        if (Repository.SharedPath("tokenizers", "qwen3") is { } qwen3)
        {
            yield return ("qwen3", qwen3);
        }
    }

    private static void Measure(string name, string folder, string? file)
    {
        using var peer = TokenizerPeer.Start(folder);
        var watch = Stopwatch.StartNew();
        var tokenizer = Tokenizer.Load(folder);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name}: loaded in {watch.Elapsed.TotalMilliseconds:F0} ms, peer in {peer?.LoadMilliseconds:F0} ms"));
        foreach (var (kind, text) in Texts(tokenizer, file))
        {
            Compare(name, kind, text, tokenizer, peer);
        }
    }

    private static IEnumerable<(string Kind, string Text)> Texts(Tokenizer tokenizer, string? file)
    {
        if (file is not null)
        {
            yield return ("file", File.ReadAllText(file));
            yield break;
        }

        foreach (var size in _kilobytes)
        {
            yield return ("prose", SampleTexts.Prose(tokenizer, size * 1000));
            yield return ("code", SampleTexts.Code(size * 1000));
            yield return ("cjk", SampleTexts.Mixed(tokenizer, size * 1000));
        }

        foreach (var size in _kilobytes)
        {
            yield return ("aaaa", new string('a', size * 1000));
        }
    }

    private static void Compare(string name, string kind, string text, Tokenizer tokenizer, TokenizerPeer? peer)
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, text);
            var bytes = Encoding.UTF8.GetByteCount(text);
            var repeats = Math.Max(1, RoundBytes / bytes);
            var own = new List<TokenizerTiming>();
            var others = new List<TokenizerTiming>();
            for (var round = 0; round < Rounds; round++)
            {
                own.Add(Encode(tokenizer, text, repeats));
                if (peer is not null)
                {
                    others.Add(peer.Encode(path, repeats));
                }
            }

            Print($"{name,-9} {kind,-6}", bytes, repeats, own, others);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static TokenizerTiming Encode(Tokenizer tokenizer, string text, int repeats)
    {
        int[] ids = [];
        var cpu = Environment.CpuUsage.TotalTime;
        var watch = Stopwatch.StartNew();
        for (var i = 0; i < repeats; i++)
        {
            ids = tokenizer.Encode(text, addSpecialTokens: false);
        }

        var milliseconds = watch.Elapsed.TotalMilliseconds;
        var used = (Environment.CpuUsage.TotalTime - cpu).TotalMilliseconds;
        return new TokenizerTiming(
            milliseconds, used, ids.Length, ids.Aggregate(0, (hash, id) => unchecked(hash * 31 + id)));
    }

    private static void Print(
        string label, int bytes, int repeats, List<TokenizerTiming> own, List<TokenizerTiming> others)
    {
        var line = string.Create(
            CultureInfo.InvariantCulture,
            $"{label} {bytes / 1000,5} {own[0].Count,8} {First(own),8:F1} {Best(own),8:F1}");
        if (others.Count > 0)
        {
            var clock = others.Min(round => round.Milliseconds) / own.Min(round => round.Milliseconds);
            line += string.Create(
                CultureInfo.InvariantCulture,
                $" {First(others),11:F2} {Best(others),10:F2} {Best(own) / Best(others),10:F1} {clock,12:F1}");
            if ((others[0].Count, others[0].Hash) != (own[0].Count, own[0].Hash))
            {
                line += $"  ids differ: the peer's are {others[0].Count}";
            }
        }

        Console.WriteLine(line);

        double First(List<TokenizerTiming> rounds) => bytes * repeats / rounds[0].CpuMilliseconds / 1000;
        double Best(List<TokenizerTiming> rounds) =>
            bytes * repeats / rounds.Min(round => round.CpuMilliseconds) / 1000;
    }
}
