using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>
/// Kimi-K2: a section of calls, each with an id that holds the name and arguments that pass as they are.
/// </summary>
internal sealed partial class KimiFormat : ToolCallFormat
{
    private const string SectionStart = "<|tool_calls_section_begin|>";
    private const string SectionEnd = "<|tool_calls_section_end|>";
    private const string CallStart = "<|tool_call_begin|>";
    private const string ArgumentsStart = "<|tool_call_argument_begin|>";
    private const string CallEnd = "<|tool_call_end|>";

    public override IToolCallParser Open(ToolSet tools) => new Parser(tools);

    public override ToolCallResult ParseWhole(string text, ToolSet tools)
    {
        var first = text.IndexOf(SectionStart, StringComparison.Ordinal);
        if (first < 0)
        {
            return new ToolCallResult(text, []);
        }

        var calls = new List<ToolCall>();
        foreach (Match match in Calls().Matches(text))
        {
            var arguments = match.Groups["arguments"].Value;
            if (NameOf(match.Groups["id"].Value, arguments, tools) is { } name)
            {
                calls.Add(new ToolCall(calls.Count, name, arguments));
            }
        }

        return new ToolCallResult(text[..first], calls);
    }

    /// <summary>
    /// The name in an id such as functions.f:0; a bare number names the tool that fits the arguments best.
    /// </summary>
    private static string? NameOf(string id, string arguments, ToolSet tools)
    {
        var match = Id().Match(id.Trim());
        if (match.Success)
        {
            return match.Groups["name"].Value;
        }

        return IsCounter(id) ? BestTool(arguments, tools) : null;
    }

    private static bool IsCounter(string id) => id.Trim() is { Length: > 0 } text && text.All(char.IsAsciiDigit);

    private static string? BestTool(string arguments, ToolSet tools)
    {
        if (tools.Tools.Count == 1)
        {
            return tools.Tools[0].Name;
        }

        using var document = JsonText.TryParse(arguments);
        if (document?.RootElement.ValueKind != JsonValueKind.Object)
        {
            return null;
        }

        var keys = document.RootElement.EnumerateObject().Select(member => member.Name).ToHashSet();
        var best = tools.Tools
            .Where(tool => tool.Parameters?["properties"] is JsonObject { Count: > 0 })
            .Select(tool =>
            {
                var known = keys.Count(tool.Parameters!["properties"]!.AsObject().ContainsKey);
                return (tool.Name, Score: known - (keys.Count - known));
            })
            .Where(candidate => candidate.Score > 0).OrderByDescending(candidate => candidate.Score).ToList();
        return best.Count > 0 ? best[0].Name : null;
    }

    [GeneratedRegex(@"^(functions\.)?(?<name>[A-Za-z0-9_.\-]+):[0-9]+$")]
    private static partial Regex Id();

    [GeneratedRegex(@"<\|tool_call_begin\|>\s*(?<id>[^\s<]+)\s*<\|tool_call_argument_begin\|>\s*"
        + @"(?<arguments>\{.*?\})\s*<\|tool_call_end\|>", RegexOptions.Singleline)]
    private static partial Regex Calls();

    private sealed class Parser(ToolSet tools) : IToolCallParser
    {
        private enum State
        {
            Outside,
            Header,
            Arguments,
            Skipped,
        }

        private static readonly string[] Tags = [SectionStart, SectionEnd, CallStart, ArgumentsStart, CallEnd];

        private readonly PieceBuilder _pieces = new();

        // The arguments of a call whose name they decide, and of one whose first character has not come.
        private readonly StringBuilder _waiting = new();
        private State _state = State.Outside;
        private string _held = "";
        private string _id = "";
        private int _index = -1;
        private bool _isInSection;
        private bool _isNamed;
        private char _last;

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
            if (_state == State.Outside && !_isInSection)
            {
                _pieces.Text(_held);
            }
            else if (_state == State.Arguments && _isNamed)
            {
                _pieces.Arguments(_index, _held);
            }

            _held = "";
            return _pieces.Take();
        }

        private bool Step() => _state switch
        {
            State.Outside => StepOutside(),
            State.Header => StepHeader(),
            _ => StepArguments(),
        };

        private bool StepOutside()
        {
            var found = Markers.First(_held, Tags);
            var length = found?.Index ?? _held.Length - Markers.OpenTail(_held, Tags);
            _pieces.Text(_isInSection ? "" : _held.AsSpan(0, length));
            _held = _held[length..];
            if (found is not { } tag)
            {
                return false;
            }

            _held = _held[tag.Marker.Length..];
            _isInSection = tag.Marker == SectionStart || (_isInSection && tag.Marker != SectionEnd);
            _state = tag.Marker == CallStart ? State.Header : State.Outside;
            return true;
        }

        private bool StepHeader()
        {
            if (Markers.First(_held, Tags) is not { } tag)
            {
                return false;
            }

            _id = _held[..tag.Index];
            _held = _held[(tag.Index + tag.Marker.Length)..];
            if (tag.Marker != ArgumentsStart)
            {
                // The call broke off before its arguments: it is nothing, and the tag counts on its own.
                _isInSection &= tag.Marker != SectionEnd;
                _state = tag.Marker == CallStart ? State.Header : State.Outside;
                return true;
            }

            _state = Id().IsMatch(_id.Trim()) || IsCounter(_id) ? State.Arguments : State.Skipped;
            _isNamed = false;
            _last = '\0';
            _waiting.Clear();
            return true;
        }

        private bool StepArguments()
        {
            var found = Markers.First(_held, CallEnd);
            var length = found?.Index ?? _held.Length - Markers.OpenTail(_held, CallEnd);

            // White space before the end tag does not belong to the arguments.
            var content = _held.AsSpan(0, length).TrimEnd().Length;
            if (content > 0)
            {
                _last = _held[content - 1];
            }

            if (found is null)
            {
                Pass(_held[..content]);
                _held = _held[content..];
                return false;
            }

            if (_last == '}' || _state == State.Skipped)
            {
                Pass(_held[..content]);
                End();
                _held = _held[(length + CallEnd.Length)..];
                return true;
            }

            // An end tag that no object stands before is a part of a string in the arguments.
            Pass(_held[..(length + CallEnd.Length)]);
            _held = _held[(length + CallEnd.Length)..];
            _last = '>';
            return true;
        }

        private void Pass(string text)
        {
            if (_state == State.Skipped || text.Length == 0)
            {
                return;
            }

            if (_isNamed)
            {
                _pieces.Arguments(_index, text);
                return;
            }

            text = _waiting.Length == 0 ? text.TrimStart() : text;
            _waiting.Append(text);
            if (_waiting.Length == 0)
            {
                return;
            }

            if (_waiting[0] != '{')
            {
                _state = State.Skipped;
            }
            else if (!IsCounter(_id))
            {
                Name(NameOf(_id, "", tools)!);
            }
        }

        private void Name(string name)
        {
            _pieces.Name(++_index, name);
            _pieces.Arguments(_index, _waiting.ToString());
            _isNamed = true;
        }

        private void End()
        {
            if (_state == State.Arguments && !_isNamed
                && NameOf(_id, _waiting.ToString(), tools) is { } name)
            {
                Name(name);
            }

            _state = State.Outside;
        }
    }
}
