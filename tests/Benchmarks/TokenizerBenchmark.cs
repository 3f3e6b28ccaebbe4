using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using LsglangSharp.Runtime.Text;
using LsglangSharp.Support;

namespace LsglangSharp.Benchmarks;

/// <summary>
/// Times encoding against @huggingface/tokenizers on the same texts, round by round in turn, and prints MB/s and their
/// ratio: tokenizer [text-file]. The peer runs in Node.js and is left out where Node.js or the package is missing.
/// </summary>
internal static class TokenizerBenchmark
{
    private const int Rounds = 5;
    private static readonly int[] _kilobytes = [10, 100, 1000];

    public static int Run(ReadOnlySpan<string> arguments)
    {
        var file = arguments.Length > 0 ? arguments[0] : null;
        Console.WriteLine($"{"tokenizer",-10} {"text",-8} {"KB",6} {"tokens",8} {"first MB/s",11} {"best MB/s",10} " +
            $"{"peer first",11} {"peer best",10} {"ratio",7}");
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
            yield return (Path.GetFileName(file), File.ReadAllText(file));
            yield break;
        }

        foreach (var size in _kilobytes)
        {
            yield return ("prose", SampleTexts.Prose(tokenizer, size * 1000));
            yield return ("code", SampleTexts.Code(size * 1000));
            yield return ("cjk", SampleTexts.Mixed(tokenizer, size * 1000));
        }

        yield return ("a…a", new string('a', 1_000_000));
    }

    private static void Compare(string name, string kind, string text, Tokenizer tokenizer, TokenizerPeer? peer)
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, text);
            // A piece that is one word of a megabyte takes the peer minutes.
            var asksPeer = peer is not null && kind != "a…a";
            var own = new List<double>();
            var others = new List<double>();
            int[] ids = [];
            for (var round = 0; round < Rounds; round++)
            {
                var watch = Stopwatch.StartNew();
                ids = tokenizer.Encode(text, addSpecialTokens: false);
                own.Add(watch.Elapsed.TotalMilliseconds);
                if (asksPeer)
                {
                    var answer = peer!.Encode(path);
                    others.Add(answer.Milliseconds);
                    if (round == 0 && (answer.Count, answer.Hash) != (ids.Length, Hash(ids)))
                    {
                        Console.WriteLine($"  the peer's ids differ: {answer.Count} instead of {ids.Length}");
                    }
                }
            }

            Print(name, kind, Encoding.UTF8.GetByteCount(text), ids.Length, own, others);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static int Hash(int[] ids) => ids.Aggregate(0, (hash, id) => unchecked(hash * 31 + id));

    private static void Print(string name, string kind, int bytes, int count, List<double> own, List<double> others)
    {
        var line = string.Create(CultureInfo.InvariantCulture, $"{name,-10} {kind,-8} {bytes / 1000,6} {count,8} ") +
            string.Create(CultureInfo.InvariantCulture, $"{Rate(own[0]),11:F1} {Rate(own.Min()),10:F1}");
        if (others.Count > 0)
        {
            line += string.Create(
                CultureInfo.InvariantCulture,
                $" {Rate(others[0]),11:F2} {Rate(others.Min()),10:F2} {others.Min() / own.Min(),7:F1}");
        }

        Console.WriteLine(line);

        double Rate(double milliseconds) => bytes / milliseconds / 1000;
    }
}
