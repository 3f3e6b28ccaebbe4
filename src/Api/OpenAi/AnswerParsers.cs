using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Parsing;

namespace LsglangSharp.Api.OpenAi;

/// <summary>Which parsers take an answer apart: thoughts first, then the calls in what remains.</summary>
internal static class AnswerParsers
{
    /// <summary>A parser for one choice of a streamed answer.</summary>
    public static IAnswerParser Create(ServerContext server, ChatRequest request)
    {
        var thoughts = ReasoningParser(server, request) is { } reasoning
            ? ReasoningParsers.Create(reasoning, request.Reasoning.StartsInside, request.Reasoning.StreamThoughts)
            : null;
        var calls = ToolCallParser(server, request) is { } parser
            ? ToolCallParsers.Create(parser, request.Tools.Offered, ToolOptions(server))
            : null;
        return new TwoStages(thoughts, calls);
    }

    public static AnswerPiece ParseWhole(ServerContext server, ChatRequest request, string text)
    {
        var (thoughts, rest) = ReasoningParser(server, request) is { } reasoning
            ? ReasoningParsers.ParseWhole(reasoning, text, request.Reasoning.StartsInside)
            : new ReasoningPiece("", text);
        if (ToolCallParser(server, request) is not { } parser)
        {
            return new AnswerPiece(thoughts, rest, []);
        }

        var result = ToolCallParsers.ParseWhole(parser, rest, request.Tools.Offered, ToolOptions(server));
        return new AnswerPiece(
            thoughts,
            result.Text,
            [.. result.Calls.Select(call => new CallPiece(call.Index, call.Name, call.Arguments))]);
    }

    /// <summary>The token that ends the thoughts of an answer that begins with them; null where tokens cannot be told apart so.</summary>
    public static int? ThoughtsEndToken(ServerContext server, ChatRequest request) =>
        request.Reasoning.StartsInside ? server.ThoughtsEndToken : null;

    private static string? ReasoningParser(ServerContext server, ChatRequest request) =>
        request.Reasoning.Separate ? server.ReasoningParser : null;

    private static string? ToolCallParser(ServerContext server, ChatRequest request) =>
        request.Tools.MayCall ? server.ToolCallParser : null;

    private static ToolCallOptions ToolOptions(ServerContext server) => new(Warn: server.Options.Log);

    private sealed class TwoStages(IReasoningParser? thoughts, IToolCallParser? calls) : IAnswerParser
    {
        public AnswerPiece Push(string text)
        {
            var (reasoning, rest) = thoughts?.Push(text) ?? new ReasoningPiece("", text);
            return With(reasoning, rest.Length > 0 && calls is not null ? calls.Push(rest) : new ParsedPiece(rest, []));
        }

        public AnswerPiece Finish()
        {
            var (reasoning, rest) = thoughts?.Finish() ?? ReasoningPiece.Empty;
            if (calls is null)
            {
                return new AnswerPiece(reasoning, rest, []);
            }

            var last = rest.Length > 0 ? calls.Push(rest) : ParsedPiece.Empty;
            var end = calls.Finish();
            return With(reasoning, new ParsedPiece(last.Text + end.Text, [.. last.Calls, .. end.Calls]));
        }

        private static AnswerPiece With(string reasoning, ParsedPiece piece) => new(
            reasoning,
            piece.Text,
            piece.Calls.Count == 0
                ? []
                : [.. piece.Calls.Select(call => new CallPiece(call.Index, call.Name, call.Arguments))]);
    }
}
