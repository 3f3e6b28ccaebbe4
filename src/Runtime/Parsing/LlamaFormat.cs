using System.Text;
using System.Text.Json;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>
/// Llama 3: JSON objects with semicolons between, after a tag or from the answer's first character on.
/// </summary>
internal sealed class LlamaFormat : ToolCallFormat
{
    private const string Tag = "<|python_tag|>";
    private const string ObjectStart = "{\"name\":";

    public override IToolCallParser Open(ToolSet tools) => new Parser(tools);

    public override ToolCallResult ParseWhole(string text, ToolSet tools)
    {
        var tag = text.IndexOf(Tag, StringComparison.Ordinal);
        if (tag < 0 && !text.StartsWith('{'))
        {
            return new ToolCallResult(text, []);
        }

        var before = tag < 0 ? "" : text[..tag];
        var rest = tag < 0 ? text : text[(tag + Tag.Length)..];
        var calls = new List<ToolCall>();
        var certain = 0;
        for (var start = 0; start < rest.Length;)
        {
            if (ReadObject(rest, start, tools, calls) is >= 0 and var end)
            {
                // The reference takes the character after an object for the separator, whatever it is.
                start = certain = end + 1;
                continue;
            }

            start = rest.IndexOf(ObjectStart, start + 1, StringComparison.Ordinal);
            if (start < 0)
            {
                break;
            }
        }

        return new ToolCallResult(before + (certain < rest.Length ? rest[certain..].Trim() : ""), calls);
    }

    private static int ReadObject(string text, int start, ToolSet tools, List<ToolCall> calls)
    {
        if (text[start] != '{')
        {
            return -1;
        }

        var end = JsonScan.End(text, start);
        if (end > 0 && ReadJson(text[start..end], tools, calls))
        {
            return end;
        }

        end = start;
        return PythonLiteral.TryRead(text, ref end) is { } json && ReadJson(json, tools, calls) ? end : -1;
    }

    private static bool ReadJson(string json, ToolSet tools, List<ToolCall> calls)
    {
        using var document = JsonText.TryParse(json);
        return document is not null && JsonCalls.Read(document.RootElement, tools, calls);
    }

    private sealed class Parser(ToolSet tools) : IToolCallParser
    {
        private enum State
        {
            Start,
            Text,
            Tagged,
            Call,
            PythonCall,
            Ended,
            Lost,
        }

        private readonly PieceBuilder _pieces = new();
        private readonly StringBuilder _source = new();
        private readonly CallStream _calls = new(tools, checksNames: true);
        private BracketScanner _scanner = new();
        private State _state = State.Start;
        private string _held = "";

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
            if (_state is State.Start or State.Text || (_state == State.Ended && _held.Trim(' ', '\n', ';').Length > 0))
            {
                _pieces.Text(_held);
            }

            _calls.Complete(_pieces);
            _held = "";
            _state = State.Lost;
            return _pieces.Take();
        }

        private bool Step()
        {
            switch (_state)
            {
                case State.Start:
                    _state = _held[0] == '{' ? State.Tagged : State.Text;
                    return true;
                case State.Text:
                    return StepText();
                case State.Tagged:
                    return StepTagged();
                case State.Ended:
                    return StepEnded();
                case State.Lost:
                    _held = "";
                    return false;
                default:
                    return StepCall();
            }
        }

        private bool StepText()
        {
            var tag = _held.IndexOf(Tag, StringComparison.Ordinal);
            var length = tag >= 0 ? tag : _held.Length - Markers.OpenTail(_held, Tag);
            _pieces.Text(_held.AsSpan(0, length));
            _held = _held[(length + (tag >= 0 ? Tag.Length : 0))..];
            _state = tag >= 0 ? State.Tagged : State.Text;
            return tag >= 0;
        }

        /// <summary>Decides by its first characters whether an object is JSON or a Python dict.</summary>
        private bool StepTagged()
        {
            _held = _held.TrimStart();
            if (_held.Length == 0)
            {
                return false;
            }

            if (_held[0] != '{')
            {
                _state = State.Text;
                return true;
            }

            var inside = _held.AsSpan(1).TrimStart();
            if (inside.Length == 0)
            {
                return false;
            }

            _state = inside[0] == '\'' ? State.PythonCall : State.Call;
            _source.Clear();
            _scanner = new BracketScanner(hasSingleQuotes: true);
            _calls.Begin();
            return true;
        }

        private bool StepCall()
        {
            for (var i = 0; i < _held.Length; i++)
            {
                if (_state == State.PythonCall ? EndsPythonCall(_held[i]) : EndsCall(_held[i]))
                {
                    _held = _held[(i + 1)..];
                    return true;
                }
            }

            _held = "";
            return false;
        }

        private bool EndsCall(char c)
        {
            var progress = _calls.Push(c, _pieces);
            if (!_calls.IsNamed)
            {
                _source.Append(c);
            }

            if (progress == JsonProgress.Broken)
            {
                // A name that went out cannot be taken back; what was not a call is text.
                _pieces.Text(_calls.IsNamed ? "" : _source.ToString());
                _state = _calls.IsNamed ? State.Lost : State.Text;
                _calls.Complete(_pieces);
                return true;
            }

            _state = progress == JsonProgress.Done ? State.Ended : _state;
            return progress == JsonProgress.Done;
        }

        private bool EndsPythonCall(char c)
        {
            _source.Append(c);
            if (!_scanner.Push(c))
            {
                return false;
            }

            var source = _source.ToString();
            var json = PythonLiteral.TryConvert(source);
            if (json is null)
            {
                _pieces.Text(source);
            }

            foreach (var part in json ?? "")
            {
                _calls.Push(part, _pieces);
            }

            _state = State.Ended;
            return true;
        }

        /// <summary>After an object: another one, with or without what separates them, or text.</summary>
        private bool StepEnded()
        {
            var rest = _held.AsSpan().TrimStart(" \t\r\n;");
            if (rest.Length == 0)
            {
                return false;
            }

            if (rest[0] == '{' || rest.StartsWith(Tag))
            {
                _held = rest[(rest[0] == '{' ? 0 : Tag.Length)..].ToString();
                _state = State.Tagged;
                return true;
            }

            if (Tag.AsSpan().StartsWith(rest))
            {
                return false;
            }

            _state = State.Text;
            return true;
        }
    }
}
