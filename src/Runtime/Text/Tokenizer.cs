using System.Text;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Text.Bpe;
using LsglangSharp.Runtime.Text.Decoding;
using LsglangSharp.Runtime.Text.Files;
using LsglangSharp.Runtime.Text.Normalization;
using LsglangSharp.Runtime.Text.Splitting;

namespace LsglangSharp.Runtime.Text;

/// <summary>
/// A model's tokenizer: text to token ids and back, exactly as its files say. Threads may share it.
/// </summary>
public sealed class Tokenizer
{
    private readonly Vocabulary _vocabulary;
    private readonly BytePairEncoder _encoder;
    private readonly Normalizer? _normalizer;
    private readonly PreTokenizer[] _stages;
    private readonly int[] _before;
    private readonly int[] _after;
    private readonly Dictionary<int, AddedToken> _addedById = [];
    private readonly Dictionary<string, AddedToken> _addedByContent = new(StringComparer.Ordinal);
    private readonly AddedTokenFinder _rawTokens;
    private readonly AddedTokenFinder _normalizedTokens;
    private readonly AddedTokenFinder _plainRawTokens;
    private readonly AddedTokenFinder _plainNormalizedTokens;
    private readonly TokenizerConfig _config;
    private EncodeSession? _spareSession;

    internal Tokenizer(TokenizerParts parts, TokenizerConfig config)
    {
        _vocabulary = parts.Vocabulary;
        _encoder = parts.Encoder;
        _normalizer = parts.Normalizer;
        _stages = parts.Stages;
        _before = parts.Before;
        _after = parts.After;
        _config = config;
        foreach (var token in parts.AddedTokens)
        {
            _addedByContent[token.Content] = token;
            _addedById[token.Id] = token;
        }

        AddConfigured(config.AddedTokens);

        var added = _addedByContent.Values;
        _rawTokens = Finder(added.Where(token => !token.IsNormalized));
        _normalizedTokens = Finder(added.Where(token => token.IsNormalized));
        _plainRawTokens = Finder(added.Where(token => !token.IsNormalized && !token.IsSpecial));
        _plainNormalizedTokens = Finder(added.Where(token => token.IsNormalized && !token.IsSpecial));
        VocabularySize = Math.Max(_vocabulary.IdEnd, added.Select(token => token.Id + 1).DefaultIfEmpty().Max());
        foreach (var id in _before.Concat(_after).Where(id => !Contains(id)))
        {
            throw new ConfigurationException($"the tokenizer adds the token {id} to texts, which it does not have");
        }

        Bytes = new TokenBytes(_vocabulary, _addedById, VocabularySize, parts.Decoder);
    }

    /// <summary>One more than the highest token id.</summary>
    public int VocabularySize { get; }

    public string? BosToken => _config.BosToken;

    public string? EosToken => _config.EosToken;

    public string? PadToken => _config.PadToken;

    public string? UnkToken => _config.UnkToken;

    public int? BosTokenId => IdOrNull(BosToken);

    public int? EosTokenId => IdOrNull(EosToken);

    public int? PadTokenId => IdOrNull(PadToken);

    public int? UnkTokenId => IdOrNull(UnkToken);

    /// <summary>The chat template, or null where the model has none.</summary>
    public string? ChatTemplateSource => ChatTemplates.GetValueOrDefault("default");

    /// <summary>All chat templates by name; the usual one is "default".</summary>
    public IReadOnlyDictionary<string, string> ChatTemplates => _config.ChatTemplates;

    /// <summary>The ids of all special tokens, ascending.</summary>
    public IReadOnlyList<int> SpecialTokenIds =>
        [.. _addedById.Values.Where(token => token.IsSpecial).Select(token => token.Id).Order()];

    internal TokenBytes Bytes { get; }

    /// <summary>Work done by the encodings that ended, to test linearity: look-ups and characters examined.</summary>
    internal long Work { get; private set; }

    /// <summary>Reads tokenizer.json or else tiktoken.model, then tokenizer_config.json and templates.</summary>
    public static Tokenizer Load(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        var path = Path.Combine(folder, "tokenizer.json");
        if (File.Exists(path))
        {
            return new Tokenizer(TokenizerJson.Load(path), TokenizerConfig.Load(folder));
        }

        var ranks = Path.Combine(folder, "tiktoken.model");
        if (File.Exists(ranks))
        {
            var config = TokenizerConfig.Load(folder);
            return new Tokenizer(TiktokenFile.Load(ranks, config.AddedTokens), config);
        }

        throw new ConfigurationException(Directory.Exists(folder)
            ? $"{folder}: no tokenizer.json and no tiktoken.model; give a folder with one, or start without a tokenizer"
            : $"{folder}: no such folder");
    }

    /// <summary>
    /// The token ids of a text. Added tokens in it are recognised, special ones too;
    /// <paramref name="addSpecialTokens"/> is about those that the tokenizer puts around every text.
    /// </summary>
    public int[] Encode(string text, bool addSpecialTokens) => Encode(text, addSpecialTokens, parseSpecialTokens: true);

    /// <summary>The same; special tokens in the text can be left to be plain text.</summary>
    public int[] Encode(string text, bool addSpecialTokens, bool parseSpecialTokens)
    {
        ArgumentNullException.ThrowIfNull(text);
        var session = Interlocked.Exchange(ref _spareSession, null) ?? new EncodeSession();
        var ids = session.Ids;
        ids.Clear();
        ids.Add(addSpecialTokens ? _before : []);
        EncodeText(WellFormed(text), parseSpecialTokens, session);
        ids.Add(addSpecialTokens ? _after : []);
        var result = ids.From(0).ToArray();
        Work += session.Scratch.Work;
        session.Scratch.Work = 0;
        if (!session.IsLarge)
        {
            _spareSession = session;
        }

        return result;
    }

    /// <summary>The text of the ids; bytes that are not UTF-8 become U+FFFD, and ids without a token nothing.</summary>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens) =>
        new StreamingDetokenizer(this, skipSpecialTokens).Decode(ids);

    /// <summary>The id of the token with this text (as the file spells it), or null.</summary>
    public int? TokenId(string token)
    {
        ArgumentNullException.ThrowIfNull(token);
        if (_addedByContent.TryGetValue(token, out var added))
        {
            return added.Id;
        }

        return _vocabulary.IdOf(token) is var id and >= 0 ? id : null;
    }

    /// <summary>Whether there is a token with this id.</summary>
    public bool Contains(int id) => _vocabulary.Contains(id) || _addedById.ContainsKey(id);

    /// <summary>Whether the token is a mark of the format that decoding can leave out.</summary>
    public bool IsSpecial(int id) => _addedById.TryGetValue(id, out var token) && token.IsSpecial;

    /// <summary>The bytes that the token contributes to decoded text; empty for an id without a token.</summary>
    public ReadOnlySpan<byte> TokenBytes(int id) => (uint)id < (uint)VocabularySize ? Bytes[id] : default;

    /// <summary>The token as the file spells it, empty for an id without a token.</summary>
    public string TokenText(int id) => Encoding.UTF8.GetString(TextBytes(id));

    internal ReadOnlySpan<byte> TextBytes(int id) =>
        _addedById.TryGetValue(id, out var added) ? Encoding.UTF8.GetBytes(added.Content) : _vocabulary.Text(id);

    // tokenizer.json decides; the configuration may only name more tokens, not other ones.
    private void AddConfigured(IReadOnlyList<AddedToken> tokens)
    {
        foreach (var token in tokens.Where(token => token.Content.Length > 0))
        {
            var known = _vocabulary.IdOf(token.Content);
            var id = known >= 0 ? known : token.Id;
            if (id >= Vocabulary.IdLimit)
            {
                throw new ConfigurationException(
                    $"tokenizer_config.json: added_tokens_decoder: the id {id} of '{token.Content}' is too large");
            }

            var isFree = known >= 0 || !_vocabulary.Contains(id);
            if (isFree && !_addedById.ContainsKey(id) && _addedByContent.TryAdd(token.Content, token with { Id = id }))
            {
                _addedById[id] = token with { Id = id };
            }
        }
    }

    private int? IdOrNull(string? token) => token is null ? null : TokenId(token);

    // Tokens that are looked for in normalised text are looked for in their own normalised form.
    private AddedTokenFinder Finder(IEnumerable<AddedToken> tokens) => new(tokens.Select(token => (
        token.IsNormalized && _normalizer is not null ? _normalizer.Apply(WellFormed(token.Content)) : token.Content,
        token)));

    // Half a surrogate pair is no character; UTF-8 has U+FFFD for it.
    private static string WellFormed(string text)
    {
        var first = text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF');
        if (first < 0)
        {
            return text;
        }

        char[]? repaired = null;
        for (var i = first; i < text.Length; i++)
        {
            if (i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1]))
            {
                i++;
            }
            else if (char.IsSurrogate(text[i]))
            {
                repaired ??= text.ToCharArray();
                repaired[i] = '\uFFFD';
            }
        }

        return repaired is null ? text : new string(repaired);
    }

    private void EncodeText(string text, bool parseSpecialTokens, EncodeSession session)
    {
        var raw = parseSpecialTokens ? _rawTokens : _plainRawTokens;
        if (raw.IsEmpty)
        {
            EncodeNormalized(text, isTextStart: true, parseSpecialTokens, session);
            return;
        }

        var free = 0;
        var position = 0;
        while (raw.Next(text, free, ref position, out var start, out var end) is { } token)
        {
            EncodeRaw(text, free, start, parseSpecialTokens, session);
            session.Ids.Add(token.Id);
            free = end;
        }

        EncodeRaw(text, free, text.Length, parseSpecialTokens, session);
    }

    private void EncodeRaw(string text, int start, int end, bool parseSpecialTokens, EncodeSession session)
    {
        if (start < end)
        {
            // The whole text is not copied.
            var part = end - start == text.Length ? text : text[start..end];
            EncodeNormalized(part, isTextStart: start == 0, parseSpecialTokens, session);
        }
    }

    private void EncodeNormalized(string part, bool isTextStart, bool parseSpecialTokens, EncodeSession session)
    {
        var text = _normalizer?.Apply(part) ?? part;
        var target = new PieceTarget(_stages, 0, _encoder, session);
        var tokens = parseSpecialTokens ? _normalizedTokens : _plainNormalizedTokens;
        var free = 0;
        var position = 0;
        while (!tokens.IsEmpty && tokens.Next(text, free, ref position, out var start, out var end) is { } token)
        {
            if (start > free)
            {
                target.Accept(text.AsSpan(free, start - free), isTextStart && free == 0);
            }

            session.Ids.Add(token.Id);
            free = end;
        }

        target.Accept(text.AsSpan(free), isTextStart && free == 0);
    }
}
