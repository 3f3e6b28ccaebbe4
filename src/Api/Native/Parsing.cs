using System.Text.Json;
using LsglangSharp.Api.Http;
using LsglangSharp.Api.OpenAi;
using LsglangSharp.Runtime.Parsing;
using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.Native;

/// <summary>/parse_function_call and /separate_reasoning: the parsers by themselves, on a text that is complete.</summary>
internal sealed class Parsing(ServerContext server)
{
    public async Task CallsAsync(HttpContext context)
    {
        using var body = await RequestBody.ReadAsync(context, server.Options.RequestBytesMax, jsonTypeRequired: false);
        var request = new Fields(body.RootElement);
        var text = request.Text("text") ?? throw request.Missing("text", "a string");
        var tools = Tools.Read(request, []);
        var parser = Known(request, "tool_call_parser", server.ToolCallParser, ToolCallParsers.Names);
        var result = ToolCallParsers.ParseWhole(parser, text, tools.Offered);
        await JsonResponse.WriteAsync(context, StatusCodes.Status200OK, json =>
        {
            json.WriteStartObject();
            json.WriteString("normal_text"u8, result.Text);
            json.WriteStartArray("calls"u8);
            foreach (var call in result.Calls)
            {
                json.WriteStartObject();
                json.WriteNumber("tool_index"u8, call.Index);
                json.WriteString("name"u8, call.Name);
                json.WriteString("parameters"u8, call.Arguments);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    public async Task ReasoningAsync(HttpContext context)
    {
        using var body = await RequestBody.ReadAsync(context, server.Options.RequestBytesMax, jsonTypeRequired: false);
        var request = new Fields(body.RootElement);
        var text = request.Text("text") ?? throw request.Missing("text", "a string");
        var parser = Known(request, "reasoning_parser", server.ReasoningParser, ReasoningParsers.Names);
        var (thoughts, rest) = ReasoningParsers.ParseWhole(parser, text);
        var blocks = request.Flag("return_blocks") ?? false;
        await JsonResponse.WriteAsync(context, StatusCodes.Status200OK, json =>
        {
            json.WriteStartObject();
            json.WriteString("reasoning_text"u8, thoughts);
            json.WriteString("text"u8, rest);
            if (blocks)
            {
                WriteBlocks(json, thoughts, rest);
            }

            json.WriteEndObject();
        });
    }

    private static void WriteBlocks(Utf8JsonWriter json, string thoughts, string rest)
    {
        WriteBlock("reasoning_blocks"u8, thoughts);
        WriteBlock("text_blocks"u8, rest);
        json.WriteStartArray("blocks"u8);
        WriteTyped("reasoning"u8, thoughts);
        WriteTyped("text"u8, rest);
        json.WriteEndArray();

        void WriteBlock(ReadOnlySpan<byte> name, string text)
        {
            json.WriteStartArray(name);
            if (text.Length > 0)
            {
                json.WriteStringValue(text);
            }

            json.WriteEndArray();
        }

        void WriteTyped(ReadOnlySpan<byte> type, string text)
        {
            if (text.Length == 0)
            {
                return;
            }

            json.WriteStartObject();
            json.WriteString("type"u8, type);
            json.WriteString("text"u8, text);
            json.WriteEndObject();
        }
    }

    private static string Known(Fields request, string name, string? usual, IReadOnlyList<string> known)
    {
        var parser = request.Text(name) ?? usual ?? throw request.Missing(name, $"one of {string.Join(", ", known)}");
        return known.Contains(parser, StringComparer.OrdinalIgnoreCase)
            ? parser
            : throw request.Bad(name, $"must be one of {string.Join(", ", known)}, got '{parser}'");
    }
}
