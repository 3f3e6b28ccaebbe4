using System.Text.Json;

namespace LsglangSharp.Api.Http;

/// <summary>
/// A JSON object of a request with its place in it. Every reader gives null for a field that is absent or null, and otherwise the
/// value or an error that names the field, what was expected and what came.
/// </summary>
internal readonly struct Fields(JsonElement value, string path = "")
{
    private const int ShownLength = 40;

    public JsonElement Element { get; } = value;

    public string PathOf(string name) => path.Length == 0 ? name : $"{path}.{name}";

    public static string NameOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => $"the string {Shorten(value.GetRawText())}",
        JsonValueKind.Number => $"the number {Shorten(value.GetRawText())}",
        JsonValueKind.True => "true",
        JsonValueKind.False => "false",
        _ => "null",
    };

    public static Fields Of(JsonElement value, string path) => value.ValueKind == JsonValueKind.Object
        ? new(value, path)
        : throw Wrong(path, "an object", value);

    public static RequestException Wrong(string path, string expected, JsonElement value) =>
        new($"'{path}' must be {expected}, got {NameOf(value)}.", path);

    /// <summary>The error for a field that has to be there.</summary>
    public RequestException Missing(string name, string expected) =>
        new($"'{PathOf(name)}' is missing: it must be {expected}.", PathOf(name));

    /// <summary>The error for a field that is there and cannot be as it is: "must be …, got …".</summary>
    public RequestException Bad(string name, string complaint) => new($"'{PathOf(name)}' {complaint}.", PathOf(name));

    /// <summary>The value, or null if it is absent or null.</summary>
    public JsonElement? Any(string name) =>
        Element.TryGetProperty(name, out var found) && found.ValueKind != JsonValueKind.Null ? found : null;

    public bool Has(string name) => Any(name) is not null;

    public string? Text(string name) => Any(name) is not { } found ? null
        : found.ValueKind == JsonValueKind.String ? found.GetString()
        : throw Wrong(PathOf(name), "a string", found);

    public bool? Flag(string name) => Any(name) is not { } found ? null : found.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Wrong(PathOf(name), "true or false", found),
    };

    public int? Integer(string name) => Any(name) is { } found ? AsInteger(found, PathOf(name)) : null;

    public int? Integer(string name, int least)
    {
        var value = Integer(name);
        return value < least
            ? throw Bad(name, $"must be at least {least}, got {value}")
            : value;
    }

    public long? Long(string name) => Any(name) is not { } found ? null
        : found.ValueKind == JsonValueKind.Number && found.TryGetInt64(out var value) ? value
        : throw Wrong(PathOf(name), "a whole number of at most 64 bits", found);

    public double? Number(string name) => Any(name) is { } found ? AsNumber(found, PathOf(name)) : null;

    public Fields? Object(string name) => Any(name) is { } found ? Of(found, PathOf(name)) : null;

    /// <summary>The elements of a list, each with its path.</summary>
    public IReadOnlyList<(JsonElement Value, string Path)>? List(string name) =>
        Any(name) is { } found ? ListOf(found, PathOf(name)) : null;

    /// <summary>One string or a list of them.</summary>
    public IReadOnlyList<string> Texts(string name)
    {
        if (Any(name) is not { } found)
        {
            return [];
        }

        return found.ValueKind == JsonValueKind.String ? [found.GetString()!] : [.. ListOf(found, PathOf(name)).Select(AsText)];

        static string AsText((JsonElement Value, string Path) item) => item.Value.ValueKind == JsonValueKind.String
            ? item.Value.GetString()!
            : throw Wrong(item.Path, "a string", item.Value);
    }

    /// <summary>Token ids; entries that are null are left out.</summary>
    public IReadOnlyList<int> Tokens(string name) => Any(name) is not { } found ? [] :
        [
            .. ListOf(found, PathOf(name))
                .Where(item => item.Value.ValueKind != JsonValueKind.Null)
                .Select(item => AsInteger(item.Value, item.Path)),
        ];

    public static int[] TokensOf(JsonElement list, string path)
    {
        if (list.ValueKind != JsonValueKind.Array)
        {
            throw Wrong(path, "a list of token ids", list);
        }

        var tokens = new int[list.GetArrayLength()];
        var index = 0;
        foreach (var item in list.EnumerateArray())
        {
            tokens[index] = item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out var token)
                ? token
                : AsInteger(item, $"{path}[{index}]");
            index++;
        }

        return tokens;
    }

    public static IReadOnlyList<(JsonElement Value, string Path)> ListOf(JsonElement value, string path) =>
        value.ValueKind == JsonValueKind.Array
            ? [.. value.EnumerateArray().Select((item, index) => (item, $"{path}[{index}]"))]
            : throw Wrong(path, "a list", value);

    public static int AsInteger(JsonElement value, string path)
    {
        if (value.ValueKind == JsonValueKind.Number)
        {
            if (value.TryGetInt32(out var whole))
            {
                return whole;
            }

            // 16.0 is 16: JSON itself does not tell the two apart.
            if (value.TryGetDouble(out var real) && real == Math.Floor(real) && Math.Abs(real) <= int.MaxValue)
            {
                return (int)real;
            }
        }

        throw Wrong(path, "a whole number of at most 32 bits", value);
    }

    public static double AsNumber(JsonElement value, string path) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && double.IsFinite(number)
            ? number
            : throw Wrong(path, "a finite number", value);

    private static string Shorten(string raw) => raw.Length <= ShownLength ? raw : $"{raw.AsSpan(0, ShownLength)}…";
}
