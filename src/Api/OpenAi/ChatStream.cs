using System.Text.Json;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.OpenAi;

/// <summary>The events of a streamed chat answer.</summary>
internal sealed class ChatStream(ServerContext server, ChatRequest request, IReadOnlyList<ChatChoice> choices)
    : ISseAnswer
{
    private readonly JsonEncodedText _id = JsonEncodedText.Encode(request.Id, JsonResponse.Options.Encoder);
    private readonly JsonEncodedText _model = JsonEncodedText.Encode(request.Model, JsonResponse.Options.Encoder);
    private readonly long _created = server.UnixSeconds;

    // The parsed form of a text event spells every key out, nulls included.
    private readonly bool _parsesCalls = request.Tools.MayCall && server.ToolCallParser is not null;

    private enum Kind
    {
        Role,
        Thoughts,
        Content,
    }

    public void Begin(SseStream events)
    {
    }

    public void Add(SseStream events, int index, GenerationChunk chunk)
    {
        var choice = choices[index];
        choice.Add(chunk);
        if (!choice.HasBegun)
        {
            choice.HasBegun = true;
            WriteText(events, choice, Kind.Role, "");
        }

        if (chunk.Text.Length > 0)
        {
            Emit(events, choice, choice.Parser.Push(chunk.Text));
        }

        if (chunk.Finish is not null)
        {
            Emit(events, choice, choice.Parser.Finish());
            if (request.Reasoning.NonEmptyContent && !choice.HasContent && choice.Thoughts.Length > 0)
            {
                WriteText(events, choice, Kind.Content, choice.Thoughts);
            }
        }
    }

    public void End(SseStream events)
    {
        foreach (var choice in choices)
        {
            events.Write(
                (Stream: this, Choice: choice),
                static (json, state) => state.Stream.WriteFinish(json, state.Choice));
        }

        if (request.Stream.IncludeUsage)
        {
            events.Write(this, static (json, stream) => stream.WriteUsage(json));
        }
    }

    private void Emit(SseStream events, ChatChoice choice, AnswerPiece piece)
    {
        if (piece.Reasoning is { Length: > 0 } thoughts)
        {
            if (request.Reasoning.NonEmptyContent)
            {
                choice.Thoughts += thoughts;
            }

            WriteText(events, choice, Kind.Thoughts, thoughts);
        }

        if (piece.Text is { Length: > 0 } text)
        {
            choice.HasContent = true;
            if (_parsesCalls)
            {
                events.Write(
                    (Stream: this, Choice: choice, Text: text),
                    static (json, state) => state.Stream.WriteParsed(json, state.Choice, state.Text, null));
            }
            else
            {
                WriteText(events, choice, Kind.Content, text);
            }
        }

        foreach (var call in piece.Calls)
        {
            choice.HasCalls = true;
            events.Write(
                (Stream: this, Choice: choice, Call: call),
                static (json, state) => state.Stream.WriteParsed(json, state.Choice, null, state.Call));
        }
    }

    private void WriteText(SseStream events, ChatChoice choice, Kind kind, string text) => events.Write(
        (Stream: this, Choice: choice, Kind: kind, Text: text),
        static (json, state) => state.Stream.WriteText(json, state.Choice, state.Kind, state.Text));

    private void WriteText(Utf8JsonWriter json, ChatChoice choice, Kind kind, string text)
    {
        WriteHead(json, choice);
        if (kind == Kind.Thoughts)
        {
            json.WriteString("reasoning_content"u8, text);
        }
        else
        {
            json.WriteNull("reasoning_content"u8);
            if (kind == Kind.Role)
            {
                json.WriteString("role"u8, "assistant"u8);
            }

            json.WriteString("content"u8, text);
        }

        json.WriteEndObject();
        WriteTail(
            json,
            choice,
            carriesLogprobs: kind != Kind.Role,
            finish: null,
            writesUsage: request.Stream.ContinuousUsage);
    }

    private void WriteParsed(Utf8JsonWriter json, ChatChoice choice, string? text, CallPiece? piece)
    {
        WriteHead(json, choice);
        json.WriteNull("role"u8);
        json.WriteString("content"u8, text);
        json.WriteNull("reasoning_content"u8);
        if (piece is { } call)
        {
            json.WriteStartArray("tool_calls"u8);
            json.WriteStartObject();
            json.WriteString(
                "id"u8,
                call.Name is { } name
                    ? CallIds.New(server.ToolCallParser, name, call.Index, request.EarlierCalls)
                    : null);
            json.WriteNumber("index"u8, call.Index);
            json.WriteString("type"u8, "function"u8);
            json.WriteStartObject("function"u8);
            json.WriteString("name"u8, call.Name);
            json.WriteString("arguments"u8, call.Arguments);
            json.WriteEndObject();
            json.WriteEndObject();
            json.WriteEndArray();
        }
        else
        {
            json.WriteNull("tool_calls"u8);
        }

        json.WriteEndObject();
        WriteTail(json, choice, carriesLogprobs: true, finish: null, writesUsage: true);
    }

    private void WriteFinish(Utf8JsonWriter json, ChatChoice choice)
    {
        WriteHead(json, choice);
        json.WriteEndObject();
        WriteTail(json, choice, carriesLogprobs: true, finish: choice.FinishName(), writesUsage: true);
    }

    private void WriteUsage(Utf8JsonWriter json)
    {
        WriteTop(json);
        json.WriteStartArray("choices"u8);
        json.WriteEndArray();
        json.WritePropertyName("usage"u8);
        Usage.Sum(choices.Select(choice => choice.Usage), choices.Count).Write(json, server.Options.CacheReport);
        json.WriteEndObject();
    }

    private void WriteTop(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("id"u8, _id);
        json.WriteString("object"u8, "chat.completion.chunk"u8);
        json.WriteNumber("created"u8, _created);
        json.WriteString("model"u8, _model);
    }

    private void WriteHead(Utf8JsonWriter json, ChatChoice choice)
    {
        WriteTop(json);
        json.WriteStartArray("choices"u8);
        json.WriteStartObject();
        json.WriteNumber("index"u8, choice.Index);
        json.WriteStartObject("delta"u8);
    }

    private void WriteTail(
        Utf8JsonWriter json,
        ChatChoice choice,
        bool carriesLogprobs,
        string? finish,
        bool writesUsage)
    {
        var logprobs = request.Logprobs && carriesLogprobs ? choice.TakeLogprobs() : [];
        ChatLogprobs.Write(json, logprobs.Length > 0 ? logprobs : null, server.Model.Text);
        json.WriteString("finish_reason"u8, finish);
        FinishReason.WriteMatched(json, finish is null ? null : choice.Finish);
        json.WriteEndObject();
        json.WriteEndArray();
        if (request.Stream.ContinuousUsage)
        {
            json.WritePropertyName("usage"u8);
            choice.Usage.Write(json, server.Options.CacheReport);
        }
        else if (writesUsage)
        {
            json.WriteNull("usage"u8);
        }

        json.WriteEndObject();
    }
}
