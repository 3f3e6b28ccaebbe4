using LsglangSharp.Runtime.Sampling;
using LsglangSharp.Runtime.Text;

namespace LsglangSharp.Runtime.Generation;

/// <summary>Tokens to text, one stream: what a token makes final, and what is left at the end.</summary>
public sealed record TextStream(Func<int, string> Push, Func<string> Flush)
{
    /// <summary>Opens streams over a tokenizer, special tokens skipped or not.</summary>
    public static Func<bool, TextStream> Over(Tokenizer tokenizer) => skipSpecialTokens =>
    {
        var detokenizer = new StreamingDetokenizer(tokenizer, skipSpecialTokens);
        return new TextStream(detokenizer.Push, detokenizer.Flush);
    };
}

/// <summary>
/// The text of one answer: detokenised, searched for stop strings, cut where it must be. Without a tokenizer always
/// empty.
/// </summary>
public sealed class AnswerText(TextStream? stream, IEnumerable<string> stopStrings, bool keepStop)
{
    private readonly StopMatcher _stops = new(stopStrings);

    /// <summary>The stop string that ended the text.</summary>
    public string? Matched => _stops.Matched;

    /// <summary>Text that the token makes final.</summary>
    public string Push(int token) => stream is null ? "" : _stops.Push(stream.Push(token), keepStop);

    /// <summary>
    /// The same for a token that ends the answer: its own text is dropped, unless it is kept or completes a stop
    /// string.
    /// </summary>
    public string End(int token)
    {
        if (stream is null)
        {
            return "";
        }

        if (keepStop)
        {
            var text = Push(token);
            return Matched is null ? text + Flush() : text;
        }

        if (_stops.IsEmpty)
        {
            return stream.Flush();
        }

        var held = _stops.Held;
        var before = _stops.Push(stream.Push(token));
        return Matched is null ? held : before;
    }

    /// <summary>The rest, when the answer ends without a stop.</summary>
    public string Flush()
    {
        if (stream is null)
        {
            return "";
        }

        var text = _stops.Push(stream.Flush(), keepStop);
        return text + _stops.Flush();
    }
}
