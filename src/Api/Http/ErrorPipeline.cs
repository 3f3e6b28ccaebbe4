using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace LsglangSharp.Api.Http;

/// <summary>What happens to every request: CORS, keys, the route, and every failure turned into an answer.</summary>
internal sealed class ErrorPipeline(ServerContext server, Routes routes)
{
    private readonly AccessKeys _keys = new(server.Options.ApiKey, server.Options.AdminApiKey);
    private readonly Cors _cors = new(server.Options.CorsOrigins);

    public async Task InvokeAsync(HttpContext context)
    {
        try
        {
            // The reader of the body applies the limit, with an answer that can be read.
            if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
            {
                limit.MaxRequestBodySize = null;
            }

            if (!_cors.Apply(context))
            {
                await DispatchAsync(context);
            }
        }
        catch (RequestException e)
        {
            await FailAsync(context, e.Failure);
        }
        catch (BadHttpRequestException e)
        {
            await FailAsync(context, new Failure(e.StatusCode, $"The request could not be read: {e.Message}"));
        }
        catch (ClientGoneException)
        {
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client has left; there is nobody to answer.
        }
        catch (Exception e) when (!context.RequestAborted.IsCancellationRequested)
        {
            server.Options.Log($"{context.Request.Method} {context.Request.Path} failed: {e}");
            await FailAsync(context, new Failure(500, "The server failed to handle this request; its log says why."));
        }
    }

    private async Task DispatchAsync(HttpContext context)
    {
        var path = context.Request.Path.Value ?? "/";
        var (route, failure) = routes.Find(context.Request.Method, path);
        if (_keys.Check(context, route?.Access ?? Access.Key) is { } refusal)
        {
            throw new RequestException(refusal);
        }

        if (route is null)
        {
            if (failure!.Status == StatusCodes.Status405MethodNotAllowed)
            {
                context.Response.Headers.Allow = routes.AllowedMethods(path);
            }

            throw new RequestException(failure);
        }

        await route.Handler(context);
    }

    private static Task FailAsync(HttpContext context, Failure failure)
    {
        if (SseStream.HasBegun(context))
        {
            return SseStream.FailAsync(context, failure);
        }

        if (context.Response.HasStarted)
        {
            context.Abort();
            return Task.CompletedTask;
        }

        return failure.WriteAsync(context);
    }
}
