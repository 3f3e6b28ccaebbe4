using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using LsglangSharp.Api.Tests.Serving;
using Xunit.Abstractions;

namespace LsglangSharp.Api.Tests.Http;

/// <summary>Requests that were good until something in them was replaced: each is answered or refused, and nothing breaks.</summary>
public sealed class FuzzTests(ITestOutputHelper output)
{
    private const int Rounds = 1500;

    private static readonly string[] _strange =
    [
        "null", "true", "false", "0", "-1", "1e400", "-0.0", "3.5", "9223372036854775808", "1e-400", "\"\"", "\"x\"", "\"\\u0000\"", "[]",
        "{}", "[[]]", "[null]", "[{}]", "[1,\"a\"]", "{\"a\":null}", "\"\\ud83c\\udf89\"", "[[[[[[[[1]]]]]]]]", "99999999999999999999",
    ];

    public static TheoryData<string, string> Good => new()
    {
        {
            "/v1/chat/completions",
            """
            {"model":"tiny","messages":[{"role":"system","content":"a"},{"role":"user","content":[{"type":"text","text":"b"}]},
            {"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[{"id":"1","index":0,"type":"function",
            "function":{"name":"f","arguments":"{\"x\":1}"}}]},{"role":"tool","tool_call_id":"1","content":"c"}],
            "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object",
            "properties":{"x":{"type":"integer","minimum":0}},"required":["x"]},"strict":false}}],"tool_choice":"auto",
            "temperature":1,"top_p":0.5,"top_k":5,"min_p":0.1,"n":2,"max_tokens":5,"stop":["x"],"stop_token_ids":[1],
            "logit_bias":{"5":1},"logprobs":true,"top_logprobs":2,"seed":1,"stream":true,"stream_options":{"include_usage":true},
            "chat_template_kwargs":{"enable_thinking":false},"reasoning_effort":"low","response_format":{"type":"text"},"rid":"r"}
            """
        },
        {
            "/v1/completions",
            """
            {"model":"tiny","prompt":["a","b"],"max_tokens":5,"echo":true,"logprobs":1,"n":1,"stream":false,"stop":"x",
            "stream_options":{"continuous_usage_stats":true},"min_tokens":1,"frequency_penalty":0.5,"cache_salt":"s"}
            """
        },
        {
            "/generate",
            """
            {"text":["a","b"],"sampling_params":[{"max_new_tokens":3,"n":1,"seed":5},{"temperature":0}],"rid":["x","y"],
            "return_logprob":[true,false],"logprob_start_len":0,"top_logprobs_num":1,"return_text_in_logprobs":true,"stream":true}
            """
        },
        { "/tokenize", """{"prompt":["a"],"add_special_tokens":true,"messages":null}""" },
        { "/detokenize", """{"tokens":[[1,2],[3]],"skip_special_tokens":false}""" },
        { "/parse_function_call", """{"text":"a","tools":[{"function":{"name":"f"}}],"tool_call_parser":"qwen25"}""" },
        { "/separate_reasoning", """{"text":"a","reasoning_parser":"qwen3","return_blocks":true}""" },
        { "/abort_request", """{"rid":"x","abort_all":false}""" },
    };

    [Theory]
    [MemberData(nameof(Good))]
    public async Task Broken_requests_are_refused_and_never_break_the_server(string path, string good)
    {
        await using var server = await RunningServer.StartAsync(
            options => options with { ToolCallParser = "qwen25", ReasoningParser = "qwen3" });
        var random = new Random(20260101);
        var statuses = new Dictionary<HttpStatusCode, int>();
        for (var round = 0; round < Rounds; round++)
        {
            var text = round == 0 ? good : Break(good, random);

            using var response = await server.PostAsync(path, text);

            var body = await response.Content.ReadAsStringAsync();
            statuses[response.StatusCode] = statuses.GetValueOrDefault(response.StatusCode) + 1;
            Assert.True(
                (int)response.StatusCode < 500,
                string.Create(CultureInfo.InvariantCulture, $"{(int)response.StatusCode} for {text}: {body}"));
            Assert.True(round > 0 || response.StatusCode == HttpStatusCode.OK, body);
            if (response.StatusCode != HttpStatusCode.OK)
            {
                Assert.False(string.IsNullOrEmpty((string?)JsonNode.Parse(body)!["error"]!["message"]), text);
            }
        }

        output.WriteLine(string.Join(", ", statuses.Select(entry => $"{entry.Key}: {entry.Value}")));
        Assert.True(statuses.GetValueOrDefault(HttpStatusCode.OK) > 0);
        Assert.True(statuses.GetValueOrDefault(HttpStatusCode.BadRequest) > 0);
    }

    /// <summary>Replaces a value somewhere, drops one, or damages the text itself.</summary>
    private static string Break(string good, Random random)
    {
        if (random.Next(4) == 0)
        {
            var at = random.Next(good.Length);
            return random.Next(2) == 0 ? good[..at] : good.Remove(at, 1);
        }

        var root = JsonNode.Parse(good)!;
        for (var count = random.Next(1, 3); count > 0; count--)
        {
            var places = Places(root).ToList();
            var (parent, key, index) = places[random.Next(places.Count)];
            var strange = JsonNode.Parse(_strange[random.Next(_strange.Length)]);
            if (parent is JsonObject owner)
            {
                _ = random.Next(5) == 0 ? owner.Remove(key!) : Replace(owner, key!, strange);
            }
            else
            {
                ((JsonArray)parent)[index] = strange;
            }
        }

        return root.ToJsonString();

        static bool Replace(JsonObject owner, string key, JsonNode? value)
        {
            owner[key] = value;
            return true;
        }
    }

    private static IEnumerable<(JsonNode Parent, string? Key, int Index)> Places(JsonNode? node)
    {
        if (node is JsonObject owner)
        {
            foreach (var (key, value) in owner)
            {
                yield return (owner, key, -1);
                foreach (var inner in Places(value))
                {
                    yield return inner;
                }
            }
        }
        else if (node is JsonArray list)
        {
            for (var i = 0; i < list.Count; i++)
            {
                yield return (list, null, i);
                foreach (var inner in Places(list[i]))
                {
                    yield return inner;
                }
            }
        }
    }
}
