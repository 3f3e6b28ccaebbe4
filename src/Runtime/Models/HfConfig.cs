using System.Collections.Immutable;
using System.Text.Json;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Models;

/// <summary>
/// config.json as models are published with it. A key is looked up in the overrides, then in <c>text_config</c> where
/// there is one, then at the top; a null counts as absent. Whatever is missing, of a wrong type or out of range is an
/// error that names it.
/// </summary>
public sealed class HfConfig
{
    private readonly JsonElement[] _overrides;
    private readonly JsonElement[] _scopes;

    private HfConfig(string path, JsonElement root, JsonElement? overrides)
    {
        Path = path;
        _scopes = Scopes(root);
        _overrides = overrides is { } element ? Scopes(element) : [];
    }

    /// <summary>The file, for messages.</summary>
    public string Path { get; }

    /// <summary>
    /// Reads the file; <paramref name="overrides"/> is a JSON object whose keys win over the file's
    /// (--json-model-override-args).
    /// </summary>
    public static HfConfig Read(string path, string? overrides = null) =>
        new(path, JsonFile.Read(path), ParseOverrides(overrides));

    /// <summary>The same for text that is at hand.</summary>
    public static HfConfig Parse(string json, string path = "config.json", string? overrides = null) =>
        new(path, JsonFile.Parse(System.Text.Encoding.UTF8.GetBytes(json), path), ParseOverrides(overrides));

    /// <summary>The names under "architectures"; the first that is known decides.</summary>
    public ImmutableArray<string> Architectures => Find("architectures") is { } value
        ? Strings(value) is { Length: > 0 } names
            ? names
            : throw Wrong("architectures", value, "a list of at least one name")
        : throw Missing("architectures", "a list with the model's class name, such as [\"Qwen3MoeForCausalLM\"]");

    public string ModelType => Text("model_type") ?? "";

    /// <summary>torch_dtype or dtype; float32 when neither is there, as the reference has it.</summary>
    public DType CheckpointType
    {
        get
        {
            var key = Find("dtype") is null ? "torch_dtype" : "dtype";
            return Text(key) switch
            {
                null or "float32" or "torch.float32" => DType.F32,
                "bfloat16" or "torch.bfloat16" => DType.BF16,
                "float16" or "half" or "torch.float16" => DType.F16,
                _ => throw Wrong(key, Find(key)!.Value, "\"bfloat16\", \"float16\" or \"float32\""),
            };
        }
    }

    /// <summary>quant_method of the quantization, or null for plain elements.</summary>
    public string? QuantizationMethod
    {
        get
        {
            var key = Find("quantization_config") is null ? "compression_config" : "quantization_config";
            return Section(key) is { } section ? section.Text("quant_method") ?? "unnamed" : null;
        }
    }

    public int Whole(string key, int min = 1, int max = int.MaxValue) =>
        WholeOrNull(key, min, max) ?? throw Missing(key, Range(min, max));

    public int? WholeOrNull(string key, int min = 1, int max = int.MaxValue)
    {
        if (Find(key) is not { } value)
        {
            return null;
        }

        // 40960.0 is a whole number to those who write these files.
        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number)
            && number >= min && number <= max && number == Math.Floor(number)
            ? (int)number
            : throw Wrong(key, value, Range(min, max));
    }

    public double? NumberOrNull(string key, double min, double max)
    {
        if (Find(key) is not { } value)
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number)
            && number >= min && number <= max
            ? number
            : throw Wrong(key, value, $"a number from {min:g} to {max:g}");
    }

    public double Number(string key, double min, double max) =>
        NumberOrNull(key, min, max) ?? throw Missing(key, $"a number from {min:g} to {max:g}");

    public bool Flag(string key, bool otherwise) => Find(key) is not { } value
        ? otherwise
        : value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            _ => throw Wrong(key, value, "true or false"),
        };

    public string? Text(string key) => Find(key) is not { } value
        ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong(key, value, "a string");

    /// <summary>A number or a list of numbers; empty when absent.</summary>
    public ImmutableArray<int> Wholes(string key, int min = 0)
    {
        if (Find(key) is not { } value)
        {
            return [];
        }

        var items = value.ValueKind == JsonValueKind.Array ? value.EnumerateArray().ToArray() : [value];
        return
        [
            .. items.Select(item =>
                item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out var number) && number >= min
                    ? number
                    : throw Wrong(key, value, $"{Range(min, int.MaxValue)} or a list of them")),
        ];
    }

    /// <summary>A list of strings, or null when absent.</summary>
    public ImmutableArray<string>? Texts(string key) => Find(key) is not { } value
        ? null
        : Strings(value) ?? throw Wrong(key, value, "a list of strings");

    /// <summary>The object under a key, as a configuration of its own, or null when absent.</summary>
    public HfConfig? Section(string key) => Find(key) is not { } value
        ? null
        : value.ValueKind == JsonValueKind.Object
            ? new HfConfig($"{Path}, {key}", value, null)
            : throw Wrong(key, value, "an object");

    public ConfigurationException Missing(string key, string expected) =>
        new($"{Path}: \"{key}\" is missing; expected {expected}");

    /// <summary>For a value that is there but cannot be used.</summary>
    public ConfigurationException Wrong(string key, string expected) =>
        Find(key) is { } value ? Wrong(key, value, expected) : Missing(key, expected);

    private ConfigurationException Wrong(string key, JsonElement value, string expected) =>
        new($"{Path}: \"{key}\" is {Shorten(value.GetRawText())}; expected {expected}");

    private static string Shorten(string text) => text.Length <= 80 ? text : text[..77] + "...";

    private static string Range(int min, int max) => max == int.MaxValue
        ? $"a whole number of at least {min}"
        : $"a whole number from {min} to {max}";

    private static ImmutableArray<string>? Strings(JsonElement value) =>
        value.ValueKind == JsonValueKind.Array
        && value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String)
            ? [.. value.EnumerateArray().Select(item => item.GetString()!)]
            : null;

    private JsonElement? Find(string key)
    {
        foreach (var scope in _overrides)
        {
            // An override of null takes the file's value away.
            if (scope.TryGetProperty(key, out var value))
            {
                return value.ValueKind == JsonValueKind.Null ? null : value;
            }
        }

        foreach (var scope in _scopes)
        {
            if (scope.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null)
            {
                return value;
            }
        }

        return null;
    }

    private static JsonElement[] Scopes(JsonElement root) =>
        root.TryGetProperty("text_config", out var nested) && nested.ValueKind == JsonValueKind.Object
            ? [nested, root]
            : [root];

    private static JsonElement? ParseOverrides(string? overrides) => string.IsNullOrWhiteSpace(overrides)
        ? null
        : JsonFile.Parse(System.Text.Encoding.UTF8.GetBytes(overrides), "--json-model-override-args");
}
