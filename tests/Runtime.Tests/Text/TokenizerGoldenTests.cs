using System.Text.Json;
using LsglangSharp.Runtime.Text;
using LsglangSharp.Support;
using static LsglangSharp.Runtime.Tests.Text.TokenizerGoldens;

namespace LsglangSharp.Runtime.Tests.Text;

public class TokenizerGoldenTests
{
    [SkippableTheory]
    [InlineData("qwen3", 486)]
    [InlineData("deepseek_v3", 479)]
    [InlineData("llama3_1", 466)]
    [InlineData("gptoss", 471)]
    [InlineData("kimi_style", 481)]
    public void Encodes_and_decodes_every_row_as_the_reference_does(string name, int count)
    {
        var tokenizer = Tokenizer(name);
        var rows = Rows($"{name}.jsonl");
        var failures = new List<string>();

        foreach (var row in rows)
        {
            var label = $"{Field(row, "label")}: {JsonSerializer.Serialize(Field(row, "text"))}";
            Compare(failures, label + " ids", Ids(row, "ids"), tokenizer.Encode(Field(row, "text"), false));
            var special = row.TryGetProperty("ids_special", out _) ? "ids_special" : "ids";
            Compare(failures, label + " ids_special", Ids(row, special), tokenizer.Encode(Field(row, "text"), true));
            if (row.TryGetProperty("ids_plain", out _))
            {
                var plain = tokenizer.Encode(Field(row, "text"), false, parseSpecialTokens: false);
                Compare(failures, label + " ids_plain", Ids(row, "ids_plain"), plain);
            }

            Compare(failures, label + " decoded", Field(row, "decoded"), tokenizer.Decode(Ids(row, "ids"), false));
            Compare(failures, label + " skipped", Field(row, "decoded_skip"), tokenizer.Decode(Ids(row, "ids"), true));
        }

        Assert.True(rows.Count >= count);
        AssertNone(failures);
    }

    [SkippableTheory]
    [InlineData("qwen3")]
    [InlineData("deepseek_v3")]
    [InlineData("llama3_1")]
    [InlineData("gptoss")]
    [InlineData("kimi_style")]
    public void Decodes_arbitrary_ids_as_the_reference_does(string name)
    {
        var tokenizer = Tokenizer(name);
        var failures = new List<string>();

        foreach (var row in Rows($"{name}.decode.jsonl"))
        {
            var ids = Ids(row, "ids");
            Compare(failures, string.Join(' ', ids), Field(row, "decoded"), tokenizer.Decode(ids, false));
            Compare(failures, string.Join(' ', ids), Field(row, "decoded_skip"), tokenizer.Decode(ids, true));
        }

        AssertNone(failures);
    }

    [SkippableFact]
    public void Streams_every_chunk_as_the_reference_does()
    {
        var failures = new List<string>();

        foreach (var row in Rows("incremental.jsonl"))
        {
            var label = $"{Field(row, "tokenizer")} {Field(row, "label")}";
            var stream = new StreamingDetokenizer(
                Tokenizer(Field(row, "tokenizer")), row.GetProperty("skip_special_tokens").GetBoolean());
            var chunks = Ids(row, "ids").Select(stream.Push).ToList();
            var flush = stream.Flush();
            var expected = row.GetProperty("chunks").EnumerateArray().Select(chunk => chunk.GetString());
            Compare(failures, label, expected, chunks);
            Compare(failures, label + " flush", Field(row, "flush"), flush);
            Compare(failures, label + " final", Field(row, "final"), string.Concat(chunks) + flush);
        }

        AssertNone(failures);
    }

    [SkippableFact]
    public void The_demo_model_reads_its_prompts_and_answers_as_its_reference_does()
    {
        var tokenizer = Tokenizer("demo");
        var expected = Golden.ReadInt32(Repository.SharedPath("demo-model", "expected.safetensors")!);
        var failures = new List<string>();

        foreach (var row in DemoRows())
        {
            foreach (var part in new[] { "prompt", "output" })
            {
                var ids = expected[$"{Field(row, "id")}.{part}"];
                Compare(failures, Field(row, part), ids, tokenizer.Encode(Field(row, part), false));
                Compare(failures, Field(row, part), Field(row, part), tokenizer.Decode(ids, false));
            }
        }

        AssertNone(failures);
    }

    [SkippableFact]
    public void The_demo_models_evaluation_text_has_one_token_more_than_its_notes_score()
    {
        Skip.If(Repository.Shared is null, "reference data is not here");
        var text = File.ReadAllText(Repository.SharedPath("demo-model", "evaluation_text.txt")!);

        Assert.Equal(7266 + 1, Tokenizer("demo").Encode(text, addSpecialTokens: false).Length);
    }

    private static IEnumerable<JsonElement> DemoRows() => File
        .ReadLines(Repository.SharedPath("demo-model", "expected_text.jsonl")!)
        .Select(line => JsonElement.Parse(line));

    private static void Compare<T>(List<string> failures, string label, IEnumerable<T> expected, IEnumerable<T> actual)
    {
        if (!expected.SequenceEqual(actual))
        {
            failures.Add(
                $"{label}: expected {JsonSerializer.Serialize(expected)} but got {JsonSerializer.Serialize(actual)}");
        }
    }
}
