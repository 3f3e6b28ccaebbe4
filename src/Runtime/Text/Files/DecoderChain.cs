using System.Text.Json;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Text.Decoding;
using LsglangSharp.Runtime.Text.Normalization;

namespace LsglangSharp.Runtime.Text.Files;

/// <summary>
/// Reads a chain of decoders: changes to single tokens first, then bytes, then what applies to the joined text. A chain
/// in another order would need text that has not come yet, and is refused.
/// </summary>
internal sealed class DecoderChain(string where)
{
    private readonly List<Func<string, bool, string>> _changes = [];
    private bool _isJoined;

    public DecoderOptions Options { get; private set; } = new();

    public void Add(JsonElement section)
    {
        var type = TokenizerSections.Text(section, "type", where);
        switch (type)
        {
            case "Sequence":
                foreach (var part in TokenizerSections.List(section, "decoders", where))
                {
                    Add(part);
                }

                break;
            case "ByteLevel" when !_isJoined && _changes.Count == 0 && !Options.ByteFallback:
                Options = Options with { IsByteLevel = true };
                _isJoined = true;
                break;
            case "ByteFallback" when !_isJoined && !Options.ByteFallback:
                Options = Options with { ByteFallback = true };
                break;
            case "Fuse":
                _isJoined = true;
                break;
            case "Replace" when !_isJoined && !Options.ByteFallback:
                AddReplace(section);
                break;
            case "Metaspace" when !_isJoined && !Options.ByteFallback:
                AddMetaspace(section);
                break;
            case "Strip":
                AddStrip(section);
                break;
            case "ByteLevel" or "ByteFallback" or "Replace" or "Metaspace":
                throw new ConfigurationException($"{where}: '{type}' is not supported after the decoders before it");
            default:
                throw new ConfigurationException($"{where}: the type '{type}' is not supported");
        }
    }

    private void Change(Func<string, bool, string> change)
    {
        _changes.Add(change);
        Options = Options with { Changes = _changes };
    }

    private void AddReplace(JsonElement section)
    {
        var content = TokenizerSections.Text(section, "content", where);
        var (text, isRegex) = TokenizerSections.Pattern(section, where);
        Normalizer replace = isRegex
            ? TokenizerSections.Guarded(() => new PatternReplaceNormalizer(text, content), text, where)
            : new ReplaceNormalizer(text, content);
        Change((token, _) => replace.Apply(token));
    }

    private void AddMetaspace(JsonElement section)
    {
        var mark = TokenizerSections.Text(section, "replacement", where);
        var isKept = PreTokenizerSection.Prepends(section, where) == Splitting.PrependScheme.Never;
        Options = Options with { HasFirstForm = !isKept };
        Change((token, isFirst) => token.Replace(mark, isFirst && !isKept ? "" : " ", StringComparison.Ordinal));
    }

    private void AddStrip(JsonElement section)
    {
        var content = TokenizerSections.Text(section, "content", where);
        var start = TokenizerSections.Number(section, "start", where);
        var stop = TokenizerSections.Number(section, "stop", where);
        if (content.Length != 1)
        {
            throw new ConfigurationException($"{where}: Strip takes one character off, not '{content}'");
        }

        if (!_isJoined && !Options.ByteFallback)
        {
            Change((token, _) => Stripped(token, content[0], start, stop));
        }
        else if (_isJoined && stop == 0 && Options.StripCount == 0)
        {
            Options = Options with { Stripped = content[0], StripCount = start };
        }
        else
        {
            throw new ConfigurationException(
                $"{where}: Strip is supported on single tokens and at the start of the text only");
        }
    }

    private static string Stripped(string token, char content, int start, int stop)
    {
        var first = 0;
        while (first < start && first < token.Length && token[first] == content)
        {
            first++;
        }

        var end = token.Length;
        while (token.Length - end < stop && end > first && token[end - 1] == content)
        {
            end--;
        }

        return token[first..end];
    }
}
