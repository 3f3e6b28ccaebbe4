using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using LsglangSharp.Api.Tests.Serving;

namespace LsglangSharp.Api.Tests.Http;

public sealed class AccessTests
{
    [Theory]
    [InlineData("Bearer key", 200)]
    [InlineData("bearer key", 200)]
    [InlineData("Bearer  key ", 200)]
    [InlineData("Bearer Key", 401)]
    [InlineData("Bearer key2", 401)]
    [InlineData("Bearer", 401)]
    [InlineData("Basic key", 401)]
    [InlineData("key", 401)]
    [InlineData(null, 401)]
    public async Task The_key_is_demanded(string? header, int status)
    {
        await using var server = await RunningServer.StartAsync(options => options with { ApiKey = "key" });

        Assert.Equal(status, await StatusAsync(server, "GET", "/v1/models", header));
    }

    [Fact]
    public async Task A_refusal_has_OpenAIs_shape()
    {
        await using var server = await RunningServer.StartAsync(options => options with { ApiKey = "key" });

        using var response = await server.PostAsync("/v1/chat/completions", "not even JSON");

        Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
        var error = JsonNode.Parse(await response.Content.ReadAsStringAsync())!["error"]!;
        Assert.Equal(("authentication_error", "invalid_api_key"), ((string?)error["type"], (string?)error["code"]));
        Assert.StartsWith("Unauthorized", (string?)error["message"], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("GET", "/health", 200)]
    [InlineData("GET", "/health_generate", 200)]
    [InlineData("GET", "/metrics", 200)]
    [InlineData("GET", "/", 401)]
    [InlineData("GET", "/get_server_info", 401)]
    [InlineData("GET", "/no/such/route", 401)]
    [InlineData("POST", "/generate", 401)]
    [InlineData("POST", "/abort_request", 401)]
    public async Task Only_health_and_metrics_are_open(string method, string path, int status)
    {
        await using var server = await RunningServer.StartAsync(options => options with { ApiKey = "key" });

        Assert.Equal(status, await StatusAsync(server, method, path, null));
    }

    [Theory]
    [InlineData(null, null, null, 200)]
    [InlineData("key", null, "Bearer key", 200)]
    [InlineData("key", null, null, 401)]
    [InlineData("key", "admin", "Bearer key", 401)]
    [InlineData("key", "admin", "Bearer admin", 200)]
    [InlineData(null, "admin", null, 401)]
    public async Task Operating_the_server_takes_the_admin_key_if_there_is_one(
        string? api,
        string? admin,
        string? header,
        int status)
    {
        await using var server = await RunningServer.StartAsync(
            options => options with { ApiKey = api, AdminApiKey = admin });

        Assert.Equal(status, await StatusAsync(server, "POST", "/flush_cache", header));
    }

    [Fact]
    public async Task The_admin_key_alone_leaves_other_routes_open()
    {
        await using var server = await RunningServer.StartAsync(options => options with { AdminApiKey = "admin" });

        Assert.Equal(200, await StatusAsync(server, "GET", "/v1/models", null));
    }

    [Fact]
    public async Task Pages_of_all_origins_may_call()
    {
        await using var server = await RunningServer.StartAsync(options => options with { ApiKey = "key" });
        using var preflight = new HttpRequestMessage(HttpMethod.Options, "/v1/chat/completions");
        preflight.Headers.Add("Origin", "https://a.example");
        preflight.Headers.Add("Access-Control-Request-Method", "POST");
        preflight.Headers.Add("Access-Control-Request-Headers", "authorization,content-type");
        using var call = new HttpRequestMessage(HttpMethod.Get, "/v1/models");
        call.Headers.Add("Origin", "https://a.example");

        using var allowed = await server.Client.SendAsync(preflight);
        using var refused = await server.Client.SendAsync(call);

        Assert.Equal(HttpStatusCode.OK, allowed.StatusCode);
        Assert.Equal("https://a.example", allowed.Headers.GetValues("Access-Control-Allow-Origin").Single());
        Assert.Equal("authorization,content-type", allowed.Headers.GetValues("Access-Control-Allow-Headers").Single());
        Assert.Contains(
            "POST",
            allowed.Headers.GetValues("Access-Control-Allow-Methods").Single(),
            StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
        Assert.Equal("https://a.example", refused.Headers.GetValues("Access-Control-Allow-Origin").Single());
    }

    [Theory]
    [InlineData("https://a.example", true)]
    [InlineData("https://b.example", false)]
    public async Task Origins_can_be_limited(string origin, bool allowed)
    {
        await using var server = await RunningServer.StartAsync(
            options => options with { CorsOrigins = ["https://a.example"] });
        using var call = new HttpRequestMessage(HttpMethod.Get, "/v1/models");
        call.Headers.Add("Origin", origin);

        using var response = await server.Client.SendAsync(call);

        Assert.Equal(allowed, response.Headers.Contains("Access-Control-Allow-Origin"));
    }

    [Fact]
    public async Task Models_are_listed_and_found_by_every_name()
    {
        await using var server = await RunningServer.StartAsync(options => options with { Clock = new FixedClock() });

        var (_, list) = await server.GetAsync("/v1/models");
        var (found, one) = await server.GetAsync("/v1/models/models/tiny");
        var (escaped, _) = await server.GetAsync("/v1/models/models%2Ftiny");
        var (missing, error) = await server.GetAsync("/v1/models/gpt-9");

        Assert.Equal(
            """{"object":"list","data":[{"id":"tiny","object":"model","created":1700000000,"owned_by":"sglan"""
            + """g","root":"tiny","parent":null,"max_model_len":1000},{"id":"tiny-alias","object":"model","crea"""
            + """ted":1700000000,"owned_by":"sglang","root":"tiny-alias","parent":null,"max_model_len":1000}]}""",
            list);
        Assert.Equal((HttpStatusCode.OK, "models/tiny"), (found, (string?)JsonNode.Parse(one)!["id"]));
        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.NotFound), (escaped, missing));
        Assert.Equal(
            """{"error":{"message":"The model 'gpt-9' does not exist","type":"invalid_request_error","para"""
            + """m":"model","code":"model_not_found"}}""",
            error);
    }

    private static async Task<int> StatusAsync(RunningServer server, string method, string path, string? header)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (method == "POST")
        {
            request.Content = new StringContent("{}", Encoding.UTF8, "application/json");
        }

        if (header is not null)
        {
            request.Headers.TryAddWithoutValidation("Authorization", header);
        }

        using var response = await server.Client.SendAsync(request);
        return (int)response.StatusCode;
    }
}
