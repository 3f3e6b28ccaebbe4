using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Parsing;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Parsing;

/// <summary>Every reasoning parser against sglang's own results, for every way of cutting the text.</summary>
public sealed class ReasoningGoldenTests
{
    public static TheoryData<string> Names => [.. ReasoningParsers.Names];

    [SkippableTheory]
    [MemberData(nameof(Names))]
    public void Thoughts_and_answer_are_those_of_sglang(string name)
    {
        Skip.If(Repository.Shared is null, "reference data is not here");
        var failures = new List<string>();
        var count = 0;

        foreach (var row in Chunking.Rows($"reasoning.{name}.jsonl"))
        {
            count++;
            var text = (string)row["text"]!;
            var isForced = (bool?)row["force_reasoning"] ?? false;
            Compare(failures, row, "whole text", Piece(row), ReasoningParsers.ParseWhole(name, text, isForced));
            foreach (var (way, pieces) in Chunking.Ways(text, row["chunks"]!.AsArray(), seed: count))
            {
                Compare(failures, row, way, Piece(row["stream"]!), Stream(name, pieces, isForced, streams: true));
                var held = Stream(name, pieces, isForced, streams: false);
                Compare(failures, row, way + " held", Piece(row["stream_reasoning_false"] ?? row["stream"]!), held);
            }
        }

        Assert.True(count > 30, $"only {count} rows");
        Assert.True(failures.Count == 0, $"{failures.Count} differ:\n{string.Join('\n', failures.Take(8))}");
    }

    private static ReasoningPiece Piece(JsonNode node) => new((string)node["reasoning"]!, (string)node["content"]!);

    private static ReasoningPiece Stream(string name, IEnumerable<string> pieces, bool isForced, bool streams)
    {
        var parser = ReasoningParsers.Create(name, isForced, streams);
        var parts = pieces.Select(parser.Push).ToList();
        parts.Add(parser.Finish());
        return new ReasoningPiece(
            string.Concat(parts.Select(part => part.Reasoning)), string.Concat(parts.Select(part => part.Content)));
    }

    private static void Compare(
        List<string> failures, JsonObject row, string way, ReasoningPiece expected, ReasoningPiece actual)
    {
        if (expected != actual)
        {
            failures.Add($"{row["label"]} ({way}, forced {row["force_reasoning"]}): {row["text"]}\n"
                + $"  expected {expected}\n  actual   {actual}");
        }
    }
}
