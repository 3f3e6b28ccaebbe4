using System.Text;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>Collects what one step of a stream brings, joining neighbouring arguments of one call.</summary>
internal sealed class PieceBuilder
{
    private readonly StringBuilder _text = new();
    private List<ToolCallPiece>? _calls;

    public void Text(ReadOnlySpan<char> text) => _text.Append(text);

    public void Name(int index, string name) => (_calls ??= []).Add(new ToolCallPiece(index, name, ""));

    public void Arguments(int index, string arguments)
    {
        if (arguments.Length == 0)
        {
            return;
        }

        _calls ??= [];
        if (_calls.Count > 0 && _calls[^1] is { Name: null } last && last.Index == index)
        {
            _calls[^1] = last with { Arguments = last.Arguments + arguments };
        }
        else
        {
            _calls.Add(new ToolCallPiece(index, null, arguments));
        }
    }

    /// <summary>The step's result; the builder is empty again.</summary>
    public ParsedPiece Take()
    {
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
