using System.Text.Json;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.OpenAi;

/// <summary>The logprobs object of chat choices.</summary>
internal static class ChatLogprobs
{
    public static void Write(Utf8JsonWriter json, IReadOnlyList<TokenLogprob>? tokens, IModelText? text)
    {
        if (tokens is null || text is null)
        {
            json.WriteNull("logprobs"u8);
            return;
        }

        json.WriteStartObject("logprobs"u8);
        json.WriteStartArray("content"u8);
        foreach (var token in tokens)
        {
            json.WriteStartObject();
            WriteToken(json, token.Token, token.Logprob ?? 0, text);
            json.WriteStartArray("top_logprobs"u8);
            foreach (var top in token.Top ?? [])
            {
                json.WriteStartObject();
                WriteToken(json, top.Token, top.Logprob, text);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <summary>The bytes are the token's own, so that characters spread over tokens can be put together.</summary>
    private static void WriteToken(Utf8JsonWriter json, int token, float logprob, IModelText text)
    {
        json.WriteString("token"u8, text.Decode([token], skipSpecialTokens: false));
        json.WriteStartArray("bytes"u8);
        foreach (var value in text.BytesOf(token))
        {
            json.WriteNumberValue(value);
        }

        json.WriteEndArray();
        json.WriteNumber("logprob"u8, JsonResponse.Finite(logprob));
    }
}
