using System.Globalization;
using System.Text.Json;
using LsglangSharp.Runtime.Generation;
using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.Http;

/// <summary>What a client is told when its request cannot be served, in OpenAI's nested shape.</summary>
internal sealed record Failure(int Status, string Message, string? Parameter = null, string? Code = null)
{
    private const int RetryAfterSeconds = 1;

    // The status that the engine gives to requests that were aborted on demand.
    private const int AbortedOnDemand = 499;

    public string Type => Status switch
    {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        >= 500 => "server_error",
        _ => "invalid_request_error",
    };

    public static Failure From(Rejection rejection) => new(rejection.Status, rejection.Message, rejection.Parameter);

    /// <summary>The failure in an end, if it is one: an abort that somebody asked for is an answer like others.</summary>
    public static Failure? From(GenerationFinish? finish) =>
        finish is GenerationFinish.Aborted { Status: >= 400 and not AbortedOnDemand } aborted
            ? new(aborted.Status, aborted.Message)
            : null;

    public static Failure NotSupported(string parameter, string what) =>
        new(400, $"'{parameter}' is not supported: {what}", parameter, "unsupported_parameter");

    /// <summary>The error object itself, as the value of a property or the whole of an SSE event.</summary>
    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteStartObject("error"u8);
        json.WriteString("message"u8, Message);
        json.WriteString("type"u8, Type);
        json.WriteString("param"u8, Parameter);
        json.WriteString("code"u8, Code);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    public Task WriteAsync(HttpContext context)
    {
        if (Status is 503 or 429)
        {
            context.Response.Headers.RetryAfter = RetryAfterSeconds.ToString(CultureInfo.InvariantCulture);
        }

        if (Status == 401)
        {
            context.Response.Headers.WWWAuthenticate = "Bearer";
        }

        return JsonResponse.WriteAsync(context, Status, Write);
    }
}

/// <summary>Ends the handling of a request with a failure; thrown while a request is read, caught once, on top.</summary>
internal sealed class RequestException(Failure failure) : Exception(failure.Message)
{
    public RequestException(string message, string? parameter = null)
        : this(new Failure(400, message, parameter))
    {
    }

    public Failure Failure { get; } = failure;
}
