using System.Text;
using System.Text.Json;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>Calls as JSON objects between two tags: the Hermes and the Qwen ways.</summary>
/// <param name="Begin">Opens a call; in Qwen's way the line's end belongs to it.</param>
/// <param name="End">Closes a call.</param>
/// <param name="IsStrict">
/// Hermes: one block that is not JSON leaves the whole text as it is, and text after calls is kept. Qwen: such a
/// block is passed over, and nothing after the first call is text.
/// </param>
internal sealed class TaggedJsonFormat(string begin, string end, bool isStrict) : ToolCallFormat
{
    private static readonly char[] White = [' ', '\t', '\n', '\r'];

    public override IToolCallParser Open(ToolSet tools) => new Parser(begin, end.Trim(), isStrict, tools);

    public override ToolCallResult ParseWhole(string text, ToolSet tools)
    {
        var first = text.IndexOf(begin, StringComparison.Ordinal);
        if (first < 0)
        {
            return new ToolCallResult(text, []);
        }

        var calls = new List<ToolCall>();
        for (var start = first; start >= 0;)
        {
            var content = start + begin.Length;
            var stop = text.IndexOf(end, content, StringComparison.Ordinal);
            if (stop < 0 && !isStrict)
            {
                break;
            }

            var isRead = ReadBlock(text[content..(stop < 0 ? text.Length : stop)], tools, calls);
            if (!isRead && isStrict)
            {
                return new ToolCallResult(text, []);
            }

            start = stop < 0 ? -1 : text.IndexOf(begin, stop + end.Length, StringComparison.Ordinal);
        }

        return new ToolCallResult(text[..first].Trim(), calls);
    }

    private static bool ReadBlock(string block, ToolSet tools, List<ToolCall> calls)
    {
        using var document = JsonText.TryParse(block);
        return document is not null && JsonCalls.Read(document.RootElement, tools, calls);
    }

    private sealed class Parser(string begin, string end, bool isStrict, ToolSet tools) : IToolCallParser
    {
        private enum State
        {
            Text,
            Start,
            List,
            Call,
            Ended,
            Lost,
        }

        private readonly PieceBuilder _pieces = new();
        private readonly CallStream _calls = new(tools, checksNames: true);

        // The source of an open call until its name is known: it is text if it turns out not to be a call.
        private readonly StringBuilder _source = new();
        private State _state = State.Text;
        private string _held = "";
        private bool _isList;
        private bool _hasBlock;
        private bool _hasText;

        public ParsedPiece Push(string text)
        {
            _held += text;
            while (_held.Length > 0 && (_state == State.Text ? PushText() : PushCall()))
            {
            }

            return _pieces.Take();
        }

        public ParsedPiece Finish()
        {
            if (_state == State.Text && (isStrict || !_hasBlock))
            {
                var isSpace = _hasBlock && !_hasText && _held.Trim(White).Length == 0;
                _pieces.Text(isSpace ? "" : _held);
            }

            _calls.Complete(_pieces);
            _held = "";
            _state = State.Lost;
            return _pieces.Take();
        }

        /// <summary>Passes text on up to the next tag; false where more text is needed.</summary>
        private bool PushText()
        {
            var found = _hasBlock ? Markers.First(_held, begin, end) : Markers.First(_held, begin);
            if (found is not { } tag)
            {
                var certain = _held.Length - (_hasBlock
                    ? Markers.OpenTail(_held, begin, end) : Markers.OpenTail(_held, begin));
                PassText(_held[..certain], isBeforeTag: false);
                return false;
            }

            PassText(_held[..tag.Index], isBeforeTag: true);
            _hasText = false;
            _held = _held[(tag.Index + tag.Marker.Length)..];
            if (tag.Marker == begin)
            {
                _state = State.Start;
                _isList = false;
                _source.Clear().Append(begin);
            }

            return true;
        }

        /// <summary>Between calls, white space alone is layout and not text.</summary>
        private void PassText(string text, bool isBeforeTag)
        {
            var isLayout = _hasBlock && !_hasText && text.Trim(White).Length == 0;
            _hasText |= !isLayout;
            if (isLayout && !isBeforeTag && isStrict)
            {
                return;
            }

            _held = isBeforeTag ? _held : _held[text.Length..];
            if (!isLayout && (isStrict || !_hasBlock))
            {
                _pieces.Text(text);
            }
        }

        private bool PushCall()
        {
            for (var i = 0; i < _held.Length; i++)
            {
                var c = _held[i];
                if (_state is not State.Lost && !_calls.IsNamed)
                {
                    _source.Append(c);
                }

                Step(c);
                if (_state == State.Text)
                {
                    _held = _held[(i + 1)..];
                    return true;
                }
            }

            _held = "";
            return false;
        }

        private void Step(char c)
        {
            var isWhite = White.AsSpan().Contains(c);
            switch (_state)
            {
                case State.Start when isWhite:
                case State.List when isWhite || c == ',':
                case State.Lost:
                    break;
                case State.Start when c == '[' && isStrict:
                    _isList = true;
                    _state = State.List;
                    break;
                case State.List when c == ']':
                    LeaveBlock();
                    break;
                case State.Start or State.List:
                    _calls.Begin();
                    _state = State.Call;
                    StepCall(c);
                    break;
                default:
                    StepCall(c);
                    break;
            }
        }

        private void StepCall(char c)
        {
            switch (_calls.Push(c, _pieces))
            {
                case JsonProgress.Done when _isList:
                    _state = State.List;
                    break;
                case JsonProgress.Done:
                    LeaveBlock();
                    break;
                case JsonProgress.Broken when _calls.IsNamed:
                    // The call went out already: it is closed, and nothing after it can be trusted.
                    _calls.Complete(_pieces);
                    _state = State.Lost;
                    break;
                case JsonProgress.Broken:
                    _pieces.Text(isStrict && !_hasBlock ? _source.ToString() : "");
                    _hasBlock |= !isStrict;
                    _state = State.Text;
                    break;
            }
        }

        private void LeaveBlock()
        {
            _hasBlock = true;
            _state = State.Text;
        }
    }
}
