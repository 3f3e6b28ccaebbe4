using System.Text.Json;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Models;

/// <summary>Small JSON files that hold one object.</summary>
internal static class JsonFile
{
    /// <summary>Real ones have tens of kilobytes; DeepSeek's with its exclusion lists some hundred.</summary>
    private const int BytesMax = 16 << 20;

    public static JsonElement Read(string path)
    {
        try
        {
            if (new FileInfo(path).Length > BytesMax)
            {
                throw new ConfigurationException($"{path} has more than {BytesMax >> 20} MiB, which no such file has");
            }

            return Parse(File.ReadAllBytes(path), path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"cannot read {path}: {error.Message}", error);
        }
    }

    public static JsonElement Parse(ReadOnlyMemory<byte> utf8, string path)
    {
        try
        {
            var text = utf8.Span.StartsWith("\uFEFF"u8) ? utf8[3..] : utf8;
            RequireText(text.Span);
            using var document = JsonDocument.Parse(text);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? document.RootElement.Clone()
                : throw new ConfigurationException($"{path} does not hold a JSON object");
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new ConfigurationException($"{path} is not valid JSON: {error.Message}", error);
        }
    }

    /// <summary>
    /// A document takes strings as they are and fails later, when one that is no Unicode is asked for.
    /// </summary>
    private static void RequireText(ReadOnlySpan<byte> utf8)
    {
        var reader = new Utf8JsonReader(utf8);
        while (reader.Read())
        {
            if (reader.TokenType is JsonTokenType.String or JsonTokenType.PropertyName)
            {
                reader.GetString();
            }
        }
    }
}
