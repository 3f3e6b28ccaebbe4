using System.Net;
using System.Text.Json.Nodes;
using LsglangSharp.Api.Tests.Serving;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.Tests.Native;

public sealed class GenerateTests
{
    [Fact]
    public async Task One_prompt_gets_one_object()
    {
        await using var server = await RunningServer.StartAsync();

        var (status, body) = await server.AskAsync("/generate", """{"text":"Hi","rid":"r"}""");

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.True((double)body["meta_info"]!["e2e_latency"]! >= 0);
        body["meta_info"]!.AsObject().Remove("e2e_latency");
        AssertJson(
            """
            {"text":"ok","output_ids":[111,107,256],"meta_info":{"id":"r","finish_reason":{"type":"stop","matched":256},
            "prompt_tokens":2,"weight_version":"default","num_retractions":0,"completion_tokens":3,"cached_tokens":0,
            "reasoning_tokens":0,"dp_rank":null}}
            """,
            body);
    }

    [Fact]
    public async Task Sampling_parameters_have_the_native_names_and_defaults()
    {
        await using var server = await RunningServer.StartAsync();

        await server.AskAsync("/generate", """{"input_ids":[1,2]}""");
        await server.AskAsync(
            "/generate",
            """
            {"input_ids":[1,2],"sampling_params":{"max_new_tokens":5,"min_new_tokens":2,"temperature":0,"top_k":3,"sampling_seed":7,
            "stop":"x","stop_token_ids":[4,null],"ignore_eos":true,"no_stop_trim":true,"skip_special_tokens":false,"logit_bias":{"9":-1.5}}}
            """);

        var requests = server.Engine.Requests.Select(request => request.Sampling).ToArray();
        Assert.Equal(128, requests[0].MaxNewTokens);
        Assert.Equal(1, requests[0].Temperature);
        Assert.Equal(
            (5, 2, 0f, 3, 7L),
            (
                requests[1].MaxNewTokens,
                requests[1].MinNewTokens,
                requests[1].Temperature,
                requests[1].TopK,
                requests[1].Seed!.Value));
        Assert.Equal(["x"], requests[1].StopStrings);
        Assert.Equal([4], requests[1].StopTokenIds);
        Assert.True(requests[1] is { IgnoreEos: true, NoStopTrim: true, SkipSpecialTokens: false });
        Assert.Equal(-1.5f, requests[1].LogitBias![9]);
    }

    [Fact]
    public async Task The_default_limit_gives_way_to_a_long_prompt()
    {
        await using var server = await RunningServer.StartAsync();
        var prompt = string.Join(',', Enumerable.Repeat(1, server.Engine.Facts.ContextLength - 10));

        await server.AskAsync("/generate", $$"""{"input_ids":[{{prompt}}]}""");

        Assert.Equal(10, server.Engine.Requests.Single().Sampling.MaxNewTokens);
    }

    [Fact]
    public async Task Batches_and_choices_come_as_a_list_prompt_by_prompt()
    {
        await using var server = await RunningServer.StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, $"{request.Prompt[0]}/{request.Sampling.Seed}");

        var (_, body) = await server.AskAsync(
            "/generate", """{"input_ids":[[1],[2]],"sampling_params":{"n":2,"seed":10}}""");

        Assert.Equal(["1/10", "1/11", "2/10", "2/11"], body.AsArray().Select(item => (string?)item!["text"]));
    }

    [Fact]
    public async Task A_batch_of_one_is_still_a_list()
    {
        await using var server = await RunningServer.StartAsync();

        var (_, body) = await server.AskAsync("/generate", """{"text":["Hi"]}""");

        Assert.Single(body.AsArray());
    }

    [Fact]
    public async Task Logprobs_of_prompt_and_answer_come_as_triples()
    {
        await using var server = await RunningServer.StartAsync();

        var (_, body) = await server.AskAsync(
            "/generate",
            """{"text":"Hi","return_logprob":true,"logprob_start_len":0,"top_logprobs_num":2,"return_text_in_"""
            + """logprobs":true}""");

        var info = body["meta_info"]!;
        AssertJson("""[[null,72,"H"],[-0.5,105,"i"]]""", info["input_token_logprobs"]!);
        AssertJson("""[[-0.5,111,"o"],[-0.5,107,"k"],[-0.5,256,"<eos>"]]""", info["output_token_logprobs"]!);
        AssertJson("""[null,[[-0.5,105,"i"],[-1.5,106,"j"]]]""", info["input_top_logprobs"]!);
        Assert.Equal(3, (int)info["output_token_logprobs_length"]!);
        Assert.Equal(3, info["output_top_logprobs"]!.AsArray().Count);
        Assert.Equal(0, server.Engine.Requests.Single().PromptLogprobStart);
    }

    [Fact]
    public async Task Streams_repeat_everything_so_far()
    {
        await using var server = await RunningServer.StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(request, "a", "b");

        var events = await server.StreamAsync("/generate", """{"text":"Hi","stream":true}""");

        Assert.Equal("[DONE]", events[^1]);
        Assert.Equal(["a", "ab"], events.SkipLast(1).Select(data => (string?)JsonNode.Parse(data)!["text"]));
        Assert.Equal([97, 98, 256], JsonNode.Parse(events[1])!["output_ids"]!.AsArray().Select(id => (int)id!));
        Assert.Null(JsonNode.Parse(events[0])!["meta_info"]!["finish_reason"]);
        Assert.Null(JsonNode.Parse(events[0])!.AsObject()["index"]);
    }

    [Fact]
    public async Task Streams_of_batches_say_which_prompt_an_event_is_about()
    {
        await using var server = await RunningServer.StartAsync();

        var events = await server.StreamAsync("/generate", """{"text":["Hi","Ho"],"stream":true}""");

        Assert.Equal([0, 1], events.SkipLast(1).Select(data => (int)JsonNode.Parse(data)!["index"]!).Order());
    }

    [Fact]
    public async Task Without_a_tokenizer_it_works_on_token_ids_alone()
    {
        await using var server = await RunningServer.StartAsync(model: model => model with { Text = null });

        var (status, body) = await server.AskAsync("/generate", """{"input_ids":[5],"return_logprob":true}""");
        var (refused, error) = await server.AskAsync("/generate", """{"text":"Hi"}""");

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.False(body.AsObject().ContainsKey("text"));
        Assert.Equal(HttpStatusCode.BadRequest, refused);
        Assert.Contains("--skip-tokenizer-init", (string?)error["error"]!["message"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_aborted_generation_says_so_and_is_no_error()
    {
        await using var server = await RunningServer.StartAsync();
        server.Engine.Script = request => ScriptedEngine.Say(
            request,
            new GenerationFinish.Aborted("The request was aborted.", 499),
            "part");

        var (status, body) = await server.AskAsync("/generate", """{"text":"Hi"}""");

        Assert.Equal(HttpStatusCode.OK, status);
        AssertJson(
            """{"type":"abort","message":"The request was aborted.","status_code":499,"err_type":null}""",
            body["meta_info"]!["finish_reason"]!);
    }

    [Theory]
    [InlineData("""{}""", "One of 'text' and 'input_ids' is needed.")]
    [InlineData("""{"text":"a","input_ids":[1]}""", "Only one of 'text' and 'input_ids' can be given.")]
    [InlineData("""{"text":""}""", "'text' must not be empty.")]
    [InlineData("""{"input_ids":[]}""", "'input_ids' must not be empty.")]
    [InlineData(
        """{"input_ids":[1,"x"]}""",
        "'input_ids[1]' must be a whole number of at most 32 bits, got the string \"x\".")]
    [InlineData(
        """{"text":"a","sampling_params":{"temprature":1}}""",
        "'sampling_params.temprature' is not a sampling parameter; the nearest one is 'temperature'.")]
    [InlineData(
        """{"text":"a","sampling_params":[{},{}]}""",
        "'sampling_params' must have one entry for each of the 1 prompts, got 2.")]
    [InlineData(
        """{"text":"a","sampling_params":{"temperature":-1}}""",
        "temperature must be a finite number of at least 0, got -1.")]
    [InlineData(
        """{"text":"a","sampling_params":{"temperature":1e400}}""",
        "'sampling_params.temperature' must be a finite number, got the number 1e400.")]
    [InlineData(
        """{"text":"a","sampling_params":{"regex":"a"}}""",
        "'sampling_params.regex' is not supported: answers cannot be held to a grammar yet.")]
    [InlineData("""{"text":"a","top_logprobs_num":-1}""", "'top_logprobs_num' must be at least 0, got -1.")]
    [InlineData("""{"text":"a","logprob_start_len":[-2]}""", "'logprob_start_len[0]' must be at least -1, got -2.")]
    [InlineData("""{"text":"a","return_logprob":1}""", "'return_logprob' must be true or false, got the number 1.")]
    [InlineData("""{"text":"a","image_data":"x"}""", "Model only supports text input; received 'image_data'.")]
    public async Task Bad_requests_are_told_what_is_wrong(string request, string message)
    {
        await using var server = await RunningServer.StartAsync();

        var (status, body) = await server.AskAsync("/generate", request);

        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Equal(message, (string?)body["error"]!["message"]);
        Assert.Empty(server.Engine.Requests);
    }

    private static void AssertJson(string expected, JsonNode actual) =>
        Assert.Equal(JsonNode.Parse(expected)!.ToJsonString(), actual.ToJsonString());
}
