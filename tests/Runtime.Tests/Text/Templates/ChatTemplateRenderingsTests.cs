using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Text.Templates;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Text.Templates;

/// <summary>Published chat templates against what transformers renders for them.</summary>
public sealed class ChatTemplateRenderingsTests
{
    [SkippableFact]
    public void Every_published_rendering_is_equal_byte_for_byte()
    {
        Skip.If(Repository.Shared is null, "reference data is not here");
        var folder = Repository.SharedPath("chat-templates")!;
        var data = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "renderings.json")))!.AsObject();
        var time = new FixedTime(DateTime.Parse((string)data["now"]!));
        var contexts = data["cases"]!.AsArray().ToDictionary(
            node => (string)node!["case"]!, node => node!["context"]!.AsObject());
        var templates = new Dictionary<string, ChatTemplate>();
        var failures = new List<string>();
        var count = 0;

        foreach (var row in data["renderings"]!.AsArray().Select(node => node!.AsObject()))
        {
            var name = (string)row["template"]!;
            if (!templates.TryGetValue(name, out var template))
            {
                templates[name] = template = ChatTemplate.Parse(File.ReadAllText(Path.Combine(folder, name)));
            }

            var expected = (string?)row["text"] ?? "error: " + (string)row["error"]!;
            var actual = Render(template, contexts[(string)row["case"]!], time);
            count++;
            if (actual != expected)
            {
                failures.Add($"{name} {row["case"]}\n  expected {expected}\n  actual   {actual}");
            }
        }

        Assert.True(failures.Count == 0, $"{failures.Count} of {count} differ:\n{string.Join('\n', failures.Take(5))}");
        Assert.True(count >= 816, $"only {count} renderings found");
    }

    private static string Render(ChatTemplate template, JsonObject context, TimeProvider time)
    {
        try
        {
            return template.Render(context, time);
        }
        catch (ChatTemplateException exception)
        {
            return $"error: {exception.Kind}: {exception.Message}";
        }
    }
}

/// <summary>A clock that stands still, in UTC.</summary>
internal sealed class FixedTime(DateTime now) : TimeProvider
{
    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    public override DateTimeOffset GetUtcNow() => new(DateTime.SpecifyKind(now, DateTimeKind.Utc));
}
