using System.Text.Json;

namespace LsglangSharp.Api.OpenAi;

/// <summary>Lists of token ids in answers.</summary>
internal static class TokenLists
{
    public static void Write(Utf8JsonWriter json, ReadOnlySpan<byte> name, IReadOnlyList<int> tokens)
    {
        json.WritePropertyName(name);
        Write(json, tokens);
    }

    public static void Write(Utf8JsonWriter json, IReadOnlyList<int> tokens)
    {
        json.WriteStartArray();
        foreach (var token in tokens)
        {
            json.WriteNumberValue(token);
        }

        json.WriteEndArray();
    }
}
