using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Text.Bpe;

namespace LsglangSharp.Runtime.Text.Files;

/// <summary>
/// Reads the model section of tokenizer.json token by token, without a tree in between: it holds hundreds of thousands
/// of strings, and starting up waits for it.
/// </summary>
internal sealed class ModelSection(string path)
{
    private readonly string _where = $"{path}: model";
    private (int Left, int Right, int Merged)[] _merges = new (int, int, int)[1 << 12];
    private int _mergeCount;
    private byte[] _left = new byte[256];
    private byte[] _right = new byte[256];
    private bool _hasVocabulary;
    private bool _hasMerges;

    public Vocabulary Vocabulary { get; } = new();

    public bool IgnoreMerges { get; private set; }

    public bool ByteFallback { get; private set; }

    public bool FuseUnknown { get; private set; }

    public string? UnknownToken { get; private set; }

    /// <summary>Reads the section; the reader stands on its first token.</summary>
    public void Read(ref Utf8JsonReader reader)
    {
        Expect(reader.TokenType == JsonTokenType.StartObject, "is not an object");
        Utf8JsonReader early = default;
        var isEarly = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            reader.Read();
            if (name == "merges" && !_hasVocabulary)
            {
                // Merges name tokens: they are read again once these are known.
                early = reader;
                isEarly = true;
                reader.Skip();
            }
            else
            {
                Property(name, ref reader);
            }
        }

        Expect(_hasVocabulary, "has no vocab");
        if (isEarly)
        {
            ReadMerges(ref early);
        }

        Expect(_hasMerges, "has no merges");
        Vocabulary.Seal();
    }

    public MergeTable Merges()
    {
        var table = new MergeTable(_mergeCount);
        for (var rank = 0; rank < _mergeCount; rank++)
        {
            table.Add(_merges[rank].Left, _merges[rank].Right, rank, _merges[rank].Merged);
        }

        return table;
    }

    private void Property(string name, ref Utf8JsonReader reader)
    {
        switch (name)
        {
            case "type":
                var type = reader.TokenType == JsonTokenType.String ? reader.GetString() : null;
                Expect(type == "BPE", $"has the type '{type}'; only BPE is supported");
                break;
            case "vocab":
                ReadVocabulary(ref reader);
                break;
            case "merges":
                ReadMerges(ref reader);
                break;
            case "unk_token":
                UnknownToken = reader.TokenType == JsonTokenType.Null ? null : Text(name, ref reader);
                break;
            case "ignore_merges":
                IgnoreMerges = Flag(name, ref reader);
                break;
            case "byte_fallback":
                ByteFallback = Flag(name, ref reader);
                break;
            case "fuse_unk":
                FuseUnknown = Flag(name, ref reader);
                break;
            case "dropout":
                var isOff = reader.TokenType == JsonTokenType.Null
                    || reader.TokenType == JsonTokenType.Number && reader.TryGetDouble(out var rate) && rate == 0;
                Expect(isOff, "has a dropout, which is for training; set it to null");
                break;
            case "continuing_subword_prefix" or "end_of_word_suffix":
                var isEmpty = reader.TokenType == JsonTokenType.Null || Text(name, ref reader).Length == 0;
                Expect(isEmpty, $"has a {name}, which is not supported");
                break;
            default:
                var isUnset = reader.TokenType is JsonTokenType.Null or JsonTokenType.False;
                Expect(isUnset, $"has the field '{name}', which is not known");
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ReadVocabulary(ref Utf8JsonReader reader)
    {
        Expect(reader.TokenType == JsonTokenType.StartObject, "has a vocab that is not an object");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var token = Value(ref reader, ref _left);
            reader.Read();
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt32(out var id)
                || (uint)id >= Vocabulary.IdLimit)
            {
                throw new ConfigurationException(
                    $"{_where}: the id of '{Encoding.UTF8.GetString(token)}' is no number below {Vocabulary.IdLimit}");
            }

            Vocabulary.Add(token, id);
        }

        _hasVocabulary = true;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ReadMerges(ref Utf8JsonReader reader)
    {
        Expect(reader.TokenType == JsonTokenType.StartArray, "has merges that are not a list");
        var joined = new byte[512];
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            ReadMerge(ref reader, ref joined);
        }

        _hasMerges = true;
    }

    // Either "left right" or ["left", "right"].
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ReadMerge(ref Utf8JsonReader reader, ref byte[] joined)
    {
        ReadOnlySpan<byte> left;
        ReadOnlySpan<byte> right;
        if (reader.TokenType == JsonTokenType.String)
        {
            var both = Value(ref reader, ref _left);
            var space = both.IndexOf((byte)' ');
            Expect(space >= 0 && both[(space + 1)..].IndexOf((byte)' ') < 0, "does not name two tokens", _mergeCount);
            left = both[..space];
            right = both[(space + 1)..];
        }
        else
        {
            Expect(reader.TokenType == JsonTokenType.StartArray, "is neither a string nor a pair", _mergeCount);
            const string otherwise = "is not a pair of strings";
            Expect(reader.Read() && reader.TokenType == JsonTokenType.String, otherwise, _mergeCount);
            left = Value(ref reader, ref _left);
            Expect(reader.Read() && reader.TokenType == JsonTokenType.String, otherwise, _mergeCount);
            right = Value(ref reader, ref _right);
            Expect(reader.Read() && reader.TokenType == JsonTokenType.EndArray, otherwise, _mergeCount);
        }

        if (joined.Length < left.Length + right.Length)
        {
            joined = new byte[2 * (left.Length + right.Length)];
        }

        left.CopyTo(joined);
        right.CopyTo(joined.AsSpan(left.Length));
        if (_mergeCount == _merges.Length)
        {
            Array.Resize(ref _merges, 2 * _mergeCount);
        }

        _merges[_mergeCount++] = (Id(left), Id(right), Id(joined.AsSpan(0, left.Length + right.Length)));
    }

    private int Id(ReadOnlySpan<byte> token)
    {
        var id = Vocabulary.IdOf(token);
        return id >= 0 ? id : throw new ConfigurationException(
            $"{_where}: merge {_mergeCount} needs the token '{Encoding.UTF8.GetString(token)}', which vocab lacks");
    }

    // The bytes of a string or name, in the file itself where nothing is escaped.
    private static ReadOnlySpan<byte> Value(scoped ref Utf8JsonReader reader, scoped ref byte[] scratch)
    {
        if (!reader.ValueIsEscaped)
        {
            return reader.ValueSpan;
        }

        if (scratch.Length < reader.ValueSpan.Length)
        {
            scratch = new byte[2 * reader.ValueSpan.Length];
        }

        try
        {
            return scratch.AsSpan(0, reader.CopyString(scratch));
        }
        catch (InvalidOperationException error)
        {
            // Half a surrogate pair.
            throw new JsonException($"a string at byte {reader.TokenStartIndex} is not Unicode", error);
        }
    }

    private string Text(string name, ref Utf8JsonReader reader) => reader.TokenType == JsonTokenType.String
        ? reader.GetString()!
        : throw new ConfigurationException($"{_where} has a {name} that is not a string");

    private bool Flag(string name, ref Utf8JsonReader reader) => reader.TokenType switch
    {
        JsonTokenType.True => true,
        JsonTokenType.False or JsonTokenType.Null => false,
        _ => throw new ConfigurationException($"{_where} has a {name} that is neither true nor false"),
    };

    private void Expect(bool holds, string otherwise)
    {
        if (!holds)
        {
            throw new ConfigurationException($"{_where} {otherwise}");
        }
    }

    private void Expect(bool holds, string otherwise, int merge)
    {
        if (!holds)
        {
            throw new ConfigurationException($"{_where}: merge {merge} {otherwise}");
        }
    }
}
