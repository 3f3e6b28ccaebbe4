using System.Text;
using System.Text.Json;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>Mistral: a tag, then a JSON array of calls, or name and arguments with a tag between them.</summary>
internal sealed class MistralFormat : ToolCallFormat
{
    private const string Tag = "[TOOL_CALLS]";
    private const string ArrayTag = "[TOOL_CALLS] [";
    private const string Arguments = "[ARGS]";

    public override IToolCallParser Open(ToolSet tools) => new Parser(tools);

    public override ToolCallResult ParseWhole(string text, ToolSet tools)
    {
        var first = text.IndexOf(Tag, StringComparison.Ordinal);
        if (first < 0)
        {
            return new ToolCallResult(text, []);
        }

        var before = text[..first].Trim();
        var calls = new List<ToolCall>();
        if (!text.AsSpan(first).StartsWith(ArrayTag))
        {
            ReadCompact(text[first..], tools, calls);
            return new ToolCallResult(before, calls);
        }

        var start = first + ArrayTag.Length - 1;
        var end = JsonScan.End(text, start);
        using var document = end < 0 ? null : JsonText.TryParse(text[start..end]);
        if (document is null || !JsonCalls.Read(document.RootElement, tools, calls))
        {
            return new ToolCallResult(before, []);
        }

        var after = text[end..].Trim();
        return new ToolCallResult(before.Length > 0 && after.Length > 0 ? $"{before} {after}" : before + after, calls);
    }

    private static void ReadCompact(string text, ToolSet tools, List<ToolCall> calls)
    {
        for (var start = 0; (start = text.IndexOf(Tag, start, StringComparison.Ordinal)) >= 0;)
        {
            start += Tag.Length;
            var brace = text.IndexOf('{', start);
            var end = brace < 0 ? -1 : JsonScan.End(text, brace);
            if (end < 0)
            {
                return;
            }

            if (ReadCall(text[start..brace], text[brace..end]) is { } call && tools.Accepts(call.Name))
            {
                calls.Add(new ToolCall(tools.IndexOf(call.Name), call.Name, call.Arguments));
            }

            start = end;
        }
    }

    /// <summary>
    /// A compact call from its head, which ends in the tag of arguments, perhaps without its last bracket.
    /// </summary>
    private static (string Name, string Arguments)? ReadCall(string head, string json)
    {
        head = head.Trim();
        var tag = head.LastIndexOf(Arguments[..^1], StringComparison.Ordinal);
        using var document = JsonText.TryParse(json);
        return tag <= 0 || document is null || head[tag..] is not (Arguments or "[ARGS")
            ? null : (head[..tag].Trim(), JsonText.Write(document.RootElement));
    }

    private sealed class Parser(ToolSet tools) : IToolCallParser
    {
        private enum State
        {
            Text,
            Tagged,
            Compact,
            List,
            Call,
            Lost,
        }

        private readonly PieceBuilder _pieces = new();
        private readonly CallStream _calls = new(tools, checksNames: true);
        private readonly StringBuilder _compact = new();
        private BracketScanner? _scanner;
        private State _state = State.Text;
        private string _held = "";
        private int _brace;
        private char _lastText;
        private bool _isAfterCalls;

        public ParsedPiece Push(string text)
        {
            _held += text;
            while (_held.Length > 0 && (_state == State.Text ? PushText() : PushRest()))
            {
            }

            return _pieces.Take();
        }

        public ParsedPiece Finish()
        {
            if (_state == State.Text)
            {
                PassText(_held.Length);
            }

            _calls.Complete(_pieces);
            _held = "";
            _state = State.Lost;
            return _pieces.Take();
        }

        private bool PushText()
        {
            var tag = _held.IndexOf(Tag, StringComparison.Ordinal);
            PassText(tag >= 0 ? tag : _held.Length - Markers.OpenTail(_held, Tag));
            if (tag < 0)
            {
                return false;
            }

            _held = _held[Tag.Length..];
            _state = State.Tagged;
            _compact.Clear();
            return true;
        }

        /// <summary>Passes text on; text after calls is set off from the text before them.</summary>
        private void PassText(int length)
        {
            if (length == 0)
            {
                return;
            }

            var needsSpace = _isAfterCalls && _lastText != '\0' && !char.IsWhiteSpace(_lastText)
                && !char.IsWhiteSpace(_held[0]);
            _pieces.Text(needsSpace ? " " : "");
            _pieces.Text(_held.AsSpan(0, length));
            _lastText = _held[length - 1];
            _isAfterCalls = false;
            _held = _held[length..];
        }

        private bool PushRest()
        {
            for (var i = 0; i < _held.Length; i++)
            {
                Step(_held[i]);
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
            switch (_state)
            {
                case State.Tagged when c == ' ' && _compact.Length == 0:
                    _compact.Append(c);
                    break;
                case State.Tagged when c == '[' && _compact.Length == 1:
                    _state = State.List;
                    break;
                case State.Tagged or State.Compact:
                    _state = State.Compact;
                    StepCompact(c);
                    break;
                case State.List when char.IsWhiteSpace(c) || c == ',':
                case State.Lost:
                    break;
                case State.List when c == ']':
                    _state = State.Text;
                    _isAfterCalls = true;
                    break;
                case State.List:
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
            var progress = _calls.Push(c, _pieces);
            if (progress == JsonProgress.Broken)
            {
                _calls.Complete(_pieces);
            }

            _state = progress switch
            {
                JsonProgress.Done => State.List,
                JsonProgress.Broken => State.Lost,
                _ => _state,
            };
        }

        private void StepCompact(char c)
        {
            if (_scanner is null && c == '{')
            {
                _scanner = new BracketScanner();
                _brace = _compact.Length;
            }

            _compact.Append(c);
            if (_scanner is null || !_scanner.Push(c))
            {
                return;
            }

            var text = _compact.ToString();
            _scanner = null;
            _compact.Clear();
            if (ReadCall(text[.._brace], text[_brace..]) is not { } call)
            {
                _state = State.Lost;
                return;
            }

            _calls.Whole(call.Name, call.Arguments, _pieces);
            _state = State.Text;
            _isAfterCalls = true;
        }
    }
}
