using LsglangSharp.Api.Http;

namespace LsglangSharp.Api.OpenAi;

/// <summary>Names of requests, and what keeps their caches apart.</summary>
internal static class RequestIds
{
    private const int LengthMax = 256;

    public static string New() => Guid.NewGuid().ToString("N");

    public static string Read(Fields request)
    {
        var id = request.Text("rid");
        return id?.Length > LengthMax
            ? throw request.Bad("rid", $"must have at most {LengthMax} characters, got {id.Length}")
            : string.IsNullOrEmpty(id) ? New() : id;
    }

    /// <summary>The first choice has the request's own id; aborting that prefix ends all of them.</summary>
    public static string ForChoice(string id, int choice) => choice == 0 ? id : $"{id}_{choice}";

    public static string CacheSalt(Fields request) =>
        (request.Text("cache_salt"), request.Text("extra_key")) switch
        {
            (null, null) => "",
            (var salt, null) => salt!,
            (null, var key) => key!,
            var (salt, key) => $"{salt}\n{key}",
        };
}
