using System.Text;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>Calls in tags with one tag a parameter: Qwen3-Coder and Step-3.5.</summary>
internal sealed class QwenCoderFormat : ToolCallFormat
{
    private const string BlockStart = "<tool_call>";
    private const string BlockEnd = "</tool_call>";
    private const string CallStart = "<function=";
    private const string CallEnd = "</function>";
    private const string ValueStart = "<parameter=";
    private const string ValueEnd = "</parameter>";

    public override IToolCallParser Open(ToolSet tools) => new Parser(tools);

    public override ToolCallResult ParseWhole(string text, ToolSet tools)
    {
        var first = text.IndexOf(BlockStart, StringComparison.Ordinal);
        if (first < 0)
        {
            return new ToolCallResult(text, []);
        }

        var calls = new List<ToolCall>();
        var isClosed = text.IndexOf(BlockEnd, first, StringComparison.Ordinal) >= 0;
        if (!isClosed)
        {
            ReadBlock(text, tools, calls);
        }

        for (var start = isClosed ? first : -1; start >= 0;)
        {
            var content = start + BlockStart.Length;
            var end = text.IndexOf(BlockEnd, content, StringComparison.Ordinal);
            if (end < 0)
            {
                break;
            }

            ReadBlock(text[content..end], tools, calls);
            start = text.IndexOf(BlockStart, end, StringComparison.Ordinal);
        }

        return new ToolCallResult(text[..first], calls);
    }

    private static void ReadBlock(string block, ToolSet tools, List<ToolCall> calls)
    {
        for (var start = 0; (start = block.IndexOf(CallStart, start, StringComparison.Ordinal)) >= 0;)
        {
            var content = start + CallStart.Length;
            var end = block.IndexOf(CallEnd, content, StringComparison.Ordinal);
            var call = block[content..(end < 0 ? block.Length : end)];
            var nameEnd = call.IndexOf('>');
            if (nameEnd > 0)
            {
                var name = call[..nameEnd];
                calls.Add(new ToolCall(calls.Count, name, ReadArguments(call[(nameEnd + 1)..], tools.Find(name))));
            }

            start = end < 0 ? block.Length : end + CallEnd.Length;
        }
    }

    private static string ReadArguments(string text, ToolDefinition? tool)
    {
        var arguments = new OrderedDictionary<string, string>();
        for (var start = 0; (start = text.IndexOf(ValueStart, start, StringComparison.Ordinal)) >= 0;)
        {
            var content = start + ValueStart.Length;
            var nameEnd = text.IndexOf('>', content);
            if (nameEnd < 0)
            {
                break;
            }

            var rest = text[(nameEnd + 1)..];
            var end = Markers.First(rest, ValueEnd, ValueStart)?.Index ?? rest.Length;
            var name = text[content..nameEnd];
            arguments[name] = Convert(rest[..end], tool, name);
            start = nameEnd + 1 + end;
        }

        return JsonText.Object(arguments);
    }

    private static string Convert(string value, ToolDefinition? tool, string name)
    {
        value = value.StartsWith('\n') ? value[1..] : value;
        value = value.EndsWith('\n') ? value[..^1] : value;
        return ParameterTypes.Convert(value, ParameterTypes.Find(tool, name));
    }

    private sealed class Parser(ToolSet tools) : IToolCallParser
    {
        private static readonly string[] Tags = [BlockStart, BlockEnd, CallStart, CallEnd, ValueStart, ValueEnd];
        private static readonly string[] ValueEnds = [ValueEnd, ValueStart, CallEnd, BlockEnd];

        private readonly PieceBuilder _pieces = new();
        private readonly StringBuilder _value = new();
        private string _held = "";
        private int _index = -1;
        private bool _isInBlock;
        private ToolDefinition? _tool;
        private bool _isInCall;
        private bool _hasArguments;
        private string? _parameter;

        public ParsedPiece Push(string text)
        {
            _held += text;
            while (_held.Length > 0 && (_parameter is null ? StepOutside() : StepValue()))
            {
            }

            return _pieces.Take();
        }

        public ParsedPiece Finish()
        {
            if (!_isInBlock && !_isInCall)
            {
                _pieces.Text(_held);
            }

            _held = "";
            return _pieces.Take();
        }

        private bool StepOutside()
        {
            if (Markers.First(_held, Tags) is not { } tag)
            {
                PassText(_held.Length - Markers.OpenTail(_held, Tags));
                return false;
            }

            PassText(tag.Index);
            var end = tag.Marker.Length;
            if (tag.Marker is CallStart or ValueStart)
            {
                var close = _held.IndexOf('>', end);
                if (close < 0)
                {
                    return false;
                }

                Open(tag.Marker, _held[end..close]);
                end = close + 1;
            }
            else
            {
                _isInBlock = tag.Marker == BlockStart || (_isInBlock && tag.Marker != BlockEnd);
                if (tag.Marker is CallEnd or BlockEnd)
                {
                    CloseCall();
                }
            }

            _held = _held[end..];
            return true;
        }

        /// <summary>Inside a block, what stands outside its tags is layout.</summary>
        private void PassText(int length)
        {
            _pieces.Text(_isInBlock ? "" : _held.AsSpan(0, length));
            _held = _held[length..];
        }

        private void Open(string tag, string name)
        {
            if (tag == CallStart)
            {
                CloseCall();
                _isInCall = true;
                _hasArguments = false;
                _tool = tools.Find(name);
                _pieces.Name(++_index, name);
            }
            else if (_isInCall)
            {
                _parameter = name;
                _value.Clear();
            }
        }

        private void CloseCall()
        {
            if (_isInCall)
            {
                _pieces.Arguments(_index, _hasArguments ? "}" : "{}");
                _isInCall = false;
            }
        }

        private bool StepValue()
        {
            if (Markers.First(_held, ValueEnds) is not { } tag)
            {
                var certain = _held.Length - Markers.OpenTail(_held, ValueEnds);
                _value.Append(_held, 0, certain);
                _held = _held[certain..];
                return false;
            }

            _value.Append(_held, 0, tag.Index);
            _held = _held[(tag.Index + (tag.Marker == ValueEnd ? ValueEnd.Length : 0))..];
            _pieces.Arguments(_index, (_hasArguments ? ", " : "{") + JsonText.Quote(_parameter!) + ": "
                + Convert(_value.ToString(), _tool, _parameter!));
            _hasArguments = true;
            _parameter = null;
            return true;
        }
    }
}
