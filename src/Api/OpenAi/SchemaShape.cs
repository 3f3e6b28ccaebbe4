using System.Text.Json;

namespace LsglangSharp.Api.OpenAi;

/// <summary>
/// Whether a value has the shape of a JSON schema (draft 2020-12): keywords have the kinds of values that the meta-schema
/// demands. What a schema says is not looked at.
/// </summary>
internal static class SchemaShape
{
    private static readonly string[] _types = ["array", "boolean", "integer", "null", "number", "object", "string"];

    private static readonly Dictionary<string, Func<JsonElement, string, string?>> _keywords = new()
    {
        ["type"] = Type,
        ["properties"] = SchemasByName,
        ["patternProperties"] = SchemasByName,
        ["$defs"] = SchemasByName,
        ["dependentSchemas"] = SchemasByName,
        ["items"] = Complaint,
        ["contains"] = Complaint,
        ["additionalProperties"] = Complaint,
        ["propertyNames"] = Complaint,
        ["not"] = Complaint,
        ["if"] = Complaint,
        ["then"] = Complaint,
        ["else"] = Complaint,
        ["allOf"] = Schemas,
        ["anyOf"] = Schemas,
        ["oneOf"] = Schemas,
        ["prefixItems"] = Schemas,
        ["required"] = Names,
        ["enum"] = (value, path) => Expect(value, path, JsonValueKind.Array, "a list"),
        ["pattern"] = (value, path) => Expect(value, path, JsonValueKind.String, "a string"),
        ["minimum"] = Number,
        ["maximum"] = Number,
        ["exclusiveMinimum"] = Number,
        ["exclusiveMaximum"] = Number,
        ["multipleOf"] = Number,
        ["minLength"] = Count,
        ["maxLength"] = Count,
        ["minItems"] = Count,
        ["maxItems"] = Count,
        ["minProperties"] = Count,
        ["maxProperties"] = Count,
    };

    /// <summary>Null, or what is wrong and where.</summary>
    public static string? Complaint(JsonElement schema, string path)
    {
        if (schema.ValueKind is JsonValueKind.True or JsonValueKind.False)
        {
            return null;
        }

        if (schema.ValueKind != JsonValueKind.Object)
        {
            return $"'{path}' must be an object, got {Http.Fields.NameOf(schema)}.";
        }

        foreach (var property in schema.EnumerateObject())
        {
            if (_keywords.TryGetValue(property.Name, out var check)
                && check(property.Value, $"{path}.{property.Name}") is { } complaint)
            {
                return complaint;
            }
        }

        return null;
    }

    private static string? Type(JsonElement value, string path)
    {
        var named = value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray()] : new[] { value };
        foreach (var type in named)
        {
            if (type.ValueKind != JsonValueKind.String || !_types.Contains(type.GetString()))
            {
                return $"'{path}' must be one of {string.Join(", ", _types)}, got {Http.Fields.NameOf(type)}.";
            }
        }

        return null;
    }

    private static string? SchemasByName(JsonElement value, string path) =>
        Expect(value, path, JsonValueKind.Object, "an object")
        ?? value.EnumerateObject().Select(entry => Complaint(entry.Value, $"{path}.{entry.Name}"))
            .FirstOrDefault(found => found is not null);

    private static string? Schemas(JsonElement value, string path) =>
        Expect(value, path, JsonValueKind.Array, "a list")
        ?? value.EnumerateArray().Select((entry, index) => Complaint(entry, $"{path}[{index}]"))
            .FirstOrDefault(found => found is not null);

    private static string? Names(JsonElement value, string path) =>
        Expect(value, path, JsonValueKind.Array, "a list of strings")
        ?? value.EnumerateArray()
            .Select((entry, index) => Expect(entry, $"{path}[{index}]", JsonValueKind.String, "a string"))
            .FirstOrDefault(found => found is not null);

    private static string? Number(JsonElement value, string path) =>
        Expect(value, path, JsonValueKind.Number, "a number");

    private static string? Count(JsonElement value, string path) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && number >= 0 && number == Math.Floor(number)
            ? null
            : $"'{path}' must be a whole number of at least 0, got {Http.Fields.NameOf(value)}.";

    private static string? Expect(JsonElement value, string path, JsonValueKind kind, string expected) =>
        value.ValueKind == kind ? null : $"'{path}' must be {expected}, got {Http.Fields.NameOf(value)}.";
}
