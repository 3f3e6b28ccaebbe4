using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.Http;

/// <summary>Reads a request's body as one JSON object and says precisely what is wrong with it if it is not one.</summary>
internal static class RequestBody
{
    /// <summary>Tool schemas nest; nothing that a person writes nests deeper than this.</summary>
    private const int DepthMax = 128;

    /// <summary>
    /// A client that sends too much mostly reads the answer only when all is sent: that much beyond the limit is read and
    /// thrown away, so that the client sees the 413 and not a broken connection.
    /// </summary>
    private const long DiscardedBytesMax = 1L << 30;

    private const int BytesFirst = 16 << 10;

    private static readonly JsonDocumentOptions _json = new() { MaxDepth = DepthMax, AllowDuplicateProperties = false };

    /// <summary>The body as a document; an absent body is an empty object where that is allowed.</summary>
    public static async Task<JsonDocument> ReadAsync(
        HttpContext context,
        long bytesMax,
        bool jsonTypeRequired,
        bool mayBeEmpty = false)
    {
        if (jsonTypeRequired)
        {
            RequireJsonType(context.Request.ContentType);
        }

        var bytes = await ReadBytesAsync(context, bytesMax);
        if (mayBeEmpty && bytes.IsEmpty)
        {
            return JsonDocument.Parse("{}");
        }

        return Parse(bytes);
    }

    internal static JsonDocument Parse(ReadOnlyMemory<byte> bytes)
    {
        if (bytes.Span.StartsWith("\uFEFF"u8))
        {
            bytes = bytes[3..];
        }

        if (bytes.IsEmpty)
        {
            throw Malformed("it is empty, a JSON object is expected.");
        }

        RequireUtf8(bytes.Span);
        JsonDocument document;
        try
        {
            RequireWholeCharacters(bytes.Span);
            document = JsonDocument.Parse(bytes, _json);
        }
        catch (JsonException e)
        {
            throw Malformed(Explain(e));
        }

        if (document.RootElement.ValueKind != JsonValueKind.Object)
        {
            var kind = Fields.NameOf(document.RootElement);
            document.Dispose();
            throw new RequestException($"The request body must be a JSON object, got {kind}.");
        }

        return document;
    }

    private static void RequireJsonType(string? contentType)
    {
        var type = contentType.AsSpan();
        if (type.IndexOf(';') is var end and >= 0)
        {
            type = type[..end];
        }

        if (!type.Trim().Equals("application/json", StringComparison.OrdinalIgnoreCase))
        {
            var given = string.IsNullOrEmpty(contentType) ? "none" : $"'{contentType}'";
            throw new RequestException($"The Content-Type must be application/json, got {given}.");
        }
    }

    private static async Task<ReadOnlyMemory<byte>> ReadBytesAsync(HttpContext context, long bytesMax)
    {
        var request = context.Request;
        if (request.ContentLength > bytesMax)
        {
            await RefuseAsync(context, bytesMax);
        }

        // Memory follows what has come, not what was announced.
        var most = (int)Math.Min(request.ContentLength ?? long.MaxValue, Math.Min(bytesMax + 1, Array.MaxLength));
        var buffer = new byte[Math.Min(most, BytesFirst)];
        var filled = 0;
        while (filled < most)
        {
            if (filled == buffer.Length)
            {
                Array.Resize(ref buffer, (int)Math.Min(buffer.Length * 2L, most));
            }

            var read = await request.Body.ReadAsync(buffer.AsMemory(filled), context.RequestAborted);
            if (read == 0)
            {
                break;
            }

            filled += read;
        }

        if (filled > bytesMax)
        {
            await RefuseAsync(context, bytesMax);
        }

        return buffer.AsMemory(0, filled);
    }

    private static async Task RefuseAsync(HttpContext context, long bytesMax)
    {
        context.Response.Headers.Connection = "close";
        var waitsForConsent = context.Request.Headers.Expect.ToString().Contains(
            "100-continue",
            StringComparison.OrdinalIgnoreCase);
        if (!waitsForConsent)
        {
            await DiscardAsync(context);
        }

        var length = context.Request.ContentLength is { } bytes ? $" of {bytes} bytes" : "";
        throw new RequestException(new Failure(
            413, $"The request body{length} is larger than this server's limit of {bytesMax} bytes.", null, "request_too_large"));
    }

    private static async Task DiscardAsync(HttpContext context)
    {
        var scrap = ArrayPool<byte>.Shared.Rent(64 * 1024);
        try
        {
            long discarded = 0;
            int read;
            do
            {
                read = await context.Request.Body.ReadAsync(scrap, context.RequestAborted);
                discarded += read;
            }
            while (read > 0 && discarded < DiscardedBytesMax);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(scrap);
        }
    }

    private static void RequireUtf8(ReadOnlySpan<byte> bytes)
    {
        if (Utf8.IsValid(bytes))
        {
            return;
        }

        var at = 0;
        while (Rune.DecodeFromUtf8(bytes[at..], out _, out var used) == OperationStatus.Done)
        {
            at += used;
        }

        throw Malformed($"it is not valid UTF-8 at byte {at} (0x{bytes[at]:x2}).");
    }

    /// <summary>An escape such as \ud800 without its other half passes the parser and fails whoever reads the string.</summary>
    private static void RequireWholeCharacters(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IndexOf("\\ud"u8) < 0 && bytes.IndexOf("\\uD"u8) < 0)
        {
            return;
        }

        var reader = new Utf8JsonReader(bytes, new JsonReaderOptions { MaxDepth = DepthMax });
        while (reader.Read())
        {
            if (reader.TokenType is not (JsonTokenType.String or JsonTokenType.PropertyName) || !reader.ValueIsEscaped)
            {
                continue;
            }

            try
            {
                reader.GetString();
            }
            catch (InvalidOperationException)
            {
                throw Malformed($"the string at byte {reader.TokenStartIndex} holds half of a surrogate pair.");
            }
        }
    }

    private static string Explain(JsonException e)
    {
        var reason = e.Message;
        var details = reason.IndexOf(" LineNumber:", StringComparison.Ordinal);
        if (details < 0)
        {
            details = reason.IndexOf(" Path:", StringComparison.Ordinal);
        }

        if (details >= 0)
        {
            reason = reason[..details];
        }

        reason = reason.TrimEnd('.');
        return e.LineNumber is { } line ? $"{reason} (line {line + 1}, byte {e.BytePositionInLine + 1})." : $"{reason}.";
    }

    private static RequestException Malformed(string reason) =>
        new(new Failure(400, $"The request body is not valid JSON: {reason}", null, "invalid_json"));
}
