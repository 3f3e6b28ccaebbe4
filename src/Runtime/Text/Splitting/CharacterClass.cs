using System.Globalization;
using System.Runtime.CompilerServices;

namespace LsglangSharp.Runtime.Text.Splitting;

/// <summary>What the split patterns ask about a character.</summary>
[Flags]
internal enum CharacterClass : byte
{
    None = 0,

    /// <summary>\p{L}</summary>
    Letter = 1,

    /// <summary>\p{N}</summary>
    Number = 2,

    /// <summary>\s</summary>
    Space = 4,

    /// <summary>\r and \n, which are spaces too.</summary>
    LineBreak = 8,

    /// <summary>\p{M}</summary>
    Mark = 16,

    /// <summary>\p{Lu} and \p{Lt}</summary>
    Upper = 32,

    /// <summary>\p{Ll}</summary>
    Lower = 64,

    /// <summary>\p{P} and \p{S}</summary>
    Symbol = 128,
}

/// <summary>Character classes of UTF-16 text by table; characters are code points, a surrogate pair is one.</summary>
internal static class CharacterClasses
{
    private static readonly CharacterClass[] _basic = BasicPlane();

    /// <summary>The class of the character at a place, and how many units it takes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CharacterClass At(ReadOnlySpan<char> text, int index, out int length)
    {
        var unit = text[index];
        if (!char.IsSurrogate(unit))
        {
            length = 1;
            return _basic[unit];
        }

        return OfPair(text, index, out length);
    }

    /// <summary>The end of the longest run of characters that have any of these classes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int RunEnd(ReadOnlySpan<char> text, int start, CharacterClass any)
    {
        var table = _basic;
        while ((uint)start < (uint)text.Length)
        {
            var unit = text[start];
            if (!char.IsSurrogate(unit))
            {
                if ((table[unit] & any) == 0)
                {
                    return start;
                }

                start++;
            }
            else
            {
                if ((OfPair(text, start, out var length) & any) == 0)
                {
                    return start;
                }

                start += length;
            }
        }

        return start;
    }

    /// <summary>The end of the longest run of characters that have none of these classes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int RunEndExcept(ReadOnlySpan<char> text, int start, CharacterClass none)
    {
        while ((uint)start < (uint)text.Length && (At(text, start, out var length) & none) == 0)
        {
            start += length;
        }

        return start;
    }

    public static CharacterClass Of(int code)
    {
        var kind = CharUnicodeInfo.GetUnicodeCategory(code) switch
        {
            UnicodeCategory.UppercaseLetter or UnicodeCategory.TitlecaseLetter =>
                CharacterClass.Letter | CharacterClass.Upper,
            UnicodeCategory.LowercaseLetter => CharacterClass.Letter | CharacterClass.Lower,
            UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter => CharacterClass.Letter,
            UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark =>
                CharacterClass.Mark,
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber =>
                CharacterClass.Number,
            >= UnicodeCategory.ConnectorPunctuation and <= UnicodeCategory.OtherSymbol => CharacterClass.Symbol,
            _ => CharacterClass.None,
        };
        if (code <= char.MaxValue && char.IsWhiteSpace((char)code))
        {
            kind |= CharacterClass.Space;
        }

        return code is '\r' or '\n' ? kind | CharacterClass.LineBreak : kind;
    }

    private static CharacterClass OfPair(ReadOnlySpan<char> text, int index, out int length)
    {
        var isPair = index + 1 < text.Length && char.IsSurrogatePair(text[index], text[index + 1]);
        length = isPair ? 2 : 1;
        return isPair ? Of(char.ConvertToUtf32(text[index], text[index + 1])) : CharacterClass.None;
    }

    private static CharacterClass[] BasicPlane()
    {
        var classes = new CharacterClass[char.MaxValue + 1];
        for (var code = 0; code < classes.Length; code++)
        {
            classes[code] = Of(code);
        }

        return classes;
    }
}
