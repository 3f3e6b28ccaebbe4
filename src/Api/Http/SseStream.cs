using System.IO.Pipelines;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.Http;

/// <summary>
/// Server-sent events, written straight into the connection's buffer. Events are flushed together where several are ready at
/// once; a client that does not read stops its own producer, nobody else's.
/// </summary>
internal sealed class SseStream : IDisposable
{
    private const string ContentType = "text/event-stream; charset=utf-8";

    // As much as one write to a socket takes well.
    private const int UnflushedBytesMax = 16 << 10;

    private readonly HttpContext _context;
    private readonly PipeWriter _output;
    private readonly Utf8JsonWriter _json;
    private long _unflushedBytes;

    private SseStream(HttpContext context)
    {
        _context = context;
        _output = context.Response.BodyWriter;
        _json = new Utf8JsonWriter(_output, JsonResponse.Options);
    }

    /// <summary>Enough is waiting that it should go out before more is added.</summary>
    public bool IsFull => _unflushedBytes >= UnflushedBytesMax;

    public static SseStream Begin(HttpContext context)
    {
        var response = context.Response;
        response.StatusCode = StatusCodes.Status200OK;
        response.ContentType = ContentType;
        response.Headers.CacheControl = "no-cache";
        // Asks proxies such as nginx not to collect the stream.
        response.Headers["X-Accel-Buffering"] = "no";
        return new SseStream(context);
    }

    public void Write<TState>(TState state, Action<Utf8JsonWriter, TState> write)
    {
        WriteRaw("data: "u8);
        _json.Reset(_output);
        write(_json, state);
        _json.Flush();
        _unflushedBytes += _json.BytesCommitted;
        WriteRaw("\n\n"u8);
    }

    /// <summary>Whether a stream has begun, so that an error can only be an event.</summary>
    public static bool HasBegun(HttpContext context) => context.Response.ContentType == ContentType;

    /// <summary>Ends a stream that somebody else began.</summary>
    public static async Task FailAsync(HttpContext context, Failure failure)
    {
        using var events = new SseStream(context);
        await events.FailAsync(failure);
    }

    public void WriteDone() => WriteRaw("data: [DONE]\n\n"u8);

    /// <summary>An error after the first byte: an event of its own, and the end.</summary>
    public async Task FailAsync(Failure failure)
    {
        Write(failure, static (json, failure) => failure.Write(json));
        WriteDone();
        await FlushAsync();
    }

    /// <summary>Throws if the client has gone.</summary>
    public async ValueTask FlushAsync()
    {
        _unflushedBytes = 0;
        var result = await _output.FlushAsync(_context.RequestAborted);
        if (result.IsCompleted)
        {
            throw new ClientGoneException();
        }
    }

    public void Dispose() => _json.Dispose();

    private void WriteRaw(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_output.GetSpan(bytes.Length));
        _output.Advance(bytes.Length);
        _unflushedBytes += bytes.Length;
    }
}

/// <summary>Nobody reads the answer any more.</summary>
internal sealed class ClientGoneException() : OperationCanceledException("The client has gone.");
