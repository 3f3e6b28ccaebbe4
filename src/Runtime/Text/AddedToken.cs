namespace LsglangSharp.Runtime.Text;

/// <summary>A token that is looked for in the text before it is split.</summary>
internal sealed record AddedToken(string Content, int Id)
{
    /// <summary>A mark of the format, not text: can be left out of decoded text.</summary>
    public bool IsSpecial { get; init; }

    /// <summary>Looked for in the normalised text, not in the text as it came.</summary>
    public bool IsNormalized { get; init; }

    /// <summary>Not found inside a word.</summary>
    public bool IsSingleWord { get; init; }

    /// <summary>Takes the white space before it along.</summary>
    public bool StripsLeft { get; init; }

    /// <summary>Takes the white space after it along.</summary>
    public bool StripsRight { get; init; }
}
