using System.Text;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>Collects what one step of a stream brings, joining neighbouring arguments of one call.</summary>
internal sealed class PieceBuilder
{
    private readonly StringBuilder _text = new();
    private readonly StringBuilder _arguments = new();
    private List<ToolCallPiece>? _calls;
    private int _index;

    public void Text(ReadOnlySpan<char> text) => _text.Append(text);

    public void Name(int index, string name)
    {
        EndArguments();
        (_calls ??= []).Add(new ToolCallPiece(index, name, ""));
    }

    public void Arguments(int index, string arguments)
    {
        if (index != _index)
        {
            EndArguments();
            _index = index;
        }

        _arguments.Append(arguments);
    }

    private void EndArguments()
    {
        if (_arguments.Length > 0)
        {
            (_calls ??= []).Add(new ToolCallPiece(_index, null, _arguments.ToString()));
            _arguments.Clear();
        }
    }

    /// <summary>The step's result; the builder is empty again.</summary>
    public ParsedPiece Take()
    {
        EndArguments();
        if (_text.Length == 0 && _calls is null)
        {
            return ParsedPiece.Empty;
        }

        var piece = new ParsedPiece(_text.ToString(), _calls is null ? [] : _calls);
        _text.Clear();
        _calls = null;
        return piece;
    }
}
