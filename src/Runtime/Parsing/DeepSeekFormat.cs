using System.Text;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>
/// DeepSeek V3 and V3.1: a section of calls between markers. A call goes out when it is complete: one that is not
/// JSON leaves the whole text as it is, which nothing sent before could take back.
/// </summary>
/// <param name="isFenced">V3: the arguments stand in a Markdown fence and a type before the name.</param>
internal sealed class DeepSeekFormat(bool isFenced) : ToolCallFormat
{
    private const string SectionStart = "<｜tool▁calls▁begin｜>";
    private const string SectionEnd = "<｜tool▁calls▁end｜>";
    private const string CallStart = "<｜tool▁call▁begin｜>";
    private const string Separator = "<｜tool▁sep｜>";
    private const string CallEnd = "<｜tool▁call▁end｜>";
    private const string FenceStart = "\n```json\n";
    private const string FenceEnd = "\n```";

    public override IToolCallParser Open(ToolSet tools) => new Parser(this, tools);

    public override ToolCallResult ParseWhole(string text, ToolSet tools)
    {
        var first = text.IndexOf(SectionStart, StringComparison.Ordinal);
        if (first < 0)
        {
            return new ToolCallResult(text, []);
        }

        var calls = new List<ToolCall>();
        for (var start = 0; (start = text.IndexOf(CallStart, start, StringComparison.Ordinal)) >= 0;)
        {
            start += CallStart.Length;
            var end = text.IndexOf(CallEnd, start, StringComparison.Ordinal);
            if (end < 0)
            {
                break;
            }

            if (Read(text[start..end]) is not { } call)
            {
                return new ToolCallResult(text, []);
            }

            if (tools.Accepts(call.Name))
            {
                calls.Add(new ToolCall(tools.IndexOf(call.Name), call.Name, call.Arguments));
            }

            start = end + CallEnd.Length;
        }

        return new ToolCallResult(text[..first].Trim(), calls);
    }

    /// <summary>The name and the arguments' text of a call as far as it has come.</summary>
    private (string Name, string Arguments, bool IsFenceClosed)? Split(string call)
    {
        var separator = isFenced
            ? call.IndexOf(Separator, StringComparison.Ordinal) : call.LastIndexOf(Separator, StringComparison.Ordinal);
        if (separator < 0)
        {
            return null;
        }

        var rest = call[(separator + Separator.Length)..];
        if (!isFenced)
        {
            return (call[..separator].Trim(), rest, true);
        }

        var fence = rest.IndexOf(FenceStart, StringComparison.Ordinal);
        if (fence < 0)
        {
            return null;
        }

        var arguments = rest[(fence + FenceStart.Length)..];
        var isClosed = arguments.EndsWith(FenceEnd, StringComparison.Ordinal);
        return (rest[..fence].Trim(), isClosed ? arguments[..^FenceEnd.Length] : arguments, isClosed);
    }

    private (string Name, string Arguments)? Read(string call)
    {
        if (Split(call) is not { IsFenceClosed: true } parts)
        {
            return null;
        }

        using var document = JsonText.TryParse(parts.Arguments);
        if (document is null)
        {
            return null;
        }

        var arguments = JsonText.Write(document.RootElement);
        return (parts.Name, arguments is "[]" or "\"\"" or "0" or "false" or "null" ? "{}" : arguments);
    }

    private sealed class Parser(DeepSeekFormat format, ToolSet tools) : IToolCallParser
    {
        private enum State
        {
            Text,
            Section,
            Call,
            Untouched,
        }

        private readonly PieceBuilder _pieces = new();

        // The text from the section's start, until a call of it has gone out.
        private readonly StringBuilder _source = new();
        private readonly StringBuilder _call = new();
        private State _state = State.Text;
        private string _held = "";
        private int _index = -1;

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
            if (_state is State.Text or State.Untouched)
            {
                _pieces.Text(_held);
            }
            else if (_state == State.Call && format.Split(_call.ToString() + _held) is { } parts
                && parts.IsFenceClosed && tools.Accepts(parts.Name))
            {
                // What the reference has sent by then: in the fenced way the name alone.
                _pieces.Name(++_index, parts.Name);
                _pieces.Arguments(_index, format.IsFenced ? "{}" : parts.Arguments);
            }

            _held = "";
            _state = State.Section;
            return _pieces.Take();
        }

        private bool Step()
        {
            switch (_state)
            {
                case State.Text:
                    return Advance(SectionStart, passes: true) is not null && Enter(State.Section, SectionStart);
                case State.Section:
                    return Advance([CallStart, SectionEnd], passes: true) switch
                    {
                        CallStart => Enter(State.Call, CallStart),
                        SectionEnd => Enter(State.Text, SectionEnd),
                        _ => false,
                    };
                case State.Call:
                    return Advance(CallEnd) is not null && EndCall();
                default:
                    _pieces.Text(_held);
                    _held = "";
                    return false;
            }
        }

        private string? Advance(string marker, bool passes = false) => Advance([marker], passes);

        /// <summary>Moves past the first of the markers; null where none has come.</summary>
        private string? Advance(ReadOnlySpan<string> markers, bool passes = false)
        {
            var found = Markers.First(_held, markers);
            var length = found?.Index ?? _held.Length - Markers.OpenTail(_held, markers);
            if (passes)
            {
                _pieces.Text(_held.AsSpan(0, length));
            }
            else
            {
                _source.Append(_held, 0, length);
                _call.Append(_held, 0, length);
            }

            _held = _held[(length + (found?.Marker.Length ?? 0))..];
            return found?.Marker;
        }

        private bool Enter(State state, string marker)
        {
            _source.Append(marker);
            if (state == State.Text)
            {
                _source.Clear();
            }

            _call.Clear();
            _state = state;
            return true;
        }

        private bool EndCall()
        {
            if (format.Read(_call.ToString()) is not { } call)
            {
                _source.Append(CallEnd);
                _pieces.Text(_index < 0 ? _source.ToString() : "");
                _state = _index < 0 ? State.Untouched : State.Section;
                return true;
            }

            if (tools.Accepts(call.Name))
            {
                _pieces.Name(++_index, call.Name);
                _pieces.Arguments(_index, call.Arguments);
            }

            return Enter(State.Section, CallEnd);
        }
    }

    private bool IsFenced => isFenced;
}
