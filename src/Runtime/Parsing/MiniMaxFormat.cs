using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>MiniMax-M2: blocks of invocations with one element a parameter.</summary>
internal sealed partial class MiniMaxFormat : ToolCallFormat
{
    private const string BlockStart = "<minimax:tool_call>";
    private const string BlockEnd = "</minimax:tool_call>";
    private const string CallStart = "<invoke name=";
    private const string CallEnd = "</invoke>";
    private const string ValueStart = "<parameter name=";
    private const string ValueEnd = "</parameter>";

    public override IToolCallParser Open(ToolSet tools) => new Parser(tools);

    public override ToolCallResult ParseWhole(string text, ToolSet tools)
    {
        var content = new StringBuilder();
        var calls = new List<ToolCall>();
        var position = 0;
        while (text.IndexOf(BlockStart, position, StringComparison.Ordinal) is >= 0 and var start)
        {
            var end = text.IndexOf(BlockEnd, start, StringComparison.Ordinal);
            if (end < 0)
            {
                break;
            }

            content.Append(text, position, start - position);
            ReadBlock(text[(start + BlockStart.Length)..end], tools, calls);
            position = end + BlockEnd.Length;
        }

        return new ToolCallResult(content.Append(text, position, text.Length - position).ToString(), calls);
    }

    private static void ReadBlock(string block, ToolSet tools, List<ToolCall> calls)
    {
        foreach (Match call in Calls().Matches(block))
        {
            var name = Unquote(call.Groups["name"].Value);
            if (!tools.Accepts(name))
            {
                continue;
            }

            var arguments = new OrderedDictionary<string, string>();
            foreach (Match value in Values().Matches(call.Groups["body"].Value))
            {
                var parameter = Unquote(value.Groups["name"].Value);
                arguments[parameter] = Convert(value.Groups["value"].Value, tools.Find(name), parameter);
            }

            calls.Add(new ToolCall(tools.IndexOf(name), name,
                JsonText.Object(arguments)));
        }
    }

    private static string Unquote(string name) => name.Trim().Trim('"', '\'');

    /// <summary>A value by the types that its schema allows, tried in the reference's order.</summary>
    private static string Convert(string text, ToolDefinition? tool, string parameter)
    {
        text = text.Trim('\n');
        var types = new HashSet<string>();
        AddTypes(ParameterTypes.Schema(tool, parameter), types);
        if (types.Contains("null") || text.ToLowerInvariant() is "null" or "none" or "nil")
        {
            return "null";
        }

        foreach (var type in new[] { "integer", "number", "boolean", "object", "array" })
        {
            if (types.Contains(type) && TryConvert(text, type) is { } json)
            {
                return json;
            }
        }

        if (types.Count == 0 || types.Contains("string"))
        {
            return JsonText.Quote(text);
        }

        using var document = JsonText.TryParse(text);
        return document is null ? JsonText.Quote(text) : JsonText.Write(document.RootElement);
    }

    private static string? TryConvert(string text, string type)
    {
        switch (type)
        {
            case "integer":
                return ParameterTypes.Integer(text);
            case "number":
                var number = ParameterTypes.Number(text);
                return number is not null && number.EndsWith(".0", StringComparison.Ordinal) ? number[..^2] : number;
            case "boolean":
                return text.Trim().ToLowerInvariant() switch
                {
                    "true" or "1" or "yes" or "on" => "true",
                    "false" or "0" or "no" or "off" => "false",
                    _ => null,
                };
            default:
                using (var document = JsonText.TryParse(text))
                {
                    return document is null ? null : JsonText.Write(document.RootElement);
                }
        }
    }

    private static void AddTypes(JsonNode? node, HashSet<string> types)
    {
        if (node is not JsonObject schema)
        {
            return;
        }

        var named = schema["type"] is JsonArray several ? several.ToArray() : new[] { schema["type"] };
        foreach (var type in named.OfType<JsonValue>())
        {
            types.Add(type.ToString());
        }

        foreach (var value in schema["enum"] as JsonArray ?? [])
        {
            types.Add(value?.GetValueKind() switch
            {
                null => "null",
                JsonValueKind.True or JsonValueKind.False => "boolean",
                JsonValueKind.Number => value.ToJsonString().AsSpan().ContainsAny(".eE") ? "number" : "integer",
                JsonValueKind.Array => "array",
                JsonValueKind.Object => "object",
                _ => "string",
            });
        }

        foreach (var key in new[] { "anyOf", "oneOf", "allOf" })
        {
            foreach (var part in schema[key] as JsonArray ?? [])
            {
                AddTypes(part, types);
            }
        }
    }

    [GeneratedRegex("<invoke name=(?<name>[^>]*)>(?<body>.*?)(</invoke>|$)", RegexOptions.Singleline)]
    private static partial Regex Calls();

    [GeneratedRegex("<parameter name=(?<name>[^>]*)>(?<value>.*?)(</parameter>|$)", RegexOptions.Singleline)]
    private static partial Regex Values();

    private sealed class Parser(ToolSet tools) : IToolCallParser
    {
        private static readonly string[] Tags = [BlockEnd, CallStart, CallEnd, ValueStart];
        private static readonly string[] ValueEnds = [ValueEnd, CallEnd, BlockEnd];

        private readonly PieceBuilder _pieces = new();
        private readonly StringBuilder _value = new();
        private readonly HashSet<string> _sent = [];
        private string _held = "";
        private int _index = -1;
        private bool _isInBlock;
        private bool _isInCall;
        private ToolDefinition? _tool;
        private string? _parameter;

        public ParsedPiece Push(string text)
        {
            _held += text;
            while (_held.Length > 0 && (!_isInBlock ? StepText() : _parameter is null ? StepBlock() : StepValue()))
            {
            }

            return _pieces.Take();
        }

        public ParsedPiece Finish()
        {
            _pieces.Text(_isInBlock ? "" : _held);
            _held = "";
            CloseCall();
            return _pieces.Take();
        }

        private bool StepText()
        {
            var start = _held.IndexOf(BlockStart, StringComparison.Ordinal);
            var length = start >= 0 ? start : _held.Length - Markers.OpenTail(_held, BlockStart);
            _pieces.Text(_held.AsSpan(0, length));
            _held = _held[(length + (start >= 0 ? BlockStart.Length : 0))..];
            _isInBlock = start >= 0;
            return _isInBlock;
        }

        private bool StepBlock()
        {
            if (Markers.First(_held, Tags) is not { } tag)
            {
                _held = _held[(_held.Length - Markers.OpenTail(_held, Tags))..];
                return false;
            }

            var end = tag.Index + tag.Marker.Length;
            if (tag.Marker is CallStart or ValueStart)
            {
                var close = _held.IndexOf('>', end);
                if (close < 0)
                {
                    _held = _held[tag.Index..];
                    return false;
                }

                Open(tag.Marker, Unquote(_held[end..close]));
                end = close + 1;
            }
            else
            {
                CloseCall();
                _isInBlock = tag.Marker != BlockEnd;
            }

            _held = _held[end..];
            return true;
        }

        private void Open(string tag, string name)
        {
            if (tag == ValueStart)
            {
                _parameter = name;
                _value.Clear();
            }
            else if (!_isInCall && tools.Accepts(name))
            {
                _isInCall = true;
                _tool = tools.Find(name);
                _sent.Clear();
                _pieces.Name(++_index, name);
            }
        }

        private void CloseCall()
        {
            if (_isInCall)
            {
                _pieces.Arguments(_index, _sent.Count > 0 ? "}" : "{}");
                _isInCall = false;
            }
        }

        private bool StepValue()
        {
            var found = Markers.First(_held, ValueEnds);
            var length = found?.Index ?? _held.Length - Markers.OpenTail(_held, ValueEnds);
            _value.Append(_held, 0, length);
            _held = _held[length..];
            if (found is not { } tag)
            {
                return false;
            }

            _held = _held[(tag.Marker == ValueEnd ? ValueEnd.Length : 0)..];
            var isFirst = _sent.Count == 0;
            if (_isInCall && _sent.Add(_parameter!))
            {
                _pieces.Arguments(_index, (isFirst ? "{" : ", ") + JsonText.Quote(_parameter!) + ": "
                    + Convert(_value.ToString(), _tool, _parameter!));
            }

            _parameter = null;
            return true;
        }
    }
}
