using System.Text;
using System.Text.Json;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.Native;

/// <summary>One answer of a /generate request: everything so far, since its streams repeat everything each time.</summary>
internal sealed class GenerateItem(ServerContext server, GenerateRequest request, Generations generations, int index)
{
    private readonly GenerationRequest _generation = request.Generations[index];
    private readonly StringBuilder _text = new();
    private readonly List<int> _tokens = [];
    private readonly List<TokenLogprob> _logprobs = [];
    private IReadOnlyList<TokenLogprob> _promptLogprobs = [];
    private GenerationUsage _usage;
    private GenerationFinish? _finish;

    public void Add(GenerationChunk chunk)
    {
        _text.Append(chunk.Text);
        _tokens.AddRange(chunk.Tokens);
        _logprobs.AddRange(chunk.Logprobs);
        _promptLogprobs = chunk.PromptLogprobs ?? _promptLogprobs;
        _usage = chunk.Usage;
        _finish = chunk.Finish ?? _finish;
    }

    /// <summary>What has been written need not be written again.</summary>
    public void Forget()
    {
        _text.Clear();
        _tokens.Clear();
        _logprobs.Clear();
        _promptLogprobs = [];
    }

    /// <summary>The answer so far; the index tells the answers of a stream apart.</summary>
    public void Write(Utf8JsonWriter json, bool withIndex)
    {
        json.WriteStartObject();
        if (server.Model.Text is not null)
        {
            json.WriteString("text"u8, _text.ToString());
        }

        OpenAi.TokenLists.Write(json, "output_ids"u8, _tokens);
        json.WriteStartObject("meta_info"u8);
        MetaInfo.WriteCommon(json, _generation.Id, _usage, _finish, 0, server);
        if (_generation.ReturnLogprobs)
        {
            WriteLogprobs(json);
        }

        if (_finish is not null)
        {
            json.WriteNumber("e2e_latency"u8, generations.ElapsedSeconds(index));
        }

        json.WriteEndObject();
        if (withIndex)
        {
            json.WriteNumber("index"u8, index);
        }

        json.WriteEndObject();
    }

    private void WriteLogprobs(Utf8JsonWriter json)
    {
        WriteTokens(json, "input_token_logprobs"u8, _promptLogprobs);
        WriteTokens(json, "output_token_logprobs"u8, _logprobs);
        if (_generation.TopLogprobs > 0)
        {
            WriteTops(json, "input_top_logprobs"u8, _promptLogprobs);
            WriteTops(json, "output_top_logprobs"u8, _logprobs);
        }

        json.WriteNumber("output_token_logprobs_length"u8, _logprobs.Count);
    }

    private void WriteTokens(Utf8JsonWriter json, ReadOnlySpan<byte> name, IReadOnlyList<TokenLogprob> tokens)
    {
        json.WriteStartArray(name);
        foreach (var token in tokens)
        {
            WriteTriple(json, token.Logprob, token.Token);
        }

        json.WriteEndArray();
    }

    private void WriteTops(Utf8JsonWriter json, ReadOnlySpan<byte> name, IReadOnlyList<TokenLogprob> tokens)
    {
        json.WriteStartArray(name);
        foreach (var token in tokens)
        {
            if (token.Top is not { Count: > 0 } tops)
            {
                json.WriteNullValue();
                continue;
            }

            json.WriteStartArray();
            foreach (var top in tops)
            {
                WriteTriple(json, top.Logprob, top.Token);
            }

            json.WriteEndArray();
        }

        json.WriteEndArray();
    }

    private void WriteTriple(Utf8JsonWriter json, float? logprob, int token)
    {
        json.WriteStartArray();
        if (logprob is { } value)
        {
            json.WriteNumberValue(JsonResponse.Finite(value));
        }
        else
        {
            json.WriteNullValue();
        }

        json.WriteNumberValue(token);
        if (request.TextInLogprobs)
        {
            json.WriteStringValue(server.Model.Text!.Decode([token], skipSpecialTokens: false));
        }
        else
        {
            json.WriteNullValue();
        }

        json.WriteEndArray();
    }
}
