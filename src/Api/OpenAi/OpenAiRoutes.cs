using LsglangSharp.Api.Http;

namespace LsglangSharp.Api.OpenAi;

/// <summary>The OpenAI-style part of the route table.</summary>
internal static class OpenAiRoutes
{
    public static void AddTo(Routes routes, ServerContext server)
    {
        var models = new Models(server);
        routes.Add(
            new RouteEntry("/v1/chat/completions", ["POST"], Access.Key, new ChatCompletions(server).HandleAsync));
        routes.Add(new RouteEntry("/v1/completions", ["POST"], Access.Key, new Completions(server).HandleAsync));
        routes.Add(new RouteEntry("/v1/models", ["GET"], Access.Key, models.ListAsync));
        routes.Add(new RouteEntry(Models.Prefix + "*", ["GET"], Access.Key, models.OneAsync));
    }
}
