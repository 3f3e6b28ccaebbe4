namespace LsglangSharp.Api.OpenAi;

/// <summary>A part of a tool call: the first of each index names the function, the others add to the text of its arguments.</summary>
internal readonly record struct CallPiece(int Index, string? Name, string Arguments);

/// <summary>What a piece of an answer turned out to be.</summary>
internal readonly record struct AnswerPiece(string Reasoning, string Text, IReadOnlyList<CallPiece> Calls)
{
    public static AnswerPiece Plain(string text) => new("", text, []);
}

/// <summary>Takes one answer apart while it is generated.</summary>
internal interface IAnswerParser
{
    AnswerPiece Push(string text);

    /// <summary>What was held back, at the end.</summary>
    AnswerPiece Finish();
}
