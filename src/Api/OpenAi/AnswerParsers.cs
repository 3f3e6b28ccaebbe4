using LsglangSharp.Api.Http;

namespace LsglangSharp.Api.OpenAi;

/// <summary>Which parsers take an answer apart.</summary>
internal static class AnswerParsers
{
    public static IAnswerParser Create(ServerContext server, ChatRequest request) => new PlainParser();

    public static AnswerPiece ParseWhole(ServerContext server, ChatRequest request, string text) => AnswerPiece.Plain(text);

    public static int? ThoughtsEndToken(ServerContext server, ChatRequest request) => null;

    private sealed class PlainParser : IAnswerParser
    {
        public AnswerPiece Push(string text) => AnswerPiece.Plain(text);

        public AnswerPiece Finish() => AnswerPiece.Plain("");
    }
}
