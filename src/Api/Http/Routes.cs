using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.Http;

/// <summary>One path: its methods, who may call it, and what answers. A path that ends in "/*" stands for all below it.</summary>
internal sealed record RouteEntry(string Path, IReadOnlyList<string> Methods, Access Access, RequestDelegate Handler);

/// <summary>The table of everything that the server answers to.</summary>
internal sealed class Routes
{
    private readonly Dictionary<string, List<RouteEntry>> _exact = new(StringComparer.Ordinal);
    private readonly List<(string Prefix, RouteEntry Route)> _below = [];

    public void Add(RouteEntry route)
    {
        if (route.Path.EndsWith("/*", StringComparison.Ordinal))
        {
            _below.Add((route.Path[..^1], route));
            return;
        }

        if (!_exact.TryGetValue(route.Path, out var routes))
        {
            _exact[route.Path] = routes = [];
        }

        routes.Add(route);
    }

    /// <summary>The route for a request, or the failure that says why there is none.</summary>
    public (RouteEntry? Route, Failure? Failure) Find(string method, string path)
    {
        var trimmed = path.Length > 1 ? path.TrimEnd('/') : path;
        var candidates = _exact.GetValueOrDefault(trimmed)
            ?? [.. _below.Where(entry => trimmed.StartsWith(entry.Prefix, StringComparison.Ordinal)
                && trimmed.Length > entry.Prefix.Length).Select(entry => entry.Route)];
        if (candidates.Count == 0)
        {
            return (null, new Failure(404, $"There is no route {path}.{Suggest(trimmed)}", null, "unknown_url"));
        }

        var route = candidates.Find(candidate => candidate.Methods.Contains(method, StringComparer.OrdinalIgnoreCase));
        return route is not null
            ? (route, null)
            : (null, WrongMethod(path, method, MethodsOf(candidates)));
    }

    /// <summary>The methods of a path, for the Allow header.</summary>
    public string AllowedMethods(string path) =>
        string.Join(", ", MethodsOf(_exact.GetValueOrDefault(path.Length > 1 ? path.TrimEnd('/') : path) ?? []));

    private static Failure WrongMethod(string path, string method, IEnumerable<string> right) =>
        new(405, $"{path} takes {string.Join(" or ", right)}, not {method}.", null, "method_not_allowed");

    private static IEnumerable<string> MethodsOf(List<RouteEntry> routes) => routes.SelectMany(route => route.Methods).Distinct();

    /// <summary>The commonest slip is a base URL with "/v1" missing or doubled.</summary>
    private string Suggest(string path)
    {
        string[] slips =
            [$"/v1{path}", path.Replace("/v1/v1/", "/v1/", StringComparison.Ordinal), path.ToLowerInvariant()];
        return slips.FirstOrDefault(slip => slip != path && _exact.ContainsKey(slip)) is { } meant
            ? $" Did you mean {meant}?"
            : "";
    }
}
