using System.Text;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>Thoughts between two tags.</summary>
internal sealed class ReasoningParser(ReasoningFormat format, bool isForced, bool streamsReasoning) : IReasoningParser
{
    private enum State
    {
        Before,
        Inside,
        After,
    }

    private readonly StringBuilder _reasoning = new();
    private readonly StringBuilder _content = new();
    private State _state = isForced ? State.Inside : State.Before;
    private bool _isStartSeen;
    private string _held = "";

    public ReasoningPiece Push(string text)
    {
        _held += text;
        while (_held.Length > 0 && Step())
        {
        }

        return Take(isLast: false);
    }

    public ReasoningPiece Finish()
    {
        (_state == State.Inside ? _reasoning : _content).Append(_held);
        _held = "";
        return Take(isLast: true);
    }

    /// <summary>Moves to the next tag; false where no more can be said about the text held.</summary>
    private bool Step()
    {
        if (_state == State.After)
        {
            _content.Append(_held);
            _held = "";
            return false;
        }

        ReadOnlySpan<string> tags = (_state, _isStartSeen, format.ToolStart) switch
        {
            (State.Before, _, _) => [format.Start],
            (_, true, null) => [format.End],
            (_, true, { } tool) => [format.End, tool],
            (_, false, null) => [format.End, format.Start],
            (_, false, { } tool) => [format.End, format.Start, tool],
        };
        var passed = _state == State.Inside ? _reasoning : _content;
        if (Markers.First(_held, tags) is not { } tag)
        {
            var certain = _held.Length - Markers.OpenTail(_held, tags);
            passed.Append(_held, 0, certain);
            _held = _held[certain..];
            return false;
        }

        passed.Append(_held, 0, tag.Index);
        var isStart = tag.Marker == format.Start;
        _isStartSeen |= isStart;
        _state = isStart ? State.Inside : State.After;
        _held = _held[(tag.Index + (tag.Marker == format.ToolStart ? 0 : tag.Marker.Length))..];
        return true;
    }

    private ReasoningPiece Take(bool isLast)
    {
        var releases = streamsReasoning || isLast || _state == State.After;
        var piece = new ReasoningPiece(releases ? Drain(_reasoning) : "", Drain(_content));
        return piece;
    }

    private static string Drain(StringBuilder builder)
    {
        if (builder.Length == 0)
        {
            return "";
        }

        var text = builder.ToString();
        builder.Clear();
        return text;
    }
}

/// <summary>Passes everything as answer, with the tag in front that the prompt took away.</summary>
internal sealed class PrefixParser(string prefix) : IReasoningParser
{
    private string _prefix = prefix;

    public ReasoningPiece Push(string text)
    {
        var content = _prefix + text;
        _prefix = "";
        return new ReasoningPiece("", content);
    }

    public ReasoningPiece Finish() => ReasoningPiece.Empty;
}
