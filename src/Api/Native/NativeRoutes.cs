using LsglangSharp.Api.Http;
using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.Native;

/// <summary>The native part of the route table.</summary>
internal static class NativeRoutes
{
    private static readonly string[] _get = ["GET", "HEAD"];
    private static readonly string[] _post = ["POST"];
    private static readonly string[] _postOrPut = ["POST", "PUT"];
    private static readonly string[] _getOrPost = ["GET", "POST"];

    public static void AddTo(Routes routes, ServerContext server)
    {
        AddGeneration(routes, server);
        AddInfo(routes, server);
        var operations = new Operations(server);
        var parsing = new Parsing(server);
        routes.Add(new RouteEntry("/parse_function_call", _postOrPut, Access.Key, parsing.CallsAsync));
        routes.Add(new RouteEntry("/separate_reasoning", _postOrPut, Access.Key, parsing.ReasoningAsync));
        routes.Add(new RouteEntry("/abort_request", _post, Access.Operator, operations.AbortAsync));
        routes.Add(new RouteEntry("/flush_cache", _getOrPost, Access.Operator, operations.FlushCacheAsync));
    }

    private static void AddGeneration(Routes routes, ServerContext server)
    {
        var tokenize = new Tokenize(server);
        routes.Add(new RouteEntry("/generate", _postOrPut, Access.Key, new Generate(server).HandleAsync));
        foreach (var prefix in (ReadOnlySpan<string>)["", "/v1"])
        {
            routes.Add(new RouteEntry(prefix + "/tokenize", _post, Access.Key, tokenize.EncodeAsync));
            routes.Add(new RouteEntry(prefix + "/detokenize", _post, Access.Key, tokenize.DecodeAsync));
        }
    }

    private static void AddInfo(Routes routes, ServerContext server)
    {
        var health = new HealthProbe(server);
        var info = new Info(server);
        routes.Add(new RouteEntry("/", _get, Access.Key, context =>
            JsonResponse.WriteAsync(
                context,
                StatusCodes.Status200OK,
                json => json.WriteStringValue("SGLang is running"u8))));
        routes.Add(new RouteEntry("/ping", _get, Access.Key, context =>
            JsonResponse.WriteEmptyAsync(context, StatusCodes.Status200OK)));
        routes.Add(new RouteEntry("/health", _get, Access.Open, health.CheckAsync));
        routes.Add(new RouteEntry("/health_generate", _get, Access.Open, health.GenerateAsync));
        routes.Add(new RouteEntry("/metrics", _get, Access.Open, new PrometheusText(server).HandleAsync));
        routes.Add(new RouteEntry("/model_info", _get, Access.Key, info.ModelAsync));
        routes.Add(new RouteEntry("/get_model_info", _get, Access.Key, info.ModelAsync));
        routes.Add(new RouteEntry("/server_info", _get, Access.Key, info.ServerAsync));
        routes.Add(new RouteEntry("/get_server_info", _get, Access.Key, info.ServerAsync));
        routes.Add(new RouteEntry("/v1/loads", _get, Access.Key, info.LoadsAsync));
        routes.Add(new RouteEntry("/get_load", _get, Access.Key, info.LoadAsync));
        foreach (var path in (ReadOnlySpan<string>)["/get_weight_version", "/weight_version"])
        {
            routes.Add(new RouteEntry(path, _get, Access.Key, _ => throw new RequestException(new Failure(
                404, $"{path} is no more; 'weight_version' is in /model_info.", null, "unknown_url"))));
        }
    }
}
