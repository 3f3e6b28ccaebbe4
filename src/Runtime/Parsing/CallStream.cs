namespace LsglangSharp.Runtime.Parsing;

/// <summary>
/// Streams calls that are JSON objects: numbers them, sends names once and arguments as they become certain.
/// </summary>
internal sealed class CallStream(ToolSet tools, bool checksNames)
{
    private CallReader? _reader;
    private int _index = -1;
    private bool _isDropped;

    /// <summary>True once the open call's name went to the client, which cannot be taken back.</summary>
    public bool IsNamed { get; private set; }

    public bool HasCalls => _index >= 0;

    public void Begin()
    {
        _reader = new CallReader();
        IsNamed = false;
        _isDropped = false;
    }

    public JsonProgress Push(char c, PieceBuilder pieces)
    {
        var progress = _reader!.Push(c);
        Send(pieces, isLast: progress == JsonProgress.Done);
        return progress;
    }

    /// <summary>Sends a call that is complete.</summary>
    public void Whole(string name, string arguments, PieceBuilder pieces)
    {
        if (!checksNames || tools.Accepts(name))
        {
            pieces.Name(++_index, name);
            pieces.Arguments(_index, arguments);
        }
    }

    /// <summary>Ends a call that broke off; one whose name is not known yet leaves nothing.</summary>
    public void Complete(PieceBuilder pieces)
    {
        if (_reader is not null && IsNamed)
        {
            _reader.Complete();
            pieces.Arguments(_index, _reader.TakeArguments());
        }

        _reader = null;
    }

    private void Send(PieceBuilder pieces, bool isLast)
    {
        if (!IsNamed && !_isDropped && _reader!.Name is { } name)
        {
            if (checksNames && !tools.Accepts(name))
            {
                _isDropped = true;
            }
            else
            {
                IsNamed = true;
                pieces.Name(++_index, name);
            }
        }

        if (IsNamed)
        {
            pieces.Arguments(_index, _reader!.TakeArguments());
        }

        _reader = isLast ? null : _reader;
    }
}
