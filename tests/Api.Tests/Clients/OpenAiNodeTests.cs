using System.Text.Json.Nodes;
using LsglangSharp.Api.Tests.Serving;

namespace LsglangSharp.Api.Tests.Clients;

/// <summary>The openai package of npm against the server.</summary>
public sealed class OpenAiNodeTests
{
    [SkippableFact]
    public async Task OpenAIs_client_for_Node_understands_the_server()
    {
        Skip.IfNot(await NodeClient.IsInstalledAsync(), NodeClient.WhyNot);
        await using var server = await ClientScript.StartAsync();

        var (code, output, errors) = await NodeClient.RunAsync(
            "node",
            "run.mjs",
            new Uri(server.Address, "/v1").ToString(),
            ClientScript.Key);

        Assert.True(code == 0, errors);
        var seen = JsonNode.Parse(output)!;
        AssertJson("""{"content":"Hello 🎉","finish":"stop","usage":45}""", seen["whole"]!);
        AssertJson("""["","Hel","lo ","🎉","stop"]""", seen["deltas"]!);
        Assert.Equal(45, (int)seen["streamUsage"]!);
        AssertJson(
            """[["function","get_weather",{"city":"Paris"}],["function","get_weather",{"city":"Rome"}]]""",
            seen["calls"]!);
        AssertJson(
            """[["function","get_weather",{"city":"Paris"}],["function","get_weather",{"city":"Rome"}]]""",
            seen["streamedCalls"]!);
        Assert.True((bool)seen["streamedCallIds"]!);
        Assert.Equal(("tool_calls", "tool_calls"), ((string?)seen["callsFinish"], (string?)seen["streamedFinish"]));
        AssertJson("""["hm, hm","Yes."]""", seen["thought"]!);
        Assert.Equal("Hello 🎉", (string?)seen["completion"]);
        AssertJson("""["tiny","tiny-alias"]""", seen["models"]!);
        AssertFailure(seen["unknownModel"]!, "NotFoundError", 404, "model_not_found", "model");
        AssertFailure(seen["badRequest"]!, "BadRequestError", 400, null, "temperature");
        AssertFailure(seen["wrongKey"]!, "AuthenticationError", 401, "invalid_api_key", null);
        Assert.Equal("assistant", (string?)seen["beforeBreak"]);
        Assert.Contains("The engine failed: x", (string?)seen["broken"]!["message"], StringComparison.Ordinal);
        await server.Engine.LeftEarly.WaitAsync(TimeSpan.FromSeconds(30));
    }

    private static void AssertFailure(JsonNode failure, string name, int status, string? code, string? parameter)
    {
        Assert.Equal((name, status), ((string?)failure["name"], (int)failure["status"]!));
        Assert.Equal((code, parameter), ((string?)failure["code"], (string?)failure["param"]));
    }

    private static void AssertJson(string expected, JsonNode actual) =>
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(expected), actual), actual.ToJsonString());
}
