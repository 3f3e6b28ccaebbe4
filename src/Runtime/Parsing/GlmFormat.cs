using System.Text;
using System.Text.RegularExpressions;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>GLM-4.5 and 4.7: a tag around a name and pairs of key and value elements.</summary>
/// <param name="endsNameWithLine">
/// GLM-4.5: the name stands on a line of its own; GLM-4.7: it ends at the first key.
/// </param>
internal sealed partial class GlmFormat(bool endsNameWithLine) : ToolCallFormat
{
    private const string CallStart = "<tool_call>";
    private const string CallEnd = "</tool_call>";
    private const string KeyStart = "<arg_key>";
    private const string KeyEnd = "</arg_key>";
    private const string ValueStart = "<arg_value>";
    private const string ValueEnd = "</arg_value>";

    // Models have been seen to write the two characters of an escape instead of the line's end.
    private const string EscapedNewline = "\\n";

    private bool EndsNameWithLine => endsNameWithLine;

    public override IToolCallParser Open(ToolSet tools) => new Parser(this, tools);

    public override ToolCallResult ParseWhole(string text, ToolSet tools)
    {
        var first = text.IndexOf(CallStart, StringComparison.Ordinal);
        if (first < 0)
        {
            return new ToolCallResult(text, []);
        }

        var outside = new StringBuilder();
        var calls = new List<ToolCall>();
        var position = 0;
        while (text.IndexOf(CallStart, position, StringComparison.Ordinal) is >= 0 and var start
            && text.IndexOf(CallEnd, start, StringComparison.Ordinal) is >= 0 and var end)
        {
            outside.Append(text, position, start - position);
            if (!ReadBlock(text[(start + CallStart.Length)..end], tools, calls))
            {
                return new ToolCallResult(text, []);
            }

            position = end + CallEnd.Length;
        }

        outside.Append(text, position, text.Length - position);
        return new ToolCallResult((endsNameWithLine ? text[..first] : outside.ToString()).Trim(), calls);
    }

    private bool ReadBlock(string block, ToolSet tools, List<ToolCall> calls)
    {
        if (FindNameEnd(block) is not { } end)
        {
            if (endsNameWithLine)
            {
                return false;
            }

            end = (block.Length, 0);
        }

        var name = endsNameWithLine ? block[..end.Index].Trim() : block[..end.Index];
        if (!tools.Accepts(name))
        {
            return true;
        }

        var arguments = new OrderedDictionary<string, string>();
        foreach (Match pair in Pairs().Matches(block[end.Index..]))
        {
            var key = pair.Groups["key"].Value.Trim();
            arguments[key] = GlmValues.Convert(pair.Groups["value"].Value, tools.Find(name), key);
        }

        calls.Add(new ToolCall(tools.IndexOf(name), name,
            JsonText.Object(arguments)));
        return true;
    }

    /// <summary>Where a call's name ends and how long what ends it is.</summary>
    private (int Index, int Length)? FindNameEnd(string text)
    {
        if (!endsNameWithLine)
        {
            return Markers.First(text, KeyStart) is { } key ? (key.Index, 0) : null;
        }

        return Markers.First(text, "\n", EscapedNewline) is { } end ? (end.Index, end.Marker.Length) : null;
    }

    [GeneratedRegex(@"<arg_key>(?<key>.*?)</arg_key>(?:\\n|\s)*<arg_value>(?<value>.*?)</arg_value>",
        RegexOptions.Singleline)]
    private static partial Regex Pairs();

    private sealed class Parser(GlmFormat format, ToolSet tools) : IToolCallParser
    {
        private enum State
        {
            Text,
            Name,
            Pairs,
            Key,
            Value,
        }

        private readonly PieceBuilder _pieces = new();
        private readonly StringBuilder _value = new();
        private readonly HashSet<string> _sent = [];
        private State _state = State.Text;
        private string _held = "";
        private string? _key;
        private int _index = -1;
        private bool _isNamed;
        private bool _hasArguments;
        private ToolDefinition? _tool;

        public ParsedPiece Push(string text)
        {
            _held += text;
            while (_held.Length > 0 && Step())
            {
            }

            return _pieces.Take();
        }

        public ParsedPiece Finish()
        {
            if (_state == State.Text)
            {
                _pieces.Text(_held);
            }
            else if (_state == State.Value && _isNamed)
            {
                _pieces.Arguments(_index, (_hasArguments ? ", " : "{") + JsonText.Quote(_key!) + ": "
                    + GlmValues.Partial(_value.ToString() + _held, _tool, _key!));
            }

            _held = "";
            _state = State.Text;
            return _pieces.Take();
        }

        private bool Step()
        {
            switch (_state)
            {
                case State.Text:
                    return StepText();
                case State.Name:
                    return StepName();
                case State.Pairs:
                    return StepPairs();
                case State.Key:
                    var end = _held.IndexOf(KeyEnd, StringComparison.Ordinal);
                    if (end >= 0)
                    {
                        _key = _held[..end].Trim();
                        _held = _held[(end + KeyEnd.Length)..];
                        _state = State.Pairs;
                    }

                    return end >= 0;
                default:
                    return StepValue();
            }
        }

        /// <summary>Passes text on; after a call, an end tag without a start is what a quoted one left over.</summary>
        private bool StepText()
        {
            ReadOnlySpan<string> tags = _index >= 0 ? [CallStart, CallEnd] : [CallStart];
            var found = Markers.First(_held, tags);
            var length = found?.Index ?? _held.Length - Markers.OpenTail(_held, tags);
            _pieces.Text(_held.AsSpan(0, length));
            _held = _held[(length + (found?.Marker.Length ?? 0))..];
            _state = found?.Marker == CallStart ? State.Name : State.Text;
            return found is not null;
        }

        private bool StepName()
        {
            var nameEnd = format.FindNameEnd(_held);
            var callEnd = _held.IndexOf(CallEnd, StringComparison.Ordinal);
            if (nameEnd is { } end && (callEnd < 0 || end.Index < callEnd))
            {
                Name(_held[..end.Index]);
                _held = _held[(end.Index + end.Length)..];
                _state = State.Pairs;
                return true;
            }

            if (callEnd < 0)
            {
                return false;
            }

            // A name without arguments; in the way with lines a call without one is none.
            _isNamed = false;
            if (!format.EndsNameWithLine)
            {
                Name(_held[..callEnd]);
                CloseCall();
            }

            _held = _held[(callEnd + CallEnd.Length)..];
            _state = State.Text;
            return true;
        }

        private void Name(string name)
        {
            name = format.EndsNameWithLine ? name.Trim() : name;
            _sent.Clear();
            _key = null;
            _hasArguments = false;
            _tool = tools.Find(name);
            _isNamed = tools.Accepts(name);
            if (_isNamed)
            {
                _pieces.Name(++_index, name);
            }
        }

        private void CloseCall()
        {
            if (_isNamed)
            {
                _pieces.Arguments(_index, _hasArguments ? "}" : "{}");
            }
        }

        private bool StepPairs()
        {
            if (Markers.First(_held, KeyStart, ValueStart, CallEnd) is not { } tag)
            {
                _held = _held[(_held.Length - Markers.OpenTail(_held, KeyStart, ValueStart, CallEnd))..];
                return false;
            }

            _held = _held[(tag.Index + tag.Marker.Length)..];
            switch (tag.Marker)
            {
                case KeyStart:
                    _state = State.Key;
                    break;
                case ValueStart when _key is not null:
                    _value.Clear();
                    _state = State.Value;
                    break;
                case CallEnd:
                    CloseCall();
                    _state = State.Text;
                    break;
            }

            return true;
        }

        private bool StepValue()
        {
            var found = Markers.First(_held, ValueEnd, CallEnd);
            var length = found?.Index ?? _held.Length - Markers.OpenTail(_held, ValueEnd, CallEnd);
            _value.Append(_held, 0, length);
            _held = _held[length..];
            if (found is not { } tag)
            {
                return false;
            }

            _state = State.Pairs;
            if (tag.Marker == ValueEnd)
            {
                _held = _held[ValueEnd.Length..];
                SendPair();
            }

            return true;
        }

        /// <summary>GLM-4.7 streams text as it stands; a whole answer reads it as JSON first.</summary>
        private string Convert(string text) => format.EndsNameWithLine
            ? GlmValues.Convert(text, _tool, _key!) : GlmValues.ConvertStreamed(text, _tool, _key!);

        private void SendPair()
        {
            var isNew = _sent.Add(_key!);
            if (_isNamed && (isNew || !format.EndsNameWithLine))
            {
                _pieces.Arguments(_index, (_hasArguments ? ", " : "{") + JsonText.Quote(_key!) + ": "
                    + Convert(_value.ToString()));
                _hasArguments = true;
            }

            _key = null;
        }
    }
}
