using System.Buffers;
using LsglangSharp.Runtime.Text.Patterns;

namespace LsglangSharp.Runtime.Text;

/// <summary>
/// Finds added tokens in a text: the leftmost, there the longest. A trie of UTF-16 units, entered only where the first
/// unit of a token stands.
/// </summary>
internal sealed class AddedTokenFinder
{
    private readonly Dictionary<long, int> _children = [];
    private readonly List<AddedToken?> _tokens = [null];
    private readonly SearchValues<char> _firstUnits;
    private readonly CodePointSet _word;

    /// <summary>Tokens by the text that they are found as.</summary>
    public AddedTokenFinder(IEnumerable<(string Text, AddedToken Token)> tokens)
    {
        var firstUnits = new HashSet<char>();
        var hasSingleWord = false;
        foreach (var (text, token) in tokens)
        {
            if (text.Length == 0)
            {
                continue;
            }

            firstUnits.Add(text[0]);
            hasSingleWord |= token.IsSingleWord;
            var node = 0;
            foreach (var unit in text)
            {
                if (!_children.TryGetValue(Key(node, unit), out var child))
                {
                    child = _tokens.Count;
                    _tokens.Add(null);
                    _children.Add(Key(node, unit), child);
                }

                node = child;
            }

            _tokens[node] = token;
        }

        _firstUnits = SearchValues.Create([.. firstUnits]);
        _word = hasSingleWord ? CharacterProperties.Word : CodePointSet.Empty;
        IsEmpty = firstUnits.Count == 0;
    }

    public bool IsEmpty { get; }

    /// <summary>
    /// The next token at or after <paramref name="position"/>, which becomes the place behind the match. White space
    /// that the token takes along belongs to [start, end), but none before <paramref name="free"/>.
    /// </summary>
    public AddedToken? Next(ReadOnlySpan<char> text, int free, ref int position, out int start, out int end)
    {
        start = end = text.Length;
        while (position < text.Length)
        {
            var skipped = text[position..].IndexOfAny(_firstUnits);
            if (skipped < 0)
            {
                break;
            }

            position += skipped;
            var token = Longest(text, position, out var length);
            if (token is null)
            {
                position++;
                continue;
            }

            start = position;
            end = position += length;
            if (!token.IsSingleWord || StandsAlone(text, start, end))
            {
                Strip(text, token, free, ref start, ref end);
                return token;
            }
        }

        start = end = position = text.Length;
        return null;
    }

    private static long Key(int node, char unit) => (long)node << 16 | unit;

    private static void Strip(ReadOnlySpan<char> text, AddedToken token, int free, ref int start, ref int end)
    {
        while (token.StripsLeft && start > free && char.IsWhiteSpace(text[start - 1]))
        {
            start--;
        }

        while (token.StripsRight && end < text.Length && char.IsWhiteSpace(text[end]))
        {
            end++;
        }
    }

    private AddedToken? Longest(ReadOnlySpan<char> text, int start, out int length)
    {
        AddedToken? longest = null;
        length = 0;
        var node = 0;
        for (var i = start; i < text.Length && _children.TryGetValue(Key(node, text[i]), out node); i++)
        {
            if (_tokens[node] is { } token)
            {
                longest = token;
                length = i + 1 - start;
            }
        }

        return longest;
    }

    private bool StandsAlone(ReadOnlySpan<char> text, int start, int end)
    {
        var before = start > 1 && char.IsLowSurrogate(text[start - 1]) ? start - 2 : start - 1;
        return (start == 0 || !_word.ContainsAt(text, before, out _))
            && (end == text.Length || !_word.ContainsAt(text, end, out _));
    }
}
