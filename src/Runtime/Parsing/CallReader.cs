using System.Text;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>
/// Reads the JSON object of one call as it arrives: its name, and its arguments as far as they are certain.
/// </summary>
internal sealed class CallReader
{
    private enum Part
    {
        Start,
        FirstKey,
        Key,
        KeyText,
        Colon,
        Value,
        CommaOrEnd,
        Done,
    }

    private readonly StringBuilder _arguments = new();
    private JsonStream _stream = new();
    private Part _part = Part.Start;
    private string _key = "";

    // Empty parameters give way to arguments; empty arguments are what the call has if nothing else comes.
    private string? _emptyArguments;
    private bool _hasArguments;

    /// <summary>The tool's name, once it is complete.</summary>
    public string? Name { get; private set; }

    /// <summary>Takes the arguments that became certain since the last call.</summary>
    public string TakeArguments()
    {
        var text = _arguments.ToString();
        _arguments.Clear();
        return text;
    }

    public JsonProgress Push(char c)
    {
        if (_part == Part.Value)
        {
            var progress = _stream.Push(c, out var isConsumed);
            if (progress == JsonProgress.Broken)
            {
                return progress;
            }

            TakeValue(progress == JsonProgress.Done);
            if (isConsumed)
            {
                return JsonProgress.Open;
            }
        }
        else if (_part == Part.KeyText)
        {
            return PushKey(c);
        }

        return c is ' ' or '\n' or '\r' or '\t' ? JsonProgress.Open : Step(c);
    }

    private JsonProgress Step(char c)
    {
        switch (_part)
        {
            case Part.Start when c == '{':
                _part = Part.FirstKey;
                return JsonProgress.Open;
            case Part.FirstKey or Part.Key when c == '"':
                _part = Part.KeyText;
                _stream = new JsonStream();
                return PushKey(c);
            case Part.Colon when c == ':':
                _part = Part.Value;
                return JsonProgress.Open;
            case Part.CommaOrEnd when c == ',':
                _part = Part.Key;
                return JsonProgress.Open;
            case Part.CommaOrEnd or Part.FirstKey when c == '}':
                _part = Part.Done;
                _arguments.Append(_hasArguments ? "" : _emptyArguments ?? "{}");
                return JsonProgress.Done;
            default:
                return JsonProgress.Broken;
        }
    }

    private JsonProgress PushKey(char c)
    {
        var progress = _stream.Push(c, out _);
        if (progress == JsonProgress.Done)
        {
            _key = JsonText.Unescape(_stream.Take());
            _stream = new JsonStream();
            _part = Part.Colon;
            return JsonProgress.Open;
        }

        return progress;
    }

    private void TakeValue(bool isDone)
    {
        _part = isDone ? Part.CommaOrEnd : _part;
        if (_key is "arguments" or "parameters" && !_hasArguments)
        {
            if (_stream.HasContent)
            {
                _arguments.Append(_stream.Take());
                _hasArguments = isDone;
            }
            else if (isDone)
            {
                var text = _stream.Take();
                _emptyArguments = _key == "arguments" ? text : _emptyArguments;
            }
        }
        else if (isDone && _key == "name")
        {
            var text = _stream.Take();
            Name = text[0] == '"' ? JsonText.Unescape(text) : text;
        }
    }

    /// <summary>Ends a call that broke off: its arguments become valid JSON.</summary>
    public void Complete()
    {
        if (_part == Part.Done || _hasArguments)
        {
            return;
        }

        _part = Part.Done;
        if (_key is "arguments" or "parameters" && _stream.HasContent)
        {
            _stream.Complete();
            _arguments.Append(_stream.Take());
        }
        else
        {
            _arguments.Append(_emptyArguments ?? "{}");
        }
    }
}
