using System.Text.Json;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Text.Patterns;
using LsglangSharp.Runtime.Text.Splitting;

namespace LsglangSharp.Runtime.Text.Files;

/// <summary>Reads the pre_tokenizer section of tokenizer.json as a list of stages.</summary>
internal sealed class PreTokenizerSection
{
    // Each stage calls the next, so that their number bounds the depth of calls.
    private const int StagesMax = 64;

    private readonly string _where;
    private readonly List<PreTokenizer> _stages = [];
    // A ByteLevel that nothing follows is left to the encoder, which then works on bytes.
    private bool _endsInBytes;

    private PreTokenizerSection(string where) => _where = $"{where}: pre_tokenizer";

    /// <summary>The stages, and whether the pieces are to be encoded byte by byte.</summary>
    public static (PreTokenizer[] Stages, bool IsByteLevel) Read(JsonElement section, string where)
    {
        var reader = new PreTokenizerSection(where);
        if (section.ValueKind != JsonValueKind.Null)
        {
            reader.Add(section);
        }

        if (reader._stages.Count > StagesMax)
        {
            throw new ConfigurationException(
                $"{reader._where}: there are {reader._stages.Count} stages; up to {StagesMax} are supported");
        }

        return ([.. reader._stages], reader._endsInBytes);
    }

    public static PrependScheme Prepends(JsonElement section, string where)
    {
        if (!section.TryGetProperty("prepend_scheme", out _))
        {
            // Before schemes there was a switch.
            return TokenizerSections.Flag(section, "add_prefix_space", true, where)
                ? PrependScheme.Always
                : PrependScheme.Never;
        }

        return TokenizerSections.Text(section, "prepend_scheme", where) switch
        {
            "always" => PrependScheme.Always,
            "first" => PrependScheme.First,
            "never" => PrependScheme.Never,
            var other => throw new ConfigurationException($"{where}: the prepend_scheme '{other}' is not known"),
        };
    }

    private void Add(JsonElement section)
    {
        var type = TokenizerSections.Text(section, "type", _where);
        if (type == "Sequence")
        {
            foreach (var part in TokenizerSections.List(section, "pretokenizers", _where))
            {
                Add(part);
            }

            return;
        }

        if (_endsInBytes)
        {
            _stages.Add(new ByteSpellingStage());
            _endsInBytes = false;
        }

        switch (type)
        {
            case "ByteLevel":
                AddByteLevel(section);
                break;
            case "Split":
                var (text, isRegex) = TokenizerSections.Pattern(section, _where);
                var scanner = isRegex
                    ? TokenizerSections.Guarded(() => KnownPatterns.Scanner(text), text, _where)
                    : new LiteralScanner(text);
                AddSplit(scanner, Behavior(section), TokenizerSections.Flag(section, "invert", false, _where));
                break;
            case "Digits":
                var individual = TokenizerSections.Flag(section, "individual_digits", false, _where);
                AddSplit(
                    new SetScanner(CharacterProperties.Named("N")!),
                    individual ? SplitBehavior.Isolated : SplitBehavior.Contiguous);
                break;
            case "Punctuation":
                AddSplit(
                    new SetScanner(Punctuation()),
                    section.TryGetProperty("behavior", out _) ? Behavior(section) : SplitBehavior.Isolated);
                break;
            case "Whitespace":
                AddSplit(new PatternScanner(@"\w+|[^\w\s]+"), SplitBehavior.Removed, invert: true);
                break;
            case "WhitespaceSplit":
                AddSplit(new SetScanner(CharacterProperties.Space), SplitBehavior.Removed);
                break;
            case "BertPreTokenizer":
                AddSplit(new SetScanner(CharacterProperties.Space), SplitBehavior.Removed);
                AddSplit(new SetScanner(Punctuation()), SplitBehavior.Isolated);
                break;
            case "CharDelimiterSplit":
                var delimiter = TokenizerSections.Text(section, "delimiter", _where);
                AddSplit(new LiteralScanner(delimiter), SplitBehavior.Removed);
                break;
            case "Metaspace":
                _stages.Add(new MetaspaceStage(
                    TokenizerSections.Text(section, "replacement", _where),
                    Prepends(section, _where),
                    TokenizerSections.Flag(section, "split", true, _where)));
                break;
            default:
                throw new ConfigurationException($"{_where}: the type '{type}' is not supported");
        }
    }

    private void AddByteLevel(JsonElement section)
    {
        if (TokenizerSections.Flag(section, "add_prefix_space", true, _where))
        {
            _stages.Add(new PrefixSpaceStage());
        }

        if (TokenizerSections.Flag(section, "use_regex", true, _where))
        {
            AddSplit(KnownPatterns.Scanner(KnownPatterns.Gpt2), SplitBehavior.Isolated);
        }

        _endsInBytes = true;
    }

    private void AddSplit(SplitScanner scanner, SplitBehavior behavior, bool invert = false) =>
        _stages.Add(new SplitStage(scanner, behavior, invert));

    private static CodePointSet Punctuation() =>
        CharacterProperties.Named("P")!.Union(CodePointSet.Parse("21-2F 3A-40 5B-60 7B-7E"));

    private SplitBehavior Behavior(JsonElement section) => TokenizerSections.Text(section, "behavior", _where) switch
    {
        "Removed" => SplitBehavior.Removed,
        "Isolated" => SplitBehavior.Isolated,
        "MergedWithPrevious" => SplitBehavior.MergedWithPrevious,
        "MergedWithNext" => SplitBehavior.MergedWithNext,
        "Contiguous" => SplitBehavior.Contiguous,
        var other => throw new ConfigurationException($"{_where}: the behavior '{other}' is not known"),
    };
}
