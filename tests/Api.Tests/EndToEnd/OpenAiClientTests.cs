using System.ClientModel;
using System.Text;
using System.Text.Json.Nodes;
using OpenAI;
using OpenAI.Chat;

namespace LsglangSharp.Api.Tests.EndToEnd;

/// <summary>OpenAI's own client against the product with its demo model.</summary>
[Collection("demo server")]
public sealed class OpenAiClientTests(DemoServer server)
{
    private static readonly ChatTool _weather = ChatTool.CreateFunctionTool(
        "get_weather", "Get the current weather of a city",
        BinaryData.FromString("""{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}"""));

    private static readonly ChatCompletionOptions _greedy = new() { Temperature = 0 };

    private ChatClient Chat => new(
        "default", new ApiKeyCredential("none"), new OpenAIClientOptions { Endpoint = new Uri(server.Address, "v1") });

    [Fact]
    public async Task A_question_is_answered()
    {
        ChatCompletion answer = await Chat.CompleteChatAsync([new UserChatMessage("What is the capital of France?")], _greedy);

        Assert.Equal("The capital of France is Paris.", answer.Content[0].Text.Trim());
        Assert.Equal(ChatFinishReason.Stop, answer.FinishReason);
    }

    [Fact]
    public async Task A_streamed_answer_equals_the_whole_one()
    {
        var text = new StringBuilder();
        await foreach (var update in Chat.CompleteChatStreamingAsync([new UserChatMessage("What is the capital of France?")], _greedy))
        {
            foreach (var part in update.ContentUpdate)
            {
                text.Append(part.Text);
            }
        }

        Assert.Equal("The capital of France is Paris.", text.ToString().Trim());
    }

    [Fact]
    public async Task A_tool_is_called_and_its_result_used()
    {
        var options = new ChatCompletionOptions { Temperature = 0, Tools = { _weather } };
        List<ChatMessage> messages = [new UserChatMessage("What is the weather in Paris?")];

        ChatCompletion call = await Chat.CompleteChatAsync(messages, options);

        Assert.Equal(ChatFinishReason.ToolCalls, call.FinishReason);
        var tool = Assert.Single(call.ToolCalls);
        Assert.Equal("get_weather", tool.FunctionName);
        Assert.Equal("Paris", (string?)JsonNode.Parse(tool.FunctionArguments)!["city"]);

        messages.Add(new AssistantChatMessage(call));
        messages.Add(new ToolChatMessage(tool.Id, """{"temperature": 21}"""));
        ChatCompletion answer = await Chat.CompleteChatAsync(messages, options);

        Assert.Equal(ChatFinishReason.Stop, answer.FinishReason);
        Assert.Contains("21", answer.Content[0].Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_streamed_tool_call_has_the_same_arguments()
    {
        var arguments = new StringBuilder();
        ChatFinishReason? finish = null;
        await foreach (var update in Chat.CompleteChatStreamingAsync(
            [new UserChatMessage("What is the weather in Paris?")], new ChatCompletionOptions { Temperature = 0, Tools = { _weather } }))
        {
            foreach (var call in update.ToolCallUpdates)
            {
                arguments.Append(call.FunctionArgumentsUpdate);
            }

            finish = update.FinishReason ?? finish;
        }

        Assert.Equal("Paris", (string?)JsonNode.Parse(arguments.ToString())!["city"]);
        Assert.Equal(ChatFinishReason.ToolCalls, finish);
    }

    [Fact]
    public async Task The_same_seed_gives_the_same_answer_in_any_company()
    {
#pragma warning disable OPENAI001 // The client marks the seed as subject to change.
        var options = new ChatCompletionOptions { Temperature = 1, Seed = 7, MaxOutputTokenCount = 60 };
#pragma warning restore OPENAI001
        ChatCompletion alone = await Chat.CompleteChatAsync([new UserChatMessage("Tell me a story.")], options);

        var together = await Task.WhenAll(Enumerable.Range(0, 12).Select(async index =>
        {
            ChatCompletion other = await Chat.CompleteChatAsync(
                [new UserChatMessage(index % 3 == 0 ? "Tell me a story." : $"Count to {index}.")], options);
            return (index, Text: other.Content.Count == 0 ? "" : other.Content[0].Text);
        }));

        Assert.All(
            together.Where(answer => answer.index % 3 == 0),
            answer => Assert.Equal(alone.Content.Count == 0 ? "" : alone.Content[0].Text, answer.Text));
    }

    [Fact]
    public async Task An_error_reaches_the_client_as_such()
    {
        var fault = await Assert.ThrowsAsync<ClientResultException>(async () =>
            await Chat.CompleteChatAsync([new UserChatMessage(string.Join(' ', Enumerable.Repeat("many words", 4000)))]));

        Assert.Equal(400, fault.Status);
        Assert.Contains("longer than the model's context length (4096 tokens)", fault.Message, StringComparison.Ordinal);
    }
}
