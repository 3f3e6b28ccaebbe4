using System.Text.Json;
using LsglangSharp.Api.Http;
using LsglangSharp.Api.OpenAi;
using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.Native;

/// <summary>/tokenize and /detokenize.</summary>
internal sealed class Tokenize(ServerContext server)
{
    public async Task EncodeAsync(HttpContext context)
    {
        using var body = await RequestBody.ReadAsync(context, server.Options.RequestBytesMax, jsonTypeRequired: true);
        var request = new Fields(body.RootElement);
        server.Names.Resolve(request);
        var text = server.TextFor("Tokenizing", "prompt");
        var (lists, isBatch) = Encode(request, text);
        await JsonResponse.WriteAsync(context, StatusCodes.Status200OK, json => Write(json, lists, isBatch));
    }

    public async Task DecodeAsync(HttpContext context)
    {
        using var body = await RequestBody.ReadAsync(context, server.Options.RequestBytesMax, jsonTypeRequired: true);
        var request = new Fields(body.RootElement);
        server.Names.Resolve(request);
        var text = server.TextFor("Detokenizing", "tokens");
        var skip = request.Flag("skip_special_tokens") ?? true;
        var tokens = request.Any("tokens")
            ?? throw request.Missing("tokens", "a list of token ids or a list of such lists");
        if (tokens.ValueKind == JsonValueKind.Array && tokens.GetArrayLength() > 0
            && tokens[0].ValueKind == JsonValueKind.Array)
        {
            string[] texts = [.. Fields.ListOf(tokens, "tokens").Select(item => Decode(item.Value, item.Path))];
            await JsonResponse.WriteAsync(context, StatusCodes.Status200OK, json => WriteTexts(json, texts));
            return;
        }

        var one = Decode(tokens, "tokens");
        await JsonResponse.WriteAsync(context, StatusCodes.Status200OK, json =>
        {
            json.WriteStartObject();
            json.WriteString("text"u8, one);
            json.WriteEndObject();
        });

        string Decode(JsonElement list, string path)
        {
            var ids = Fields.TokensOf(list, path);
            var wrong = Array.FindIndex(ids, id => id < 0 || id >= server.Engine.Facts.Vocabulary);
            return wrong < 0
                ? text.Decode(ids, skip)
                : throw new RequestException(
                    $"'{path}[{wrong}]' must be in [0, {server.Engine.Facts.Vocabulary}), got {ids[wrong]}.", path);
        }
    }

    private (IReadOnlyList<int[]> Lists, bool IsBatch) Encode(Fields request, IModelText text)
    {
        if (request.Has("messages"))
        {
            return ([ChatPrompt.Read(request, server).Tokens], false);
        }

        var addSpecial = request.Flag("add_special_tokens") ?? true;
        var prompt = request.Any("prompt") ?? throw new RequestException(
            "One of 'prompt' and 'messages' is needed.", "prompt");
        var texts = request.Texts("prompt");
        return ([.. texts.Select(each => text.Encode(each, addSpecial))], prompt.ValueKind == JsonValueKind.Array);
    }

    private void Write(Utf8JsonWriter json, IReadOnlyList<int[]> lists, bool isBatch)
    {
        json.WriteStartObject();
        if (isBatch)
        {
            json.WriteStartArray("tokens"u8);
            foreach (var list in lists)
            {
                TokenLists.Write(json, list);
            }

            json.WriteEndArray();
            TokenLists.Write(json, "count"u8, [.. lists.Select(list => list.Length)]);
        }
        else
        {
            TokenLists.Write(json, "tokens"u8, lists[0]);
            json.WriteNumber("count"u8, lists[0].Length);
        }

        json.WriteNumber("max_model_len"u8, server.Engine.Facts.ContextLength);
        json.WriteEndObject();
    }

    private static void WriteTexts(Utf8JsonWriter json, string[] texts)
    {
        json.WriteStartObject();
        json.WriteStartArray("text"u8);
        foreach (var text in texts)
        {
            json.WriteStringValue(text);
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }
}
