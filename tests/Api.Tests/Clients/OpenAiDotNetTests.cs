using System.ClientModel;
using System.ClientModel.Primitives;
using System.Text;
using LsglangSharp.Api.Tests.Serving;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Models;

namespace LsglangSharp.Api.Tests.Clients;

/// <summary>OpenAI's own client for .NET against the server.</summary>
public sealed class OpenAiDotNetTests
{
    private static readonly ChatTool _weather = ChatTool.CreateFunctionTool(
        "get_weather", "Weather of a city",
        BinaryData.FromString("""{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}"""));

    [Fact]
    public async Task A_chat_is_answered()
    {
        await using var server = await ClientScript.StartAsync();
        var options = new ChatCompletionOptions
        {
            Temperature = 0, MaxOutputTokenCount = 50, IncludeLogProbabilities = true, TopLogProbabilityCount = 2,
        };

        ChatCompletion answer = await Chat(server).CompleteChatAsync(
            [new SystemChatMessage("Be brief."), new UserChatMessage("Hi")],
            options);

        Assert.Equal("Hello 🎉", answer.Content[0].Text);
        Assert.Equal(ChatFinishReason.Stop, answer.FinishReason);
        Assert.Equal(11, answer.Usage.OutputTokenCount);
        Assert.Equal("tiny", answer.Model);
        Assert.Equal(11, answer.ContentTokenLogProbabilities.Count);
        Assert.Equal(2, answer.ContentTokenLogProbabilities[0].TopLogProbabilities.Count);
        Assert.Equal(0, server.Engine.Requests.Single().Sampling.Temperature);
    }

    [Fact]
    public async Task A_chat_is_streamed_with_its_usage()
    {
        await using var server = await ClientScript.StartAsync();
        var text = new StringBuilder();
        ChatFinishReason? finish = null;
        ChatTokenUsage? usage = null;

        await foreach (var update in Chat(server).CompleteChatStreamingAsync([new UserChatMessage("Hi")]))
        {
            foreach (var part in update.ContentUpdate)
            {
                text.Append(part.Text);
            }

            finish = update.FinishReason ?? finish;
            usage = update.Usage ?? usage;
        }

        Assert.Equal("Hello 🎉", text.ToString());
        Assert.Equal(ChatFinishReason.Stop, finish);
        Assert.Equal(11, usage?.OutputTokenCount);
    }

    [Fact]
    public async Task Tools_are_called_and_their_results_taken()
    {
        await using var server = await ClientScript.StartAsync();
        var options = new ChatCompletionOptions { Tools = { _weather } };

        ChatCompletion answer = await Chat(server).CompleteChatAsync([new UserChatMessage("call")], options);
        List<ChatMessage> conversation = [new UserChatMessage("call"), new AssistantChatMessage(answer)];
        conversation.AddRange(answer.ToolCalls.Select(call => new ToolChatMessage(call.Id, "18 degrees")));
        ChatCompletion after = await Chat(server).CompleteChatAsync(conversation, options);

        Assert.Equal(ChatFinishReason.ToolCalls, answer.FinishReason);
        Assert.Equal("Let me look.", answer.Content[0].Text);
        Assert.Equal(
            [("get_weather", """{"city": "Paris"}"""), ("get_weather", """{"city": "Rome"}""")],
            answer.ToolCalls.Select(call => (call.FunctionName, call.FunctionArguments.ToString())));
        Assert.Equal(2, answer.ToolCalls.Select(call => call.Id).Distinct().Count());
        Assert.Equal("Hello 🎉", after.Content[0].Text);
    }

    [Fact]
    public async Task Tool_calls_are_streamed_piece_by_piece()
    {
        await using var server = await ClientScript.StartAsync();
        var options = new ChatCompletionOptions { Tools = { _weather } };
        var names = new Dictionary<int, string>();
        var arguments = new Dictionary<int, string>();
        ChatFinishReason? finish = null;

        await foreach (var update in Chat(server).CompleteChatStreamingAsync([new UserChatMessage("call")], options))
        {
            finish = update.FinishReason ?? finish;
            foreach (var call in update.ToolCallUpdates)
            {
                names[call.Index] = names.GetValueOrDefault(call.Index) + call.FunctionName;
                arguments[call.Index] = arguments.GetValueOrDefault(call.Index) + call.FunctionArgumentsUpdate;
            }
        }

        Assert.Equal(ChatFinishReason.ToolCalls, finish);
        Assert.Equal(["get_weather", "get_weather"], names.OrderBy(entry => entry.Key).Select(entry => entry.Value));
        Assert.Equal(
            ["""{"city": "Paris"}""", """{"city": "Rome"}"""], arguments.OrderBy(entry => entry.Key).Select(entry => entry.Value));
    }

    [Fact]
    public async Task Models_are_listed()
    {
        await using var server = await ClientScript.StartAsync();
        var models = new OpenAIModelClient(new ApiKeyCredential(ClientScript.Key), Options(server));

        var listed = await models.GetModelsAsync();

        Assert.Equal(["tiny", "tiny-alias"], listed.Value.Select(model => model.Id));
    }

    [Fact]
    public async Task Errors_are_understood()
    {
        await using var server = await ClientScript.StartAsync();

        var unknown = await Assert.ThrowsAsync<ClientResultException>(
            () => Chat(server, model: "gpt-9").CompleteChatAsync([new UserChatMessage("Hi")]));
        var bad = await Assert.ThrowsAsync<ClientResultException>(
            () => Chat(server).CompleteChatAsync([new UserChatMessage("Hi")], new ChatCompletionOptions { TopP = 3 }));
        var key = await Assert.ThrowsAsync<ClientResultException>(
            () => Chat(server, key: "wrong").CompleteChatAsync([new UserChatMessage("Hi")]));

        Assert.Equal((404, 400, 401), (unknown.Status, bad.Status, key.Status));
        Assert.Contains("model_not_found", unknown.Message, StringComparison.Ordinal);
        Assert.Contains("top_p must be in (0, 1], got 3.", bad.Message, StringComparison.Ordinal);
        Assert.Contains("the API key is not right", key.Message, StringComparison.Ordinal);
    }

    private static ChatClient Chat(RunningServer server, string model = "tiny", string key = ClientScript.Key) =>
        new(model, new ApiKeyCredential(key), Options(server));

    private static OpenAIClientOptions Options(RunningServer server) =>
        new() { Endpoint = new Uri(server.Address, "/v1"), RetryPolicy = new ClientRetryPolicy(maxRetries: 0) };
}
