using LsglangSharp.Api.Http;

namespace LsglangSharp.Api.Native;

/// <summary>The native part of the route table.</summary>
internal static class NativeRoutes
{
    private static readonly string[] _get = ["GET"];

    public static void AddTo(Routes routes, ServerContext server)
    {
        var health = new HealthProbe(server);
        routes.Add(new RouteEntry("/health", _get, Access.Open, health.CheckAsync));
        routes.Add(new RouteEntry("/health_generate", _get, Access.Open, health.GenerateAsync));
    }
}
