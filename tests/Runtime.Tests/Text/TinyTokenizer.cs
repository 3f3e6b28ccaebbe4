using System.Text;
using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Text;

namespace LsglangSharp.Runtime.Tests.Text;

/// <summary>Writes the files of a small byte-level tokenizer, as changed by a test, and loads them.</summary>
internal sealed class TinyTokenizer : IDisposable
{
    public const string Eos = "<|end|>";

    private TinyTokenizer() => Directory.CreateDirectory(Folder);

    public string Folder { get; } = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());

    public string File => Path.Combine(Folder, "tokenizer.json");

    /// <summary>
    /// The 256 bytes, then one token for each merge, then the special token. Merges are written in GPT-2's alphabet.
    /// </summary>
    public static JsonObject Json(params string[] merges)
    {
        var vocabulary = new JsonObject();
        foreach (var token in Bytes().Concat(merges.Select(merge => merge.Replace(" ", "", StringComparison.Ordinal))))
        {
            vocabulary.TryAdd(token, vocabulary.Count);
        }

        return new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray(Added(Eos, vocabulary.Count, special: true)),
            ["normalizer"] = null,
            ["pre_tokenizer"] = ByteLevel(useRegex: true),
            ["post_processor"] = null,
            ["decoder"] = ByteLevel(useRegex: true),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray([.. merges.Select(merge => JsonValue.Create(merge))]),
            },
        };
    }

    public static JsonObject Added(string content, int id, bool special = false) => new()
    {
        ["id"] = id,
        ["content"] = content,
        ["special"] = special,
        ["normalized"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["single_word"] = false,
    };

    public static JsonObject ByteLevel(bool useRegex, bool addPrefixSpace = false) => new()
    {
        ["type"] = "ByteLevel",
        ["add_prefix_space"] = addPrefixSpace,
        ["trim_offsets"] = true,
        ["use_regex"] = useRegex,
    };

    /// <summary>A tokenizer whose symbols are characters: these tokens, these merges, no pre-tokenizer.</summary>
    public static JsonObject CharacterJson(string[] tokens, params string[] merges)
    {
        var json = Json();
        json["added_tokens"] = new JsonArray();
        json["pre_tokenizer"] = null;
        json["decoder"] = JsonNode.Parse("""{"type":"Fuse"}""");
        json["model"]!["vocab"] = new JsonObject(tokens.Select((token, id) =>
            new KeyValuePair<string, JsonNode?>(token, JsonValue.Create(id))));
        json["model"]!["merges"] = new JsonArray([.. merges.Select(merge => JsonValue.Create(merge))]);
        return json;
    }

    public static Tokenizer Load(JsonObject json, string? config = null)
    {
        using var files = Write(json.ToJsonString(), config);
        return Tokenizer.Load(files.Folder);
    }

    public static TinyTokenizer Write(string json, string? config = null)
    {
        var files = new TinyTokenizer();
        System.IO.File.WriteAllText(files.File, json);
        if (config is not null)
        {
            System.IO.File.WriteAllText(Path.Combine(files.Folder, "tokenizer_config.json"), config);
        }

        return files;
    }

    public static TinyTokenizer Write(byte[] json)
    {
        var files = new TinyTokenizer();
        System.IO.File.WriteAllBytes(files.File, json);
        return files;
    }

    /// <summary>The token texts of an encoding.</summary>
    public static string[] Tokens(Tokenizer tokenizer, string text, bool addSpecialTokens = false) =>
        [.. tokenizer.Encode(text, addSpecialTokens).Select(tokenizer.TokenText)];

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    // Written out here a second time, so that the tests do not lean on what they test.
    private static IEnumerable<string> Bytes()
    {
        var others = 0;
        for (var value = 0; value < 256; value++)
        {
            var printable = value is >= 33 and <= 126 or >= 161 and <= 172 or >= 174 and <= 255;
            yield return ((char)(printable ? value : 256 + others++)).ToString();
        }
    }
}
