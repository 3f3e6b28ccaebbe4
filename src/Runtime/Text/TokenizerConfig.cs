using System.Text.Json;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Text;

/// <summary>What tokenizer_config.json and the template files beside it say.</summary>
internal sealed record TokenizerConfig
{
    public string? BosToken { get; init; }

    public string? EosToken { get; init; }

    public string? PadToken { get; init; }

    public string? UnkToken { get; init; }

    /// <summary>Chat templates by name; the usual one is "default".</summary>
    public IReadOnlyDictionary<string, string> ChatTemplates { get; init; } = new Dictionary<string, string>();

    /// <summary>The tokens of added_tokens_decoder.</summary>
    public IReadOnlyList<AddedToken> AddedTokens { get; init; } = [];

    public static TokenizerConfig Load(string folder)
    {
        var config = new TokenizerConfig();
        var templates = new Dictionary<string, string>(StringComparer.Ordinal);
        var path = Path.Combine(folder, "tokenizer_config.json");
        if (File.Exists(path))
        {
            config = Read(path, templates);
        }

        foreach (var (file, name) in TemplateFiles(folder))
        {
            templates[name] = File.ReadAllText(file);
        }

        return config with { ChatTemplates = templates };
    }

    private static IEnumerable<(string File, string Name)> TemplateFiles(string folder)
    {
        var usual = Path.Combine(folder, "chat_template.jinja");
        if (File.Exists(usual))
        {
            yield return (usual, "default");
        }

        var more = Path.Combine(folder, "additional_chat_templates");
        if (Directory.Exists(more))
        {
            foreach (var file in Directory.EnumerateFiles(more, "*.jinja").Order(StringComparer.Ordinal))
            {
                yield return (file, Path.GetFileNameWithoutExtension(file));
            }
        }
    }

    private static TokenizerConfig Read(string path, Dictionary<string, string> templates)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object)
            {
                throw new ConfigurationException($"{path}: not a JSON object");
            }

            ReadTemplates(root, path, templates);
            return new TokenizerConfig
            {
                BosToken = Token(root, "bos_token", path),
                EosToken = Token(root, "eos_token", path),
                PadToken = Token(root, "pad_token", path),
                UnkToken = Token(root, "unk_token", path),
                AddedTokens = Added(root, path),
            };
        }
        catch (JsonException error)
        {
            throw new ConfigurationException($"{path}: not valid JSON: {error.Message}", error);
        }
    }

    private static void ReadTemplates(JsonElement root, string path, Dictionary<string, string> templates)
    {
        if (!root.TryGetProperty("chat_template", out var template) || template.ValueKind == JsonValueKind.Null)
        {
            return;
        }

        if (template.ValueKind == JsonValueKind.String)
        {
            templates["default"] = template.GetString()!;
            return;
        }

        var entries = template.ValueKind == JsonValueKind.Array ? template.EnumerateArray().ToArray() : [];
        foreach (var entry in entries)
        {
            if (entry.ValueKind != JsonValueKind.Object || Text(entry, "name") is not { } name
                || Text(entry, "template") is not { } source)
            {
                throw new ConfigurationException($"{path}: chat_template has an entry without name and template");
            }

            templates[name] = source;
        }

        if (template.ValueKind != JsonValueKind.Array)
        {
            throw new ConfigurationException($"{path}: chat_template is neither a string nor a list of templates");
        }
    }

    private static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;

    // A string, or an object with the string as its content.
    private static string? Token(JsonElement root, string name, string path)
    {
        if (!root.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        if (value.ValueKind == JsonValueKind.String)
        {
            return value.GetString();
        }

        return (value.ValueKind == JsonValueKind.Object ? Text(value, "content") : null)
            ?? throw new ConfigurationException($"{path}: {name} is neither a string nor a token");
    }

    private static List<AddedToken> Added(JsonElement root, string path)
    {
        var tokens = new List<AddedToken>();
        if (!root.TryGetProperty("added_tokens_decoder", out var entries) || entries.ValueKind != JsonValueKind.Object)
        {
            return tokens;
        }

        foreach (var entry in entries.EnumerateObject())
        {
            if (!int.TryParse(entry.Name, out var id) || id < 0)
            {
                throw new ConfigurationException($"{path}: added_tokens_decoder: '{entry.Name}' is not a token id");
            }

            tokens.Add(Files.TokenizerSections.Added(entry.Value, id, $"{path}: added_tokens_decoder"));
        }

        return tokens;
    }
}
