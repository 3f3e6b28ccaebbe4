using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Sampling;
using LsglangSharp.Runtime.Scheduling;

namespace LsglangSharp.Runtime.Tests.Generation;

public sealed class RequestRulesTests
{
    private static readonly GenerationRequest _good = Engines.Request("a", [1, 2, 3], 4);

    public static TheoryData<string, object> Bad => new()
    {
        { "The prompt has no tokens.", _good with { Prompt = [] } },
        { "The prompt has token 64, but token ids are in [0, 64).", _good with { Prompt = [1, 64] } },
        { "The prompt has token -1, but token ids are in [0, 64).", _good with { Prompt = [-1] } },
        { "top_logprobs must be in [0, 64], got 65.", _good with { TopLogprobs = 65 } },
        { "logprob_start_len must be in [-1, 3] (the prompt's length), got 4.", _good with { PromptLogprobStart = 4 } },
        { "top_p must be in (0, 1], got 0.", _good with { Sampling = new SamplingOptions { TopP = 0 } } },
        {
            "The input (32 tokens) is longer than the model's context length (32 tokens).",
            Engines.Request("a", new int[32], 1)
        },
        {
            "Requested token count exceeds the model's maximum context length of 32 tokens. You requested a total of 33 tokens: "
            + "3 tokens from the input messages and 30 tokens for the completion. Please reduce the number of tokens in the "
            + "input messages or the completion to fit within the limit.",
            Engines.Request("a", [1, 2, 3], 30)
        },
    };

    [Theory]
    [MemberData(nameof(Bad))]
    public void Says_what_is_wrong(string sentence, object request)
    {
        var rules = new RequestRules(Engines.Limits(context: 32), hasText: true);

        var complaint = rules.Complaint((GenerationRequest)request);

        Assert.Equal(sentence, complaint?.Message);
        Assert.Equal(400, complaint!.Status);
        Assert.Null(rules.Complaint(_good));
    }

    [Fact]
    public void A_prompt_that_the_cache_can_never_hold_is_refused_with_both_lengths()
    {
        var rules = new RequestRules(Engines.Limits(context: 256, kvTokens: 64), hasText: true);

        Assert.Equal(
            "The input (64 tokens) does not fit into the KV cache (64 tokens).",
            rules.Complaint(Engines.Request("a", new int[64], 1))!.Message);
        Assert.Equal(1, rules.NewTokensMax(Engines.Request("a", new int[63], 100)));
    }

    [Fact]
    public void Alternatives_beyond_any_memory_are_refused()
    {
        var limits = EngineLimits.Derive(new EngineOptions(), vocabulary: 150_000, 40_960, 1, 1 << 30);
        var rules = new RequestRules(limits, hasText: true);
        var request = _good with { ReturnLogprobs = true, TopLogprobs = 150_000 };

        Assert.Null(rules.Complaint(request));
        Assert.Contains(
            "top_logprobs 150000", rules.Complaint(request with { Sampling = new SamplingOptions() })!.Message);
    }

    [Fact]
    public void Stop_strings_need_a_tokenizer()
    {
        var rules = new RequestRules(Engines.Limits(), hasText: false);

        var complaint = rules.Complaint(_good with { Sampling = new SamplingOptions { StopStrings = ["x"] } });

        Assert.Contains("--skip-tokenizer-init", complaint!.Message);
    }

    [Fact]
    public void Limits_follow_from_options_and_memory()
    {
        var byMemory = EngineLimits.Derive(new EngineOptions(), 1000, 40_960, kvBytesPerToken: 100, kvBytesFree: 1_000_000);
        var byOption = EngineLimits.Derive(new EngineOptions { KvTokens = 100 }, 1000, 40_960, 100, 1_000_000);
        var byDefault = EngineLimits.Derive(new EngineOptions { ContextLength = 20_000 }, 1000, 40_960, 100, long.MaxValue);

        Assert.Equal(10_000, byMemory.KvTokens);
        Assert.Equal((10_000, 40_960), (byMemory.Steps.SequenceTokensMax, byMemory.ContextLength));
        Assert.Equal(112, byOption.KvTokens);
        Assert.Equal((160_000, 20_000), (byDefault.KvTokens, byDefault.ContextLength));
        Assert.Contains(
            "1,600 bytes",
            Assert.Throws<ConfigurationException>(() => EngineLimits.Derive(new EngineOptions(), 1000, 100, 100, 1_599)).Message);
    }

    [Fact]
    public void Options_that_do_not_go_together_are_refused()
    {
        var options = new EngineOptions { Scheduling = new SchedulerOptions { Priorities = true, Policy = SchedulePolicy.Lpm } };

        Assert.Contains("--schedule-policy", Assert.Throws<ConfigurationException>(options.Validate).Message);
        Assert.Contains(
            "--page-size", Assert.Throws<ConfigurationException>(new EngineOptions { PageSize = 0 }.Validate).Message);
    }
}
