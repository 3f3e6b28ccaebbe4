using System.Text;
using System.Text.RegularExpressions;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>
/// Llama 4: a Python list of calls with literal keyword arguments, which goes out when it is complete.
/// </summary>
internal sealed partial class PythonicFormat : ToolCallFormat
{
    private const string StartMarker = "<|python_start|>";
    private const string EndMarker = "<|python_end|>";

    public override IToolCallParser Open(ToolSet tools) => new Parser(tools, releasesOpenList: false);

    public override ToolCallResult ParseWhole(string text, ToolSet tools)
    {
        var parser = new Parser(tools, releasesOpenList: true);
        var pieces = new[] { parser.Push(text), parser.Finish() };
        var parts = pieces.SelectMany(piece => piece.Calls).ToLookup(part => part.Index);
        return new ToolCallResult(string.Concat(pieces.Select(piece => piece.Text)), [.. parts.Select(
            call => new ToolCall(call.Key, call.First().Name!, string.Concat(call.Select(part => part.Arguments))))]);
    }

    [GeneratedRegex(@"\G([a-zA-Z]\w*)\(")]
    private static partial Regex CallStart();

    [GeneratedRegex(@"\G\s*([a-zA-Z]\w*)\s*=")]
    private static partial Regex Keyword();

    [GeneratedRegex(@"\G\s*(,\s*)?")]
    private static partial Regex Comma();

    /// <summary>
    /// Reads a list in brackets. Null: it is no list of calls with keywords, but text. Empty: it is one, but an
    /// argument is no literal, and the reference makes nothing of it.
    /// </summary>
    private static List<(string Name, string Arguments)>? ReadList(string list)
    {
        var calls = new List<(string, string)>();
        for (var i = 1; i < list.Length - 1;)
        {
            var start = CallStart().Match(list, i);
            if (!start.Success)
            {
                return null;
            }

            var (arguments, end, isKeyword) = ReadArguments(list, start.Index + start.Length);
            if (!isKeyword)
            {
                return null;
            }

            if (arguments is null)
            {
                return [];
            }

            calls.Add((start.Groups[1].Value, arguments));
            i = end + Comma().Match(list, end).Length;
        }

        return calls;
    }

    private static (string? Arguments, int End, bool IsKeyword) ReadArguments(string list, int position)
    {
        var members = new OrderedDictionary<string, string>();
        while (true)
        {
            position += Comma().Match(list, position).Length;
            if (list[position] == ')')
            {
                return ($"{{{string.Join(", ", members.Select(pair => $"\"{pair.Key}\": {pair.Value}"))}}}",
                    position + 1, true);
            }

            var keyword = Keyword().Match(list, position);
            if (!keyword.Success)
            {
                return (null, position, false);
            }

            position = keyword.Index + keyword.Length;
            var value = PythonLiteral.TryRead(list, ref position, isStrict: true);
            if (value is null || position >= list.Length || list[position] is not (',' or ')'))
            {
                return (null, position, true);
            }

            members[keyword.Groups[1].Value] = value;
        }
    }

    private sealed class Parser(ToolSet tools, bool releasesOpenList) : IToolCallParser
    {
        private static readonly string[] Marks = [StartMarker, EndMarker, "["];

        private readonly PieceBuilder _pieces = new();
        private readonly StringBuilder _list = new();
        private BracketScanner? _scanner;
        private string _held = "";
        private int _index = -1;
        private bool _hasText;

        public ParsedPiece Push(string text)
        {
            _held += text;
            while (_held.Length > 0 && (_scanner is null ? StepText() : StepList()))
            {
            }

            return _pieces.Take();
        }

        public ParsedPiece Finish()
        {
            // A list that broke off is a call that broke off, unless it stands in text and is not even a call's start.
            if (releasesOpenList || (_scanner is null && (_hasText || !_held.StartsWith('['))))
            {
                _pieces.Text(_list.ToString());
                _pieces.Text(_held);
            }

            _held = "";
            _list.Clear();
            return _pieces.Take();
        }

        private bool StepText()
        {
            var found = Markers.First(_held, Marks);
            PassText(found?.Index ?? _held.Length - Markers.OpenTail(_held, Marks));
            if (found is not { } mark)
            {
                return false;
            }

            if (mark.Marker != "[")
            {
                _held = _held[mark.Marker.Length..];
                return true;
            }

            switch (IsCall(_held))
            {
                case null:
                    return false;
                case false:
                    PassText(1);
                    return true;
                default:
                    _scanner = new BracketScanner(hasSingleQuotes: true);
                    _list.Clear();
                    return true;
            }
        }

        private void PassText(int length)
        {
            _pieces.Text(_held.AsSpan(0, length));
            _hasText |= length > 0;
            _held = _held[length..];
        }

        /// <summary>Whether a bracket opens a call; null where it has not shown yet.</summary>
        private static bool? IsCall(string text)
        {
            var i = 1;
            while (i < text.Length && (char.IsAsciiLetter(text[i])
                || (i > 1 && (char.IsLetterOrDigit(text[i]) || text[i] == '_'))))
            {
                i++;
            }

            return i == text.Length ? null : i > 1 && text[i] == '(';
        }

        private bool StepList()
        {
            for (var i = 0; i < _held.Length; i++)
            {
                _list.Append(_held[i]);
                if (_scanner!.Push(_held[i]))
                {
                    _held = _held[(i + 1)..];
                    EndList(_list.ToString());
                    return true;
                }
            }

            _held = "";
            return false;
        }

        private void EndList(string list)
        {
            _scanner = null;
            _list.Clear();
            if (ReadList(list) is not { } calls)
            {
                _pieces.Text(list);
                _hasText = true;
                return;
            }

            foreach (var (name, arguments) in calls)
            {
                if (tools.Accepts(name))
                {
                    _pieces.Name(++_index, name);
                    _pieces.Arguments(_index, arguments);
                }
            }
        }
    }
}
