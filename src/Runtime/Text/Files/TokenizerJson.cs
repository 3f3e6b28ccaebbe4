using System.Text.Json;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Text.Bpe;

namespace LsglangSharp.Runtime.Text.Files;

/// <summary>Reads tokenizer.json.</summary>
internal static class TokenizerJson
{
    public static TokenizerParts Load(string path)
    {
        try
        {
            return Parse(File.ReadAllBytes(path), path);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            // The latter: half a surrogate pair in a string.
            throw new ConfigurationException($"{path}: not valid JSON: {error.Message}", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"{path}: cannot be read: {error.Message}", error);
        }
    }

    private static TokenizerParts Parse(ReadOnlySpan<byte> json, string path)
    {
        json = json.StartsWith("\uFEFF"u8) ? json[3..] : json;
        var reader = new Utf8JsonReader(json);
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new ConfigurationException($"{path}: not a JSON object");
        }

        var sections = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        ModelSection? model = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            reader.Read();
            switch (name)
            {
                case "model":
                    model = new ModelSection(path);
                    model.Read(ref reader);
                    break;
                case "added_tokens" or "normalizer" or "pre_tokenizer" or "post_processor" or "decoder":
                    sections[name] = JsonElement.ParseValue(ref reader);
                    break;
                case "version" or "truncation" or "padding":
                    // Both cut or fill batches for training; a server does neither.
                    reader.Skip();
                    break;
                default:
                    throw new ConfigurationException($"{path}: the section '{name}' is not known");
            }
        }

        reader.Read();
        return model is null
            ? throw new ConfigurationException($"{path}: the section 'model' is missing")
            : Assemble(model, name => sections.TryGetValue(name, out var section) ? section : Null, path);
    }

    private static JsonElement Null { get; } = JsonElement.Parse("null"u8);

    private static TokenizerParts Assemble(ModelSection model, Func<string, JsonElement> section, string path)
    {
        var added = TokenizerSections.AddedTokens(section("added_tokens"), path)
            .Where(token => token.Content.Length > 0)
            .Select(token => model.Vocabulary.IdOf(token.Content) is var id and >= 0 ? token with { Id = id } : token)
            .ToList();
        foreach (var token in added.Where(token => token.Id >= Vocabulary.IdLimit))
        {
            throw new ConfigurationException($"{path}: added_tokens: the id of '{token.Content}' is too large");
        }

        var (stages, isByteLevel) = PreTokenizerSection.Read(section("pre_tokenizer"), path);
        var unknown = model.UnknownToken is null ? -1 : model.Vocabulary.IdOf(model.UnknownToken);
        if (unknown < 0 && model.UnknownToken is not null)
        {
            unknown = added.Find(token => token.Content == model.UnknownToken)?.Id
                ?? throw new ConfigurationException($"{path}: model: unk_token '{model.UnknownToken}' is not a token");
        }

        var options = new BytePairOptions
        {
            IsByteLevel = isByteLevel,
            IgnoreMerges = model.IgnoreMerges,
            ByteFallback = model.ByteFallback,
            FuseUnknown = model.FuseUnknown,
            UnknownId = unknown,
        };
        var (before, after) = TokenizerSections.SpecialTokens(section("post_processor"), path);
        return new TokenizerParts
        {
            Vocabulary = model.Vocabulary,
            Encoder = new BytePairEncoder(model.Vocabulary, model.Merges(), options),
            AddedTokens = added,
            Normalizer = TokenizerSections.Normalizer(section("normalizer"), path),
            Stages = stages,
            Before = before,
            After = after,
            Decoder = TokenizerSections.Decoder(section("decoder"), path),
        };
    }
}
