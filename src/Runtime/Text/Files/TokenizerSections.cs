using System.Text.Json;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Text.Decoding;
using LsglangSharp.Runtime.Text.Normalization;
using LsglangSharp.Runtime.Text.Patterns;

namespace LsglangSharp.Runtime.Text.Files;

/// <summary>Reads the small sections of tokenizer.json; what it does not know is an error that names it.</summary>
internal static class TokenizerSections
{
    public static List<AddedToken> AddedTokens(JsonElement section, string where)
    {
        if (section.ValueKind == JsonValueKind.Null)
        {
            return [];
        }

        if (section.ValueKind != JsonValueKind.Array)
        {
            throw new ConfigurationException($"{where}: added_tokens is not a list");
        }

        return [.. section.EnumerateArray().Select(entry =>
            Added(entry, Number(entry, "id", $"{where}: added_tokens"), $"{where}: added_tokens"))];
    }

    public static AddedToken Added(JsonElement entry, int id, string where) =>
        new(Text(entry, "content", where), id)
        {
            IsSpecial = Flag(entry, "special", false, where),
            IsNormalized = Flag(entry, "normalized", !Flag(entry, "special", false, where), where),
            IsSingleWord = Flag(entry, "single_word", false, where),
            StripsLeft = Flag(entry, "lstrip", false, where),
            StripsRight = Flag(entry, "rstrip", false, where),
        };

    public static Normalizer? Normalizer(JsonElement section, string where)
    {
        if (section.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        var inner = $"{where}: normalizer";
        var type = Text(section, "type", inner);
        switch (type)
        {
            case "NFC" or "NFD" or "NFKC" or "NFKD":
                return new UnicodeNormalizer(type.EndsWith('C'), type.Contains('K', StringComparison.Ordinal));
            case "Sequence":
                var parts = List(section, "normalizers", inner);
                return new SequenceNormalizer([.. parts.Select(part => Normalizer(part, where)).OfType<Normalizer>()]);
            case "Lowercase":
                return new LowercaseNormalizer();
            case "Strip":
                return new StripNormalizer(
                    Flag(section, "strip_left", true, inner), Flag(section, "strip_right", true, inner));
            case "StripAccents":
                return new StripAccentsNormalizer();
            case "Prepend":
                return new PrependNormalizer(Text(section, "prepend", inner));
            case "Replace":
                var content = Text(section, "content", inner);
                var (text, isPattern) = Pattern(section, inner);
                return isPattern
                    ? Guarded(() => new PatternReplaceNormalizer(text, content), text, inner)
                    : new ReplaceNormalizer(text, content);
            case "ByteLevel":
                return new ByteSpellingNormalizer();
            default:
                throw new ConfigurationException($"{inner}: the type '{type}' is not supported");
        }
    }

    /// <summary>The ids that are put before and after a text.</summary>
    public static (int[] Before, int[] After) SpecialTokens(JsonElement section, string where)
    {
        if (section.ValueKind == JsonValueKind.Null)
        {
            return ([], []);
        }

        var inner = $"{where}: post_processor";
        var type = Text(section, "type", inner);
        switch (type)
        {
            case "ByteLevel":
                return ([], []);
            case "Sequence":
                IEnumerable<int> before = [];
                IEnumerable<int> after = [];
                foreach (var part in List(section, "processors", inner))
                {
                    var frame = SpecialTokens(part, where);
                    before = frame.Before.Concat(before);
                    after = after.Concat(frame.After);
                }

                return ([.. before], [.. after]);
            case "TemplateProcessing":
                return Template(section, inner);
            case "RobertaProcessing" or "BertProcessing":
                return ([Pair(section, "cls", inner)], [Pair(section, "sep", inner)]);
            default:
                throw new ConfigurationException($"{inner}: the type '{type}' is not supported");
        }
    }

    public static DecoderOptions Decoder(JsonElement section, string where)
    {
        if (section.ValueKind == JsonValueKind.Null)
        {
            return new DecoderOptions { Separator = " " };
        }

        var chain = new DecoderChain($"{where}: decoder");
        chain.Add(section);
        return chain.Options;
    }

    /// <summary>The text of a pattern, and whether it is a regular expression.</summary>
    public static (string Text, bool IsRegex) Pattern(JsonElement section, string where)
    {
        if (section.TryGetProperty("pattern", out var pattern) && pattern.ValueKind == JsonValueKind.Object)
        {
            if (pattern.TryGetProperty("Regex", out var regex) && regex.ValueKind == JsonValueKind.String)
            {
                return (regex.GetString()!, true);
            }

            if (pattern.TryGetProperty("String", out var text) && text.ValueKind == JsonValueKind.String)
            {
                return (text.GetString()!, false);
            }
        }

        throw new ConfigurationException($"{where}: pattern is neither a Regex nor a String");
    }

    public static T Guarded<T>(Func<T> make, string pattern, string where)
    {
        try
        {
            return make();
        }
        catch (PatternException error)
        {
            throw new ConfigurationException($"{where}: the pattern {pattern} cannot be used: {error.Message}", error);
        }
    }

    public static string Text(JsonElement section, string name, string where) =>
        section.ValueKind == JsonValueKind.Object && section.TryGetProperty(name, out var value)
            && value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : throw new ConfigurationException($"{where}: '{name}' is missing or not a string");

    public static bool Flag(JsonElement section, string name, bool otherwise, string where)
    {
        if (section.ValueKind != JsonValueKind.Object || !section.TryGetProperty(name, out var value)
            || value.ValueKind == JsonValueKind.Null)
        {
            return otherwise;
        }

        return value.ValueKind is JsonValueKind.True or JsonValueKind.False
            ? value.GetBoolean()
            : throw new ConfigurationException($"{where}: '{name}' is neither true nor false");
    }

    public static int Number(JsonElement section, string name, string where) =>
        section.ValueKind == JsonValueKind.Object && section.TryGetProperty(name, out var value)
            && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) && number >= 0
            ? number
            : throw new ConfigurationException($"{where}: '{name}' is missing or not a number from 0");

    public static IReadOnlyList<JsonElement> List(JsonElement section, string name, string where) =>
        section.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Array
            ? [.. value.EnumerateArray()]
            : throw new ConfigurationException($"{where}: '{name}' is missing or not a list");

    private static int Pair(JsonElement section, string name, string where) =>
        List(section, name, where) is [_, { ValueKind: JsonValueKind.Number } id] && id.TryGetInt32(out var value)
            ? value
            : throw new ConfigurationException($"{where}: '{name}' is not a token and its id");

    private static (int[] Before, int[] After) Template(JsonElement section, string where)
    {
        var before = new List<int>();
        var after = new List<int>();
        var hasText = false;
        foreach (var part in List(section, "single", where))
        {
            if (part.ValueKind == JsonValueKind.Object && part.TryGetProperty("SpecialToken", out var token))
            {
                (hasText ? after : before).AddRange(TemplateIds(section, Text(token, "id", where), where));
            }
            else if (part.ValueKind == JsonValueKind.Object && part.TryGetProperty("Sequence", out var sequence)
                && !hasText && Text(sequence, "id", where) == "A")
            {
                hasText = true;
            }
            else
            {
                throw new ConfigurationException($"{where}: 'single' has a part that is not supported: {part}");
            }
        }

        return hasText
            ? ([.. before], [.. after])
            : throw new ConfigurationException($"{where}: 'single' does not name the text");
    }

    private static IEnumerable<int> TemplateIds(JsonElement section, string name, string where)
    {
        if (!section.TryGetProperty("special_tokens", out var tokens) || tokens.ValueKind != JsonValueKind.Object
            || !tokens.TryGetProperty(name, out var token) || token.ValueKind != JsonValueKind.Object)
        {
            throw new ConfigurationException($"{where}: special_tokens lacks '{name}'");
        }

        return List(token, "ids", where).Select(id =>
            id.ValueKind == JsonValueKind.Number && id.TryGetInt32(out var value)
                ? value
                : throw new ConfigurationException($"{where}: the ids of '{name}' are not numbers"));
    }
}
