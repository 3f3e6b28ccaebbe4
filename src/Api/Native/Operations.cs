using System.Globalization;
using LsglangSharp.Api.Http;
using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.Native;

/// <summary>What an operator can do to a running server.</summary>
internal sealed class Operations(ServerContext server)
{
    private const string Flushed =
        "Cache flushed.\nPlease check backend logs for more details. "
        + "(When there are running or waiting requests, the operation will not be performed.)\n";

    private const string NotFlushed = "Flush cache failed: there are running or waiting requests.\n";

    private static readonly TimeSpan _pollInterval = TimeSpan.FromMilliseconds(20);

    public async Task AbortAsync(HttpContext context)
    {
        using var body = await RequestBody.ReadAsync(
            context,
            server.Options.RequestBytesMax,
            jsonTypeRequired: false,
            mayBeEmpty: true);
        var request = new Fields(body.RootElement);
        var prefix = request.Text("rid") ?? "";
        if (request.Flag("abort_all") ?? false)
        {
            prefix = "";
        }
        else if (prefix.Length == 0)
        {
            throw request.Bad("rid", "is needed, or 'abort_all' to end every request");
        }

        server.Engine.Abort(prefix);
        await JsonResponse.WriteEmptyAsync(context, StatusCodes.Status200OK);
    }

    /// <summary>With ?timeout=SECONDS it waits that long for what runs to end.</summary>
    public async Task FlushCacheAsync(HttpContext context)
    {
        var query = context.Request.Query["timeout"].ToString();
        var seconds = 0.0;
        if (query.Length > 0
            && !(double.TryParse(query, CultureInfo.InvariantCulture, out seconds) && seconds is >= 0 and < 1e6))
        {
            throw new RequestException($"'timeout' must be a number of seconds, got '{query}'.", "timeout");
        }

        var started = server.Options.Clock.GetTimestamp();
        var flushed = server.Engine.TryFlushCache();
        while (!flushed && server.Options.Clock.GetElapsedTime(started).TotalSeconds < seconds)
        {
            await Task.Delay(_pollInterval, context.RequestAborted);
            flushed = server.Engine.TryFlushCache();
        }

        await JsonResponse.WriteTextAsync(context, flushed ? 200 : 400, flushed ? Flushed : NotFlushed);
    }
}
