using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.Http;

/// <summary>Lets pages of other origins call the server; by default all of them.</summary>
internal sealed class Cors(IReadOnlyList<string> origins)
{
    private const string PreflightSeconds = "600";

    private readonly bool _all = origins.Contains("*");

    /// <summary>Adds the headers; true if the request was a preflight and is answered.</summary>
    public bool Apply(HttpContext context)
    {
        var origin = context.Request.Headers.Origin.ToString();
        if (origin.Length == 0 || !(_all || origins.Contains(origin, StringComparer.OrdinalIgnoreCase)))
        {
            return false;
        }

        // The wildcard is not allowed together with credentials, so the caller's own origin is named.
        var headers = context.Response.Headers;
        headers.AccessControlAllowOrigin = origin;
        headers.AccessControlAllowCredentials = "true";
        headers.Vary = "Origin";
        if (!HttpMethods.IsOptions(context.Request.Method)
            || context.Request.Headers.AccessControlRequestMethod.Count == 0)
        {
            headers.AccessControlExposeHeaders = "*";
            return false;
        }

        headers.AccessControlAllowMethods = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT";
        headers.AccessControlAllowHeaders = context.Request.Headers.AccessControlRequestHeaders;
        headers.AccessControlMaxAge = PreflightSeconds;
        context.Response.StatusCode = StatusCodes.Status200OK;
        context.Response.ContentLength = 0;
        return true;
    }
}
