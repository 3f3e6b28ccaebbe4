using System.Text.Json.Nodes;
using LsglangSharp.Api.Tests.Serving;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.Tests.Clients;

/// <summary>The server that the official clients are tried on: what it answers depends on the last word of the user.</summary>
internal static class ClientScript
{
    public const string Key = "sk-test";

    private const string Call =
        "Let me look.<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>\n"
        + "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>";

    public static Task<RunningServer> StartAsync() => RunningServer.StartAsync(
        options => options with
        {
            ApiKey = Key,
            ToolCallParser = "qwen25",
            ReasoningParser = "qwen3",
            ChatTemplateDefaults = new JsonObject { ["enable_thinking"] = false },
        },
        engine: new ScriptedEngine { Script = Answer });

    private static IAsyncEnumerable<GenerationChunk> Answer(GenerationRequest request)
    {
        var prompt = new ByteText().Decode([.. request.Prompt], skipSpecialTokens: false);
        var asked = prompt.Replace("\nassistant (no thoughts): ", "", StringComparison.Ordinal).Split(' ')[^1];
        return asked switch
        {
            "call" => ScriptedEngine.Say(request, [.. Call.Chunk(3).Select(piece => new string(piece))]),
            "think" => ScriptedEngine.Say(request, "<think>hm, ", "hm</think>", "Yes."),
            "break" => ScriptedEngine.Say(request, "a").Select(chunk => chunk with { Finish = null })
                .Concat(ScriptedEngine.Say(request, new GenerationFinish.Aborted("The engine failed: x", 503), "")),
            "endless" => Endless(request),
            _ => ScriptedEngine.Say(request, "Hel", "lo ", "🎉"),
        };
    }

    private static async IAsyncEnumerable<GenerationChunk> Endless(GenerationRequest request)
    {
        while (true)
        {
            await Task.Delay(1);
            await foreach (var chunk in ScriptedEngine.Say(request, "a"))
            {
                yield return chunk with { Finish = null };
            }
        }
    }
}
