using System.Text.Json;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.Native;

/// <summary>The meta_info object of native answers.</summary>
internal static class MetaInfo
{
    public static void WriteCommon(
        Utf8JsonWriter json, string id, GenerationUsage usage, GenerationFinish? finish, int reasoningTokens, ServerContext server)
    {
        json.WriteString("id"u8, id);
        json.WritePropertyName("finish_reason"u8);
        WriteFinish(json, finish);
        json.WriteNumber("prompt_tokens"u8, usage.PromptTokens);
        json.WriteString("weight_version"u8, server.Model.WeightVersion);
        json.WriteNumber("num_retractions"u8, usage.Retractions);
        json.WriteNumber("completion_tokens"u8, usage.CompletionTokens);
        json.WriteNumber("cached_tokens"u8, usage.CachedTokens);
        json.WriteNumber("reasoning_tokens"u8, reasoningTokens);
        json.WriteNull("dp_rank"u8);
    }

    private static void WriteFinish(Utf8JsonWriter json, GenerationFinish? finish)
    {
        if (finish is null)
        {
            json.WriteNullValue();
            return;
        }

        json.WriteStartObject();
        switch (finish)
        {
            case GenerationFinish.StopToken stop:
                json.WriteString("type"u8, "stop"u8);
                json.WriteNumber("matched"u8, stop.Token);
                break;
            case GenerationFinish.StopString stop:
                json.WriteString("type"u8, "stop"u8);
                json.WriteString("matched"u8, stop.Matched);
                break;
            case GenerationFinish.Length length:
                json.WriteString("type"u8, "length"u8);
                json.WriteNumber("length"u8, length.Tokens);
                break;
            case GenerationFinish.Aborted aborted:
                json.WriteString("type"u8, "abort"u8);
                json.WriteString("message"u8, aborted.Message);
                json.WriteNumber("status_code"u8, aborted.Status);
                json.WriteNull("err_type"u8);
                break;
        }

        json.WriteEndObject();
    }
}
