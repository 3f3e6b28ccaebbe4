using System.Globalization;

namespace LsglangSharp.Runtime.Text.Patterns;

/// <summary>Reads what stands for one character: escapes and bracketed classes.</summary>
internal sealed class ClassParser(int[] pattern)
{
    private const int DepthMax = 50;
    private int _depth;

    /// <summary>A class, from behind its opening bracket to behind its closing one.</summary>
    public CodePointSet Bracket(ref int position)
    {
        if (++_depth > DepthMax)
        {
            throw Error("classes are nested too deeply", position);
        }

        var isNegated = Next("^", ref position);
        CodePointSet? intersection = null;
        var ranges = new List<(int First, int Last)>();
        for (var isFirst = true; ; isFirst = false)
        {
            if (Peek(position) == ']' && !isFirst)
            {
                position++;
                break;
            }

            if (Next("&&", ref position))
            {
                intersection = Intersect(intersection, ranges);
                ranges = [];
                continue;
            }

            Member(ref position, ranges);
        }

        _depth--;
        var set = Intersect(intersection, ranges);
        return isNegated ? set.Complement() : set;
    }

    /// <summary>What follows a backslash.</summary>
    public CodePointSet Escaped(ref int position)
    {
        var code = Peek(position++);
        switch (code)
        {
            case 'd':
                return CharacterProperties.Digit;
            case 'D':
                return CharacterProperties.Digit.Complement();
            case 'w':
                return CharacterProperties.Word;
            case 'W':
                return CharacterProperties.Word.Complement();
            case 's':
                return CharacterProperties.Space;
            case 'S':
                return CharacterProperties.Space.Complement();
            case 'h':
                return CharacterProperties.HexDigit;
            case 'H':
                return CharacterProperties.HexDigit.Complement();
            case 'p' or 'P':
                return Property(code == 'P', ref position);
            default:
                return CodePointSet.Of(Literal(code, ref position));
        }
    }

    private static CodePointSet Intersect(CodePointSet? left, List<(int First, int Last)> ranges)
    {
        var right = CodePointSet.From(ranges);
        return left is null ? right : left.Intersect(right);
    }

    private void Member(ref int position, List<(int First, int Last)> ranges)
    {
        var start = position;
        var code = Peek(position++);
        if (code == '[')
        {
            ranges.AddRange((Posix(ref position) ?? Bracket(ref position)).Ranges);
            return;
        }

        var first = code;
        if (code == '\\')
        {
            var set = Peek(position) == 'b' ? BackspaceAt(ref position) : Escaped(ref position);
            if (set.Ranges.Count != 1 || set.Ranges[0].First != set.Ranges[0].Last)
            {
                ranges.AddRange(set.Ranges);
                return;
            }

            first = set.Ranges[0].First;
        }

        var isRange = Peek(position) == '-' && Peek(position + 1) != ']' && Peek(position + 1) != '[';
        if (!isRange)
        {
            ranges.Add((first, first));
            return;
        }

        position++;
        var last = Peek(position++);
        if (last == '\\')
        {
            var set = Escaped(ref position);
            last = set.Ranges.Count == 1 && set.Ranges[0].First == set.Ranges[0].Last
                ? set.Ranges[0].First
                : throw Error("a range ends in a class", start);
        }

        ranges.Add(first <= last ? (first, last) : throw Error("a range is empty", start));
    }

    private static CodePointSet BackspaceAt(ref int position)
    {
        position++;
        return CodePointSet.Of('\b');
    }

    private CodePointSet? Posix(ref int position)
    {
        if (Peek(position) != ':')
        {
            return null;
        }

        var end = Array.IndexOf(pattern, ':', position + 1);
        if (end < 0 || end + 1 >= pattern.Length || pattern[end + 1] != ']')
        {
            return null;
        }

        var name = string.Concat(pattern[(position + 1)..end].Select(char.ConvertFromUtf32));
        var isNegated = name.StartsWith('^');
        var set = CharacterProperties.Posix(name.TrimStart('^'))
            ?? throw Error($"the class [:{name}:] is not known", position);
        position = end + 2;
        return isNegated ? set.Complement() : set;
    }

    private CodePointSet Property(bool isNegated, ref int position)
    {
        var start = position;
        string name;
        if (Peek(position) == '{')
        {
            var end = Array.IndexOf(pattern, '}', position);
            name = end < 0
                ? throw Error("a property is not closed", start)
                : string.Concat(pattern[(position + 1)..end].Select(char.ConvertFromUtf32));
            position = end + 1;
        }
        else
        {
            name = char.ConvertFromUtf32(Peek(position++));
        }

        if (name.StartsWith('^'))
        {
            isNegated = !isNegated;
            name = name[1..];
        }

        var set = CharacterProperties.Named(name) ?? throw Error($"the property \\p{{{name}}} is not known", start);
        return isNegated ? set.Complement() : set;
    }

    private int Literal(int code, ref int position)
    {
        switch (code)
        {
            case 'n':
                return '\n';
            case 'r':
                return '\r';
            case 't':
                return '\t';
            case 'f':
                return '\f';
            case 'v':
                return '\v';
            case 'a':
                return '\a';
            case 'e':
                return 0x1B;
            case '0':
                return 0;
            case 'u':
                return Hex(4, ref position);
            case 'x' when Peek(position) == '{':
                var end = Array.IndexOf(pattern, '}', position);
                position++;
                var value = Hex(end - position, ref position);
                position++;
                return value;
            case 'x':
                return Hex(2, ref position);
            case >= 'a' and <= 'z' or >= 'A' and <= 'Z' or >= '1' and <= '9':
                throw Error($"'\\{(char)code}' is not supported", position - 1);
            default:
                return code;
        }
    }

    private int Hex(int digits, ref int position)
    {
        if (digits is < 1 or > 6 || position + digits > pattern.Length)
        {
            throw Error("a character number is malformed", position);
        }

        var text = string.Concat(pattern[position..(position + digits)].Select(char.ConvertFromUtf32));
        position += digits;
        return int.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)
            && value <= CodePointSet.Last
            ? value
            : throw Error($"'{text}' is not a character number", position - digits);
    }

    private bool Next(string expected, ref int position)
    {
        for (var i = 0; i < expected.Length; i++)
        {
            if (position + i >= pattern.Length || pattern[position + i] != expected[i])
            {
                return false;
            }
        }

        position += expected.Length;
        return true;
    }

    private int Peek(int position) =>
        position < pattern.Length ? pattern[position] : throw Error("a class or escape ends too early", position);

    private static PatternException Error(string what, int position) => new($"{what} at character {position}");
}
