using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Text.Templates;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Text.Templates;

/// <summary>Small templates against what Jinja 3.1.6 gave for them in transformers' environment.</summary>
public sealed class JinjaSnippetsTests
{
    private static readonly JsonObject Data = JsonNode.Parse(File.ReadAllText(Path.Combine(
        Repository.Root, "tests/Runtime.Tests/Text/Templates/snippets.json")))!.AsObject();

    [Fact]
    public void Snippets_render_as_in_jinja()
    {
        var variables = Data["variables"]!.AsObject();
        var time = new FixedTime(new DateTime(2026, 7, 1, 12, 0, 0));
        var failures = new List<string>();

        foreach (var row in Data["cases"]!.AsArray().Select(node => node!.AsObject()))
        {
            var source = (string)row["source"]!;
            var expected = (string?)row["text"] ?? "error: " + (string)row["error"]!;
            var actual = Render(source, variables, time);
            if (actual != expected)
            {
                failures.Add($"{source}\n  expected {expected}\n  actual   {actual}");
            }
        }

        Assert.True(failures.Count == 0, $"{failures.Count} differ:\n{string.Join('\n', failures)}");
    }

    private static string Render(string source, JsonObject variables, TimeProvider time)
    {
        try
        {
            return ChatTemplate.Parse(source).Render(variables, time);
        }
        catch (ChatTemplateException exception)
        {
            return $"error: {exception.Kind}: {exception.Message}";
        }
    }
}
