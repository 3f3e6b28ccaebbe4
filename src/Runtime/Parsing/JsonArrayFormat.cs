using System.Text;
using System.Text.Json;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>
/// A JSON array of calls, which a grammar made the model write because the request demands a call. Names are not
/// checked: the grammar allows no others.
/// </summary>
internal sealed class JsonArrayFormat : ToolCallFormat
{
    public override IToolCallParser Open(ToolSet tools) => new Parser(tools);

    public override ToolCallResult ParseWhole(string text, ToolSet tools)
    {
        using var document = JsonText.TryParse(text);
        var calls = new List<ToolCall>();
        return document?.RootElement.ValueKind == JsonValueKind.Array
            && JsonCalls.Read(document.RootElement, tools, calls, checksNames: false)
            ? new ToolCallResult("", calls) : new ToolCallResult(text, []);
    }

    private sealed class Parser(ToolSet tools) : IToolCallParser
    {
        private enum State
        {
            Start,
            List,
            Call,
            Text,
            Lost,
        }

        private readonly PieceBuilder _pieces = new();
        private readonly CallStream _calls = new(tools, checksNames: false);

        // What was read before the first call is certain: it is text if it turns out to be no array of calls.
        private readonly StringBuilder _source = new();
        private State _state = State.Start;

        public ParsedPiece Push(string text)
        {
            foreach (var c in text)
            {
                if (_state == State.Text)
                {
                    _pieces.Text([c]);
                    continue;
                }

                if (!_calls.HasCalls)
                {
                    _source.Append(c);
                }

                Step(c);
            }

            return _pieces.Take();
        }

        public ParsedPiece Finish()
        {
            if (_state == State.Start)
            {
                _pieces.Text(_source.ToString());
            }

            _calls.Complete(_pieces);
            _state = State.Lost;
            return _pieces.Take();
        }

        private void Step(char c)
        {
            var isWhite = c is ' ' or '\t' or '\n' or '\r';
            switch (_state)
            {
                case State.Start when isWhite:
                case State.List when isWhite || c == ',':
                case State.Lost:
                    break;
                case State.Start when c == '[':
                    _state = State.List;
                    break;
                case State.List when c == ']':
                    _state = State.Lost;
                    break;
                case State.List when c == '{':
                    _calls.Begin();
                    _state = State.Call;
                    StepCall(c);
                    break;
                case State.Call:
                    StepCall(c);
                    break;
                default:
                    Give();
                    break;
            }
        }

        private void StepCall(char c)
        {
            switch (_calls.Push(c, _pieces))
            {
                case JsonProgress.Done:
                    _state = State.List;
                    break;
                case JsonProgress.Broken:
                    Give();
                    break;
            }
        }

        /// <summary>
        /// Gives up: text if nothing went out yet, else the open call is closed and the rest is lost.
        /// </summary>
        private void Give()
        {
            if (_calls.HasCalls)
            {
                _calls.Complete(_pieces);
                _state = State.Lost;
            }
            else
            {
                _pieces.Text(_source.ToString());
                _state = State.Text;
            }
        }
    }
}
