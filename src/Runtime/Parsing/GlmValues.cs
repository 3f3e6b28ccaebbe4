using System.Text.Json;
using LsglangSharp.Runtime.Text.Templates;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>
/// Values of GLM's calls: JSON or a Python literal where they can be read so, turned to the schema's type.
/// </summary>
internal static class GlmValues
{
    public static string Convert(string text, ToolDefinition? tool, string key)
    {
        var type = TypeOf(tool, key);
        if (Read(text) is { } json)
        {
            return type switch
            {
                "string" => ToText(json, text),
                "number" or "integer" when json[0] == '"' => NumberIn(json) ?? json,
                _ => json,
            };
        }

        if (type == "string")
        {
            var isQuoted = text.Length >= 2 && text[0] is '"' or '\'' && text[^1] == text[0];
            return JsonText.Quote(isQuoted ? text[1..^1] : text);
        }

        return PythonLiteral.TryConvert(text) ?? JsonText.Quote(text);
    }

    /// <summary>As <see cref="Convert"/>, but text and values without a type stay as they are written.</summary>
    public static string ConvertStreamed(string text, ToolDefinition? tool, string key) =>
        TypeOf(tool, key) is "string" or null ? JsonText.Quote(text) : Convert(text, tool, key);

    /// <summary>
    /// What of a value that broke off can be shown: text without its closing quote, other values as they are.
    /// </summary>
    public static string Partial(string text, ToolDefinition? tool, string key) =>
        TypeOf(tool, key) is "string" or null ? JsonText.Quote(text)[..^1] : text;

    private static string? TypeOf(ToolDefinition? tool, string key) =>
        ParameterTypes.Schema(tool, key) is { } schema && schema.AsObject().Count > 0
            ? ParameterTypes.Find(tool, key) : null;

    /// <summary>JSON as it stands, or what is JSON once the escapes of a string's body are taken away.</summary>
    private static string? Read(string text)
    {
        if (ReadJson(text) is { } json)
        {
            return json;
        }

        using var wrapped = JsonText.TryParse($"\"{text}\"");
        return wrapped?.RootElement.ValueKind == JsonValueKind.String
            ? ReadJson(JsonText.Unescape(wrapped.RootElement.GetRawText())) : null;
    }

    private static string? ReadJson(string text)
    {
        using var document = JsonText.TryParse(text);
        return document is null ? null : JsonText.Write(document.RootElement);
    }

    /// <summary>
    /// A value that is not text although it should be: objects stay JSON, others read as Python prints them.
    /// </summary>
    private static string ToText(string json, string text) => json[0] switch
    {
        '"' => json,
        '{' or '[' => JsonText.Quote(json),
        _ => JsonText.Quote(json switch
        {
            "true" => "True",
            "false" => "False",
            "null" => "None",
            _ => PythonText.IsSpace(text[0]) ? json : text.Trim() == json ? text : json,
        }),
    };

    private static string? NumberIn(string json) => ParameterTypes.Number(JsonText.Unescape(json));
}
