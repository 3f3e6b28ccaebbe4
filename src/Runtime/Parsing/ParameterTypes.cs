using System.Text.Json;
using System.Text.Json.Nodes;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>The types that a tool's schema gives its parameters, and values converted by them.</summary>
internal static class ParameterTypes
{
    /// <summary>The type of a parameter; null for one that the tool does not have.</summary>
    public static string? Find(ToolDefinition? tool, string parameter) =>
        Schema(tool, parameter) is { } schema ? Infer(schema) ?? "string" : null;

    /// <summary>A parameter's schema, or null.</summary>
    public static JsonNode? Schema(ToolDefinition? tool, string parameter) =>
        tool?.Parameters is { } parameters && parameters["properties"] is JsonObject properties
            ? properties[parameter] : null;

    /// <summary>One type for a schema: its own, else that of the first alternative that is not null.</summary>
    private static string? Infer(JsonNode? node)
    {
        if (node is not JsonObject schema)
        {
            return null;
        }

        if (schema["type"] is JsonValue type && type.GetValueKind() == JsonValueKind.String)
        {
            return type.GetValue<string>();
        }

        if (schema["type"] is JsonArray types)
        {
            var texts = types.OfType<JsonValue>().Select(item => item.ToString()).ToList();
            return texts.Find(item => item != "null") ?? "string";
        }

        foreach (var key in new[] { "anyOf", "oneOf" })
        {
            if (schema[key] is JsonArray alternatives)
            {
                var found = alternatives.Select(Infer).OfType<string>().ToList();
                return found.Find(item => item != "null") ?? found.FirstOrDefault() ?? "string";
            }
        }

        if (schema["enum"] is JsonArray { Count: > 0 } values)
        {
            return OfValues(values);
        }

        if (schema["allOf"] is JsonArray parts && parts.Select(Infer).OfType<string>().FirstOrDefault() is { } part)
        {
            return part;
        }

        return schema.ContainsKey("properties") ? "object" : schema.ContainsKey("items") ? "array" : null;
    }

    private static string OfValues(JsonArray values)
    {
        var kinds = values.Select(value => value?.GetValueKind() ?? JsonValueKind.Null)
            .Where(kind => kind != JsonValueKind.Null).Distinct().ToList();
        return kinds.Count == 0 ? "string"
            : kinds.All(kind => kind is JsonValueKind.True or JsonValueKind.False) ? "boolean"
            : kinds.Count > 1 ? "string"
            : kinds[0] switch
            {
                JsonValueKind.Number => values.Any(value => value?.ToJsonString().AsSpan().ContainsAny(".eE") == true)
                    ? "number" : "integer",
                JsonValueKind.Array => "array",
                JsonValueKind.Object => "object",
                _ => "string",
            };
    }

    /// <summary>Text as JSON of a type, the way sglang's parser for Qwen3-Coder converts it.</summary>
    public static string Convert(string text, string? type)
    {
        if (text.Equals("null", StringComparison.OrdinalIgnoreCase))
        {
            return "null";
        }

        var kind = type?.Trim().ToLowerInvariant();
        switch (kind)
        {
            case null or "string" or "str" or "text" or "varchar" or "char" or "enum":
                return JsonText.Quote(text);
            case "boolean" or "bool" or "binary":
                return text.Equals("true", StringComparison.OrdinalIgnoreCase) ? "true" : "false";
        }

        if (StartsWithAny(kind, "int", "uint", "long", "short", "unsigned"))
        {
            return Integer(text) ?? JsonText.Quote(text);
        }

        if (StartsWithAny(kind, "num", "float"))
        {
            return Number(text) ?? JsonText.Quote(text);
        }

        if (kind is "object" or "array" or "arr" || StartsWithAny(kind, "dict", "list"))
        {
            using var document = JsonText.TryParse(text);
            if (document is not null)
            {
                return JsonText.Write(document.RootElement);
            }
        }

        return PythonLiteral.TryConvert(text) ?? JsonText.Quote(text);
    }

    private static bool StartsWithAny(string text, params ReadOnlySpan<string> starts)
    {
        foreach (var start in starts)
        {
            if (text.StartsWith(start, StringComparison.Ordinal))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>An integer as Python's int() reads it.</summary>
    public static string? Integer(string text)
    {
        text = text.Trim();
        var isNegative = text.StartsWith('-');
        var digits = text.TrimStart('+', '-');
        if (text.Length - digits.Length > 1 || digits.Length == 0 || digits[0] == '_' || digits[^1] == '_'
            || digits.Contains("__", StringComparison.Ordinal) || !digits.All(c => char.IsAsciiDigit(c) || c == '_'))
        {
            return null;
        }

        digits = digits.Replace("_", "", StringComparison.Ordinal).TrimStart('0');
        return digits.Length == 0 ? "0" : isNegative ? "-" + digits : digits;
    }

    /// <summary>A number as Python's float() reads it; one without point and exponent is an integer.</summary>
    public static string? Number(string text)
    {
        if (Integer(text) is { } integer)
        {
            return integer;
        }

        text = text.Trim();
        return double.TryParse(text, System.Globalization.NumberStyles.AllowLeadingSign
                | System.Globalization.NumberStyles.AllowDecimalPoint | System.Globalization.NumberStyles.AllowExponent,
            System.Globalization.CultureInfo.InvariantCulture, out var value) && double.IsFinite(value)
            ? Text.Templates.PythonText.Float(value) : null;
    }
}
