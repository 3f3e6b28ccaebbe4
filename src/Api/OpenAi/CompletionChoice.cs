using System.Text.Json;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.OpenAi;

/// <summary>One choice of a completion: what has come and not been sent yet.</summary>
internal sealed class CompletionChoice(ServerContext server, CompletionRequest request, int index)
{
    private readonly List<TokenLogprob> _logprobs = [];
    private readonly List<int> _tokens = [];
    private readonly System.Text.StringBuilder _text = new();
    private bool _echoes = request.Echo;

    public int Index => index;

    public Usage Usage { get; private set; }

    public GenerationFinish? Finish { get; private set; }

    /// <summary>There is something that an event should carry.</summary>
    public bool HasNews => _text.Length > 0 || Finish is not null;

    public void Add(GenerationChunk chunk)
    {
        Usage = Usage.Of(chunk.Usage);
        Finish = chunk.Finish;
        if (_echoes)
        {
            _echoes = false;
            var prompt = request.PromptOf(index);
            _text.Append(prompt.Text ?? server.Model.Text!.Decode(prompt.Tokens, skipSpecialTokens: true));
        }

        _text.Append(chunk.Text);
        _tokens.AddRange(chunk.Tokens);
        _logprobs.AddRange(chunk.PromptLogprobs ?? []);
        _logprobs.AddRange(chunk.Logprobs);
    }

    /// <summary>Writes the choice with everything new.</summary>
    public void WriteNews(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteNumber("index"u8, index);
        json.WriteString("text"u8, _text.ToString());
        WriteLogprobs(json);
        json.WriteString("finish_reason"u8, Finish is null ? null : FinishReason.NameOf(Finish));
        FinishReason.WriteMatched(json, Finish);
        if (request.ReturnTokens)
        {
            TokenLists.Write(json, "token_ids"u8, _tokens);
            TokenLists.Write(json, "prompt_token_ids"u8, request.PromptOf(index).Tokens);
        }

        json.WriteEndObject();
        _text.Clear();
        _tokens.Clear();
        _logprobs.Clear();
    }

    private void WriteLogprobs(Utf8JsonWriter json)
    {
        if (request.Logprobs is null)
        {
            json.WriteNull("logprobs"u8);
            return;
        }

        var text = server.Model.Text!;
        json.WriteStartObject("logprobs"u8);
        WriteList("text_offset"u8, static (json, _, _) => json.WriteNumberValue(-1));
        WriteList("token_logprobs"u8, static (json, token, _) => WriteLogprob(json, token.Logprob));
        WriteList(
            "tokens"u8,
            static (json, token, text) => json.WriteStringValue(text.Decode([token.Token], skipSpecialTokens: false)));
        WriteList("top_logprobs"u8, WriteTop);
        json.WriteEndObject();

        void WriteList(ReadOnlySpan<byte> name, Action<Utf8JsonWriter, TokenLogprob, IModelText> write)
        {
            json.WriteStartArray(name);
            foreach (var token in _logprobs)
            {
                write(json, token, text);
            }

            json.WriteEndArray();
        }
    }

    private static void WriteLogprob(Utf8JsonWriter json, float? logprob)
    {
        if (logprob is { } value)
        {
            json.WriteNumberValue(JsonResponse.Finite(value));
        }
        else
        {
            json.WriteNullValue();
        }
    }

    private static void WriteTop(Utf8JsonWriter json, TokenLogprob token, IModelText text)
    {
        if (token.Top is not { Count: > 0 } top)
        {
            json.WriteNullValue();
            return;
        }

        // Different tokens can have one text; the most probable one keeps the name.
        json.WriteStartObject();
        foreach (var entry in top.DistinctBy(entry => text.Decode([entry.Token], skipSpecialTokens: false)))
        {
            json.WriteNumber(text.Decode([entry.Token], skipSpecialTokens: false), JsonResponse.Finite(entry.Logprob));
        }

        json.WriteEndObject();
    }
}
