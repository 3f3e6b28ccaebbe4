using System.Globalization;
using System.Text;

namespace LsglangSharp.Runtime.Text.Patterns;

/// <summary>A regular expression that cannot be read: what and where.</summary>
internal sealed class PatternException(string message) : Exception(message);

/// <summary>
/// Reads regular expressions as Oniguruma's Ruby syntax defines them, without captures, back references and callouts.
/// </summary>
internal sealed class PatternParser
{
    private const int DepthMax = 100;
    private const int RepeatMax = 100_000;

    private readonly int[] _pattern;
    private readonly ClassParser _classes;
    private int _position;
    private int _depth;

    private PatternParser(string pattern)
    {
        _pattern = [.. pattern.EnumerateRunes().Select(rune => rune.Value)];
        _classes = new ClassParser(_pattern);
    }

    public static PatternNode Parse(string pattern)
    {
        var parser = new PatternParser(pattern);
        var node = parser.Alternation(new Options(false, false));
        return parser._position == parser._pattern.Length ? node : throw parser.Error("unexpected ')'");
    }

    private PatternNode Alternation(Options options)
    {
        if (++_depth > DepthMax)
        {
            throw Error("groups are nested too deeply");
        }

        var choices = new List<PatternNode>();
        var parts = new List<PatternNode>();
        while (_position < _pattern.Length && Peek() != ')')
        {
            if (Peek() == '|')
            {
                _position++;
                choices.Add(Sequence(parts));
                parts = [];
            }
            else if (Atom(ref options) is { } atom)
            {
                parts.Add(Repeats(atom));
            }
        }

        _depth--;
        choices.Add(Sequence(parts));
        return choices.Count == 1 ? choices[0] : new AlternationNode(choices);
    }

    private static PatternNode Sequence(List<PatternNode> parts) =>
        parts.Count == 1 ? parts[0] : new SequenceNode(parts);

    // Null for options that apply to the rest of the group.
    private PatternNode? Atom(ref Options options)
    {
        var code = _pattern[_position++];
        switch (code)
        {
            case '(':
                return Group(ref options);
            case '[':
                return Fold(_classes.Bracket(ref _position), options);
            case '.':
                return new SetNode(options.DotAll ? CodePointSet.All : CharacterProperties.NewLine.Complement());
            case '^':
                return new PlaceNode(Place.LineStart);
            case '$':
                return new PlaceNode(Place.LineEnd);
            case '\\':
                return Escape(options);
            case '*' or '+' or '?':
                throw Error("nothing to repeat");
            default:
                return Fold(CodePointSet.Of(code), options);
        }
    }

    private PatternNode Escape(Options options)
    {
        switch (Peek())
        {
            case 'A':
                return At(Place.TextStart);
            case 'z':
                return At(Place.TextEnd);
            case 'Z':
                return At(Place.TextEndOrLastNewLine);
            case 'b':
                return At(Place.WordBoundary);
            case 'B':
                return At(Place.NotWordBoundary);
            case >= '1' and <= '9' or 'k' or 'g' or 'G' or 'K' or 'R' or 'X':
                throw Error($"'\\{(char)Peek()}' is not supported");
            default:
                return Fold(_classes.Escaped(ref _position), options);
        }

        PlaceNode At(Place place)
        {
            _position++;
            return new PlaceNode(place);
        }
    }

    private static SetNode Fold(CodePointSet set, Options options) =>
        new(options.IgnoreCase ? CharacterProperties.CloseOverCase(set) : set);

    private PatternNode? Group(ref Options options)
    {
        if (Peek() != '?')
        {
            return Close(Alternation(options));
        }

        _position++;
        if (Accept("<=") || Accept("<!"))
        {
            var isNegative = _pattern[_position - 1] == '!';
            return Close(new LookNode(Alternation(options), IsBehind: true, isNegative));
        }

        if (Accept("=") || Accept("!"))
        {
            var isNegative = _pattern[_position - 1] == '!';
            return Close(new LookNode(Alternation(options), IsBehind: false, isNegative));
        }

        if (Accept(":"))
        {
            return Close(Alternation(options));
        }

        if (Accept(">"))
        {
            return Close(new AtomicNode(Alternation(options)));
        }

        if (Accept("#"))
        {
            while (Peek() != ')')
            {
                _position++;
            }

            _position++;
            return null;
        }

        return OptionGroup(ref options);
    }

    private PatternNode? OptionGroup(ref Options options)
    {
        var inner = options;
        var value = true;
        while (true)
        {
            var code = Peek();
            _position++;
            switch (code)
            {
                case '-':
                    value = false;
                    break;
                case 'i':
                    inner = inner with { IgnoreCase = value };
                    break;
                case 'm':
                    inner = inner with { DotAll = value };
                    break;
                case ':':
                    return Close(Alternation(inner));
                case ')':
                    options = inner;
                    return null;
                default:
                    throw Error($"'(?{char.ConvertFromUtf32(code)}' is not supported");
            }
        }
    }

    private PatternNode Repeats(PatternNode atom)
    {
        while (_position < _pattern.Length && TryBounds(out var least, out var most, out var isInterval))
        {
            var greed = Greed.Greedy;
            if (Accept("?"))
            {
                greed = Greed.Lazy;
            }
            else if (!isInterval && Accept("+"))
            {
                greed = Greed.Possessive;
            }

            atom = new RepeatNode(atom, least, most, greed);
        }

        return atom;
    }

    private bool TryBounds(out int least, out int most, out bool isInterval)
    {
        least = 0;
        most = int.MaxValue;
        isInterval = false;
        switch (Peek())
        {
            case '*':
                _position++;
                return true;
            case '+':
                _position++;
                least = 1;
                return true;
            case '?':
                _position++;
                most = 1;
                return true;
            case '{':
                isInterval = true;
                return TryInterval(ref least, ref most);
            default:
                return false;
        }
    }

    // {n}, {n,}, {,m}, {n,m}; anything else leaves the brace a literal.
    private bool TryInterval(ref int least, ref int most)
    {
        var end = Array.IndexOf(_pattern, '}', _position);
        if (end < 0)
        {
            return false;
        }

        var body = string.Concat(_pattern[(_position + 1)..end].Select(char.ConvertFromUtf32));
        var bounds = body.Split(',');
        var hasLeast = TryNumber(bounds[0], out var first);
        var second = 0;
        var hasMost = bounds.Length == 2 && TryNumber(bounds[1], out second);
        var isValid = bounds.Length == 1
            ? hasLeast
            : bounds.Length == 2 && (hasLeast || bounds[0] == "") && (hasMost || bounds[1] == "") && body != ",";
        if (!isValid)
        {
            return false;
        }

        least = hasLeast ? first : 0;
        most = bounds.Length == 1 ? first : hasMost ? second : int.MaxValue;
        if (least > RepeatMax || most != int.MaxValue && (most > RepeatMax || most < least))
        {
            throw Error($"the repetition {{{body}}} is out of range");
        }

        _position = end + 1;
        return true;
    }

    private static bool TryNumber(string text, out int number) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);

    private PatternNode Close(PatternNode node)
    {
        if (_position >= _pattern.Length || _pattern[_position] != ')')
        {
            throw Error("a group is not closed");
        }

        _position++;
        return node;
    }

    private bool Accept(string expected)
    {
        for (var i = 0; i < expected.Length; i++)
        {
            if (_position + i >= _pattern.Length || _pattern[_position + i] != expected[i])
            {
                return false;
            }
        }

        _position += expected.Length;
        return true;
    }

    private int Peek() => _position < _pattern.Length ? _pattern[_position] : throw Error("it ends too early");

    private PatternException Error(string what) => new($"{what} at character {_position}");

    private readonly record struct Options(bool IgnoreCase, bool DotAll);
}
