using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Parsing;
using LsglangSharp.Runtime.Text.Templates;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Parsing;

public sealed class ReasoningParserTests
{
    public static TheoryData<string> Names => [.. ReasoningParsers.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void Any_answer_gives_the_same_result_however_it_is_cut(string name)
    {
        string[] words =
        [
            "<think>", "</think>", "<tool_call>", "<", "</",
            "th", "ink>", "text ", "\n", "◁think▷", "◁/think▷", "[THINK]",
            "[/THINK]", "é🌍", "<|tool_calls_section_begin|>",
        ];
        for (var seed = 0; seed < 400; seed++)
        {
            var random = new Random(seed);
            var text = string.Concat(random.GetItems(words, random.Next(1, 10)));
            var isForced = random.Next(2) == 0;

            var expected = Run(name, [text], isForced, streams: true);
            foreach (var (way, pieces) in Chunking.Ways(text, null, seed))
            {
                Assert.True(expected == Run(name, pieces, isForced, streams: true), $"seed {seed} {way}: {text}");
                Assert.True(expected == Run(name, pieces, isForced, streams: false), $"seed {seed} {way} held: {text}");
            }
        }
    }

    private static ReasoningPiece Run(string name, IEnumerable<string> pieces, bool isForced, bool streams)
    {
        var parser = ReasoningParsers.Create(name, isForced, streams);
        var parts = pieces.Select(parser.Push).ToList();
        parts.Add(parser.Finish());
        return new ReasoningPiece(
            string.Concat(parts.Select(part => part.Reasoning)), string.Concat(parts.Select(part => part.Content)));
    }

    [Fact]
    public void Thoughts_that_are_not_streamed_come_at_their_end()
    {
        var parser = ReasoningParsers.Create("qwen3", streamReasoning: false);

        Assert.Equal(ReasoningPiece.Empty, parser.Push("<think>half a "));
        Assert.Equal(new ReasoningPiece("half a thought", "answer"), parser.Push("thought</think>answer"));
    }

    [Fact]
    public void Part_of_an_end_tag_is_held_back_until_it_is_certain()
    {
        var parser = ReasoningParsers.Create("qwen3", forceReasoning: true);

        Assert.Equal(new ReasoningPiece("a ", ""), parser.Push("a </thi"));
        Assert.Equal(new ReasoningPiece("</thi b", ""), parser.Push(" b"));
        Assert.Equal(new ReasoningPiece("", ""), parser.Push("</th"));
        Assert.Equal(new ReasoningPiece("</th", ""), parser.Finish());
    }

    [Theory]
    [InlineData("qwen3", "<|im_start|>assistant\n", null, null, true)]
    [InlineData("qwen3", "<|im_start|>assistant\n", "{\"enable_thinking\":false}", null, false)]
    [InlineData("qwen3", "<|im_start|>assistant\n<think>\n\n</think>\n\n", null, null, false)]
    [InlineData("qwen3", "<|im_start|>assistant\n<think>\n", "{\"enable_thinking\":false}", null, true)]
    [InlineData("deepseek-r1", "x", null, null, true)]
    [InlineData("deepseek-v3", "x", null, null, false)]
    [InlineData("deepseek-v3", "x", "{\"thinking\":true}", null, true)]
    [InlineData("kimi_k2", "x", "{\"thinking\":false}", null, false)]
    [InlineData("kimi_k2", "x", null, null, true)]
    [InlineData("mimo", "x", null, null, false)]
    [InlineData("mimo", "x", "{\"enable_thinking\":true}", null, true)]
    [InlineData("mistral", "x", null, "high", true)]
    [InlineData("mistral", "x", null, "none", false)]
    [InlineData("QWEN3", "x", null, null, true)]
    public void The_request_and_the_prompt_say_whether_the_answer_begins_in_thoughts(
        string name, string prompt, string? arguments, string? effort, bool expected)
    {
        var json = arguments is null ? null : JsonNode.Parse(arguments)!.AsObject();

        Assert.Equal(expected, ReasoningParsers.StartsInReasoning(name, prompt, json, effort));
    }

    [Fact]
    public void An_effort_switches_thinking_unless_the_request_says_otherwise()
    {
        var none = new JsonObject();
        ReasoningParsers.ApplyEffort(none, "none");
        var high = new JsonObject { ["enable_thinking"] = false };
        ReasoningParsers.ApplyEffort(high, "high");

        Assert.Equal("""{"thinking":false,"enable_thinking":false}""", none.ToJsonString());
        Assert.Equal("""{"enable_thinking":false,"thinking":true}""", high.ToJsonString());
    }

    [Fact]
    public void An_unknown_parser_is_refused_with_the_nearest_name()
    {
        var exception = Assert.Throws<UnknownParserException>(() => ReasoningParsers.Create("deepseek_r1"));

        Assert.Contains("did you mean 'deepseek-r1'?", exception.Message, StringComparison.Ordinal);
    }

    [SkippableTheory]
    [InlineData("Qwen-Qwen3-0.6B.jinja", "qwen25", "qwen3")]
    [InlineData("Qwen-Qwen2.5-7B-Instruct.jinja", "qwen25", null)]
    [InlineData("Qwen-QwQ-32B.jinja", "qwen25", "mimo")]
    [InlineData("NousResearch-Hermes-3-Llama-3.1-8B-tool_use.jinja", "qwen25", null)]
    [InlineData("google-gemma-2-2b-it.jinja", null, null)]
    [InlineData("llama-cpp-deepseek-r1.jinja", "deepseekv3", "deepseek-r1")]
    [InlineData("deepseek-ai-DeepSeek-V3.1.jinja", "deepseekv31", "deepseek-v3")]
    [InlineData("GLM-4.6.jinja", "glm45", "glm45")]
    [InlineData("GLM-4.7-Flash.jinja", "glm47", "glm45")]
    [InlineData("Kimi-K2-Thinking.jinja", "kimi_k2", "kimi_k2")]
    [InlineData("MiniMax-M2.jinja", "minimax-m2", "minimax")]
    [InlineData("Qwen3-Coder.jinja", "qwen3_coder", null)]
    [InlineData("NVIDIA-Nemotron-3-Nano-30B-A3B-BF16.jinja", "qwen3_coder", "nemotron_3")]
    [InlineData("mistralai-Mistral-Nemo-Instruct-2407.jinja", "mistral", null)]
    [InlineData("meta-llama-Llama-3.3-70B-Instruct.jinja", "llama3", null)]
    public void A_chat_template_tells_which_parsers_it_needs(string file, string? toolCalls, string? reasoning)
    {
        Skip.If(Repository.Shared is null, "reference data is not here");
        var template = ChatTemplate.Parse(File.ReadAllText(Repository.SharedPath("chat-templates", file)!));

        Assert.Equal((toolCalls, reasoning), (ToolCallParsers.Infer(template), ReasoningParsers.Infer(template)));
    }
}
