using System.Collections.Concurrent;
using System.Text.Json;
using LsglangSharp.Runtime.Text;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Text;

/// <summary>The reference rows and the tokenizers that they belong to.</summary>
internal static class TokenizerGoldens
{
    private static readonly ConcurrentDictionary<string, Lazy<Tokenizer>> _tokenizers = new();

    public static Tokenizer Tokenizer(string name)
    {
        Skip.If(Repository.Shared is null, "reference data is not here");
        return _tokenizers.GetOrAdd(name, static key => new Lazy<Tokenizer>(() => Runtime.Text.Tokenizer.Load(
            key == "demo" ? Repository.SharedPath("demo-model")! : Repository.SharedPath("tokenizers", key)!))).Value;
    }

    public static List<JsonElement> Rows(string file)
    {
        Skip.If(Repository.Shared is null, "reference data is not here");
        var path = Repository.SharedPath("goldens", "text", file)!;
        return [.. File.ReadLines(path).Select(line => JsonElement.Parse(line))];
    }

    public static int[] Ids(JsonElement row, string name) =>
        [.. row.GetProperty(name).EnumerateArray().Select(id => id.GetInt32())];

    public static string Field(JsonElement row, string name) => row.GetProperty(name).GetString()!;

    /// <summary>Fails with all messages, each cut short, where there are any.</summary>
    public static void AssertNone(List<string> failures) => Assert.True(
        failures.Count == 0,
        $"{failures.Count} rows differ:\n{string.Join('\n', failures.Take(20).Select(Cut))}");

    private static string Cut(string text) => text[..Math.Min(400, text.Length)];
}
