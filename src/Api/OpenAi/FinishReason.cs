using System.Text.Json;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.OpenAi;

/// <summary>OpenAI's words for the ends of a generation.</summary>
internal static class FinishReason
{
    public const string ToolCalls = "tool_calls";
    public const string Stop = "stop";

    public static string NameOf(GenerationFinish finish) => finish switch
    {
        GenerationFinish.StopToken or GenerationFinish.StopString => Stop,
        GenerationFinish.Length => "length",
        _ => "abort",
    };

    /// <summary>The token id or string that ended the generation, or null.</summary>
    public static void WriteMatched(Utf8JsonWriter json, GenerationFinish? finish)
    {
        switch (finish)
        {
            case GenerationFinish.StopToken stop:
                json.WriteNumber("matched_stop"u8, stop.Token);
                break;
            case GenerationFinish.StopString stop:
                json.WriteString("matched_stop"u8, stop.Matched);
                break;
            default:
                json.WriteNull("matched_stop"u8);
                break;
        }
    }
}
