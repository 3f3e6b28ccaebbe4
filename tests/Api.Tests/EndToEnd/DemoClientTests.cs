using System.ClientModel;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;
using LsglangSharp.Api.Tests.Clients;
using OpenAI;
using OpenAI.Chat;

namespace LsglangSharp.Api.Tests.EndToEnd;

/// <summary>OpenAI's own clients against the whole product.</summary>
[Collection("demo server")]
public sealed class DemoClientTests(DemoServer server)
{
    private static readonly ChatCompletionOptions _greedy = new() { Temperature = 0, MaxOutputTokenCount = 192 };

    [Fact]
    public async Task A_streamed_answer_is_the_whole_answer()
    {
        List<ChatMessage> conversation = [new UserChatMessage("What is the capital of France?")];

        ChatCompletion whole = await Chat().CompleteChatAsync(conversation, _greedy);
        var streamed = new StringBuilder();
        await foreach (var update in Chat().CompleteChatStreamingAsync(conversation, _greedy))
        {
            streamed.Append(string.Concat(update.ContentUpdate.Select(part => part.Text)));
        }

        Assert.Equal("The capital of France is Paris.", whole.Content[0].Text.Trim());
        Assert.Equal(whole.Content[0].Text, streamed.ToString());
    }

    [Fact]
    public async Task Two_tools_are_called_at_once_streaming_or_not()
    {
        var parameters = BinaryData.FromString(
            """
            {"type":"object","properties":{"city":{"type":"string","description":"The city"},
            "unit":{"type":"string","enum":["celsius","fahrenheit"]}},"required":["city"]}
            """);
        List<ChatMessage> conversation = [new UserChatMessage("How is the weather in Hanoi and in Amsterdam?")];
        var options = new ChatCompletionOptions
        {
            Temperature = 0,
            MaxOutputTokenCount = 192,
            Tools = { ChatTool.CreateFunctionTool("weather", "Get current weather", parameters) },
        };

        ChatCompletion whole = await Chat().CompleteChatAsync(conversation, options);
        var streamed = new SortedDictionary<int, string>();
        ChatFinishReason? finish = null;
        await foreach (var update in Chat().CompleteChatStreamingAsync(conversation, options))
        {
            finish = update.FinishReason ?? finish;
            foreach (var call in update.ToolCallUpdates)
            {
                streamed[call.Index] = streamed.GetValueOrDefault(call.Index) + call.FunctionName + call.FunctionArgumentsUpdate;
            }
        }

        string[] expected = ["""weather{"city": "Hanoi"}""", """weather{"city": "Amsterdam"}"""];
        Assert.Equal(expected, whole.ToolCalls.Select(call => call.FunctionName + call.FunctionArguments));
        Assert.Equal(expected, streamed.Values);
        Assert.Equal((ChatFinishReason.ToolCalls, ChatFinishReason.ToolCalls), (whole.FinishReason, finish));
    }

    [Fact]
    public async Task A_conversation_longer_than_the_context_is_refused_with_both_lengths()
    {
        List<ChatMessage> conversation = [new UserChatMessage(string.Concat(Enumerable.Repeat("hello ", 5000)))];

        var refusal = await Assert.ThrowsAsync<ClientResultException>(
            () => Chat().CompleteChatAsync(conversation, _greedy));

        Assert.Equal(400, refusal.Status);
        Assert.Matches(
            @"The input \(50\d\d tokens\) is longer than the model's context length \(4096 tokens\)",
            refusal.Message);
        Assert.Contains("context_length_exceeded", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Sampled_choices_differ_from_each_other_and_a_seed_brings_them_again_in_any_company()
    {
        var request = new JsonObject
        {
            ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "Tell me a story." }),
            ["temperature"] = 1.2,
            ["max_tokens"] = 40,
            ["seed"] = 11,
            ["separate_reasoning"] = false,
        };

        var alone = await ContentsAsync(request);
        request["n"] = 3;
        var choices = await ContentsAsync(request);
        var crowd = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => ContentsAsync(request)));

        Assert.Equal(3, choices.Distinct().Count());
        Assert.Equal(alone[0], choices[0]);
        Assert.All(crowd, contents => Assert.Equal(choices, contents));
    }

    [Fact]
    public async Task A_client_that_leaves_frees_its_place()
    {
        var before = await RunningAsync();
        using (var request = new HttpRequestMessage(HttpMethod.Post, new Uri(server.Address, "generate"))
        {
            Content = JsonContent.Create(JsonNode.Parse(
                """{"text":"a","stream":true,"sampling_params":{"max_new_tokens":4000,"ignore_eos":true}}""")),
        })
        {
            using var response = await server.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
            await using var body = await response.Content.ReadAsStreamAsync();
            Assert.True(await body.ReadAsync(new byte[100]) > 0);
        }

        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (await RunningAsync() > before)
        {
            await Task.Delay(5, patience.Token);
        }
    }

    [SkippableFact]
    public async Task OpenAIs_client_for_Node_streams_and_calls_tools()
    {
        Skip.IfNot(await NodeClient.IsInstalledAsync(), NodeClient.WhyNot);

        var (code, output, errors) = await NodeClient.RunAsync(
            "node",
            "demo.mjs",
            new Uri(server.Address, "v1").ToString());

        Assert.True(code == 0, errors);
        Assert.Equal(
            """
            {"whole":"The capital of France is Paris.","same":true,"calls":[["weather",{"city":"Hanoi"}],["weather",{"city":"Amsterdam"}]],"finish":"tool_calls","refused":404}
            """,
            output.Trim());
    }

    private ChatClient Chat() => new(
        "default", new ApiKeyCredential("none"), new OpenAIClientOptions { Endpoint = new Uri(server.Address, "v1") });

    private async Task<List<string?>> ContentsAsync(JsonObject request)
    {
        using var response = await server.Http.PostAsJsonAsync(
            new Uri(server.Address, "v1/chat/completions"),
            request.DeepClone());
        var body = JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
        return [.. body["choices"]!.AsArray().Select(choice => (string?)choice!["message"]!["content"])];
    }

    private async Task<int> RunningAsync()
    {
        var load = JsonNode.Parse(await server.Http.GetStringAsync(new Uri(server.Address, "get_load")))!;
        return (int)load[0]!["num_reqs"]!;
    }
}
