using System.Text;
using System.Text.Json;
using LsglangSharp.Api.Http;
using LsglangSharp.Api.Native;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.OpenAi;

/// <summary>A chat answer in one piece.</summary>
internal sealed class ChatWhole
{
    private readonly ServerContext _server;
    private readonly ChatRequest _request;
    private readonly List<ChatChoice> _choices;
    private readonly StringBuilder[] _texts;
    private readonly List<int>[] _tokens;
    private readonly GenerationUsage[] _usages;

    public ChatWhole(ServerContext server, ChatRequest request, List<ChatChoice> choices)
    {
        _server = server;
        _request = request;
        _choices = choices;
        _texts = [.. choices.Select(_ => new StringBuilder())];
        _tokens = [.. choices.Select(_ => new List<int>())];
        _usages = new GenerationUsage[choices.Count];
    }

    public async Task CollectAsync(Generations generations, CancellationToken cancel)
    {
        await foreach (var (index, chunk) in generations.ReadWholeAsync(cancel))
        {
            _choices[index].Add(chunk);
            _texts[index].Append(chunk.Text);
            _tokens[index].AddRange(chunk.Tokens);
            _usages[index] = chunk.Usage;
        }
    }

    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("id"u8, _request.Id);
        json.WriteString("object"u8, "chat.completion"u8);
        json.WriteNumber("created"u8, _server.UnixSeconds);
        json.WriteString("model"u8, _request.Model);
        json.WriteStartArray("choices"u8);
        foreach (var choice in _choices)
        {
            WriteChoice(json, choice);
        }

        json.WriteEndArray();
        json.WritePropertyName("usage"u8);
        Usage.Sum(_choices.Select(choice => choice.Usage), _choices.Count).Write(json, _server.Options.CacheReport);
        json.WriteStartObject("metadata"u8);
        json.WriteString("weight_version"u8, _server.Model.WeightVersion);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private void WriteChoice(Utf8JsonWriter json, ChatChoice choice)
    {
        var piece = AnswerParsers.ParseWhole(_server, _request, _texts[choice.Index].ToString());
        if (_request.Reasoning.NonEmptyContent && piece.Text.Length == 0)
        {
            piece = piece with { Text = piece.Reasoning, Reasoning = "" };
        }

        choice.HasCalls = piece.Calls.Count > 0;
        var finish = choice.FinishName();
        json.WriteStartObject();
        json.WriteNumber("index"u8, choice.Index);
        WriteMessage(json, piece);
        ChatLogprobs.Write(json, _request.Logprobs ? choice.TakeLogprobs() : null, _server.Model.Text);
        json.WriteString("finish_reason"u8, finish);
        FinishReason.WriteMatched(json, finish == FinishReason.Stop ? choice.Finish : null);
        WriteExtras(json, choice);
        json.WriteEndObject();
    }

    private void WriteMessage(Utf8JsonWriter json, AnswerPiece piece)
    {
        json.WriteStartObject("message"u8);
        json.WriteString("role"u8, "assistant"u8);
        json.WriteString("content"u8, piece.Text);
        json.WriteString("reasoning_content"u8, piece.Reasoning.Length > 0 ? piece.Reasoning : null);
        if (piece.Calls.Count == 0)
        {
            json.WriteNull("tool_calls"u8);
            json.WriteEndObject();
            return;
        }

        json.WriteStartArray("tool_calls"u8);
        foreach (var (position, call) in piece.Calls.Index())
        {
            json.WriteStartObject();
            json.WriteString(
                "id"u8,
                CallIds.New(_server.ToolCallParser, call.Name ?? "", position, _request.EarlierCalls));
            json.WriteNumber("index"u8, call.Index);
            json.WriteString("type"u8, "function"u8);
            json.WriteStartObject("function"u8);
            json.WriteString("name"u8, call.Name);
            json.WriteString("arguments"u8, call.Arguments);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private void WriteExtras(Utf8JsonWriter json, ChatChoice choice)
    {
        if (_request.ReturnPromptTokens)
        {
            TokenLists.Write(json, "prompt_token_ids"u8, _request.Prompt);
        }

        if (_request.ReturnTokens)
        {
            TokenLists.Write(json, "response_token_ids"u8, _tokens[choice.Index]);
        }

        if (_request.ReturnMetaInfo)
        {
            json.WriteStartObject("meta_info"u8);
            MetaInfo.WriteCommon(
                json,
                RequestIds.ForChoice(_request.Id, choice.Index),
                _usages[choice.Index],
                choice.Finish,
                choice.Usage.ReasoningTokens,
                _server);
            json.WriteEndObject();
        }
    }
}
