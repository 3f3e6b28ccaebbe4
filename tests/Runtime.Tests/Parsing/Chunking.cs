using System.Text.Json.Nodes;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Parsing;

/// <summary>The ways in which a text is cut for a stream.</summary>
internal static class Chunking
{
    public static IEnumerable<(string Name, IReadOnlyList<string> Pieces)> Ways(
        string text, JsonArray? tokens, int seed)
    {
        yield return ("by 1", Every(text, 1));
        yield return ("by 3", Every(text, 3));
        yield return ("by 7", Every(text, 7));
        yield return ("whole", [text]);
        if (tokens is not null)
        {
            yield return ("tokens", [.. tokens.Select(node => (string)node!)]);
        }

        var random = new Random(seed);
        for (var i = 0; i < 8; i++)
        {
            yield return ($"random {i} of seed {seed}", Randomly(text, random));
        }
    }

    private static List<string> Every(string text, int size) =>
        [.. Enumerable.Range(0, (text.Length + size - 1) / size).Select(
            i => text.Substring(i * size, Math.Min(size, text.Length - i * size)))];

    public static List<string> Randomly(string text, Random random)
    {
        var pieces = new List<string>();
        for (var start = 0; start < text.Length;)
        {
            var length = Math.Min(random.Next(random.Next(2) == 0 ? 4 : 20), text.Length - start);
            pieces.Add(text.Substring(start, length));
            start += length;
        }

        return pieces;
    }

    public static IEnumerable<JsonObject> Rows(string file) =>
        File.ReadLines(Repository.SharedPath("goldens", "text", file)!).Select(
            line => JsonNode.Parse(line)!.AsObject());
}
