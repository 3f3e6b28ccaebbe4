using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.Sampling;
using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.Native;

/// <summary>/health and /health_generate: whether the engine still answers.</summary>
internal sealed class HealthProbe(ServerContext server)
{
    private static readonly TimeSpan _look = TimeSpan.FromSeconds(1);

    public async Task CheckAsync(HttpContext context)
    {
        if (server.Options.HealthGenerates)
        {
            await GenerateAsync(context);
            return;
        }

        await JsonResponse.WriteEmptyAsync(
            context,
            server.Phase.IsReady && server.Engine.Load.Fault is null ? 200 : 503);
    }

    public async Task GenerateAsync(HttpContext context)
    {
        var healthy = server.Phase.IsReady && server.Engine.Load.Fault is null && await AnswersAsync(context.RequestAborted);
        await JsonResponse.WriteEmptyAsync(context, healthy ? 200 : 503);
    }

    /// <summary>One token, so that the first request pays for nothing that happens once.</summary>
    public static async Task WarmUpAsync(ServerContext server, CancellationToken cancel)
    {
        try
        {
            await ReadAsync(server.Engine.Submit(OneToken()), cancel);
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            // Asked to stop while it started.
        }
    }

    /// <summary>Any step of the engine will do: where it is busy, the token of the probe may have to wait.</summary>
    private async Task<bool> AnswersAsync(CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(server.Options.HealthLimit);
        var steps = server.Engine.Load.Steps;
        var answer = ReadAsync(server.Engine.Submit(OneToken()), limit.Token);
        try
        {
            while (true)
            {
                if (await Task.WhenAny(answer, Task.Delay(_look, limit.Token)) == answer && await answer)
                {
                    return true;
                }

                if (server.Engine.Load.Steps > steps)
                {
                    return true;
                }

                if (limit.IsCancellationRequested || server.Engine.Load.Fault is not null)
                {
                    return false;
                }

                if (answer.IsCompleted)
                {
                    await Task.Delay(_look, limit.Token);
                }
            }
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            return false;
        }
        finally
        {
            await limit.CancelAsync();
        }
    }

    private static GenerationRequest OneToken() => new()
    {
        Id = $"HEALTH_CHECK_{Guid.NewGuid():N}",
        Prompt = [0],
        Sampling = new SamplingOptions { MaxNewTokens = 1, Temperature = 0 },
    };

    private static async Task<bool> ReadAsync(Submission submission, CancellationToken cancel)
    {
        if (submission.Chunks is null)
        {
            return false;
        }

        await foreach (var chunk in submission.Chunks.WithCancellation(cancel))
        {
            if (chunk.Finish is not (null or GenerationFinish.Aborted))
            {
                return true;
            }
        }

        return false;
    }
}
