using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Parsing;

namespace LsglangSharp.Runtime.Tests.Parsing;

/// <summary>What must hold for any answer and any way of cutting it.</summary>
public sealed class ToolCallPropertyTests
{
    private const int CaseCount = 1500;
    private static readonly ToolDefinition[] Tools = [new("ping", null), new("get_weather", []), new("run_code", [])];

    public static TheoryData<string> Names => [.. ToolCallParsers.Names, ToolCallParsers.JsonArray];

    [Theory]
    [InlineData("hermes")]
    [InlineData("qwen25")]
    [InlineData(ToolCallParsers.JsonArray)]
    public void Well_formed_calls_stream_as_they_are_parsed_whole_and_in_valid_json(string name)
    {
        for (var seed = 0; seed < CaseCount; seed++)
        {
            var random = new Random(seed);
            var calls = Enumerable.Range(0, random.Next(1, 4)).Select(
                _ => (Tools[random.Next(Tools.Length)].Name, RandomJson.Object(random, 3))).ToList();
            var text = RandomJson.Write(name, calls, random);

            var whole = ToolCallParsers.ParseWhole(name, text, Tools);
            var (content, streamed) = ToolCallStream.Run(name, Tools, Chunking.Randomly(text, random));

            Assert.True(content.Length == 0, $"seed {seed}: text '{content}' of {text}");
            Assert.Equal(whole.Calls.Select(call => (call.Name, call.Arguments)), streamed);
            Assert.Equal(calls.Select(call => call.Name), streamed.Select(call => call.Name));
            foreach (var (expected, actual) in calls.Zip(streamed))
            {
                Assert.True(JsonNode.DeepEquals(expected.Item2, JsonNode.Parse(actual.Arguments)),
                    $"seed {seed}: {actual.Arguments}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Any_answer_gives_the_same_result_however_it_is_cut(string name)
    {
        string[] words =
        [
            "<tool_call>", "</tool_call>", "\n", "{", "}", "[",
            "]", "\"name\"", "\"arguments\"", ": ", ", ", "\"ping\"",
            "\"get_weather\"", "{\"name\": \"ping\", \"arguments\": {}}",
            "{\"name\": \"get_weather\", \"arguments\": {\"a\": 1}}",
            "text", "<", "<tool", "\\", "1", "-", "tr", "true", "\"",
            "é🌍", " ", "<tool_call>\n", "\n</tool_call>", "<function=ping>",
            "<parameter=a>", "</parameter>", "</function>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>",
            "[TOOL_CALLS]", "[TOOL_CALLS] [", "[ARGS]", "<|python_tag|>",
            ";", "{'name': 'ping'}", "[ping(a='x')]", "[ping(", ")",
            "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>",
            "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>", "\n```json\n",
            "\n```", "{}", "<|tool_calls_section_begin|>",
            "<|tool_call_begin|>", "functions.ping:0", "<|tool_call_argument_begin|>",
            "<|tool_call_end|>", "<|tool_calls_section_end|>",
            "<minimax:tool_call>", "<invoke name=\"ping\">", "</invoke>",
            "<parameter name=\"a\">", "</minimax:tool_call>", "<|python_start|>", "<|python_end|>",
        ];
        for (var seed = 0; seed < CaseCount; seed++)
        {
            var random = new Random(seed);

            // Few words at a time, so that those of one format meet.
            var pool = random.GetItems(words, 8);
            var text = string.Concat(random.GetItems(pool, random.Next(1, 16)));

            var expected = ToolCallStream.Run(name, Tools, [text]);
            foreach (var (way, pieces) in Chunking.Ways(text, null, seed))
            {
                var actual = ToolCallStream.Run(name, Tools, pieces);
                Assert.True(expected.Text == actual.Text && expected.Calls.SequenceEqual(actual.Calls),
                    $"seed {seed} {way}: {text}\n  {Show(expected)}\n  {Show(actual)}");
            }
        }
    }

    [Theory]
    [InlineData("hermes")]
    [InlineData("qwen25")]
    [InlineData(ToolCallParsers.JsonArray)]
    public void Arguments_are_valid_json_wherever_the_answer_breaks_off(string name)
    {
        for (var seed = 0; seed < CaseCount; seed++)
        {
            var random = new Random(seed);
            var text = RandomJson.Write(
                name, [("get_weather", RandomJson.Object(random, 3)), ("ping", RandomJson.Object(random, 2))], random);
            text = text[..random.Next(text.Length + 1)];

            var (_, calls) = ToolCallStream.Run(name, Tools, Chunking.Randomly(text, random));

            foreach (var (_, arguments) in calls)
            {
                var exception = Record.Exception(() => JsonDocument.Parse(arguments).Dispose());
                Assert.True(exception is null, $"seed {seed}: {arguments} of {text}");
            }
        }
    }

    [Theory]
    [InlineData("hermes", "<tool_call>")]
    [InlineData("qwen25", "<tool_call>\n")]
    public void No_part_of_a_marker_is_shown_before_it_is_certain_that_it_is_text(string name, string marker)
    {
        for (var length = 1; length < marker.Length; length++)
        {
            var parser = ToolCallParsers.Create(name, Tools);

            var shown = parser.Push("Hello " + marker[..length]).Text;
            Assert.Equal("Hello ", shown);
            Assert.Equal(marker[..length] + "!", parser.Push("!").Text);
        }
    }

    [Fact]
    public void Arguments_stream_before_the_call_is_complete()
    {
        var parser = ToolCallParsers.Create("hermes", Tools);

        parser.Push("""<tool_call>{"name": "run_code", "arguments": {"code": "one """);
        var piece = parser.Push("two ");

        Assert.Equal("two ", Assert.Single(piece.Calls).Arguments);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_work_for_a_call_grows_with_its_length_and_not_faster(string name)
    {
        // A million characters one by one: anything quadratic would take minutes.
        var value = new string('x', 1_000_000);
        var text = name switch
        {
            ToolCallParsers.JsonArray => $$$"""[{"name": "run_code", "parameters": {"code": "{{{value}}}"}}]""",
            "hermes" => $$$"""<tool_call>{"name": "run_code", "arguments": {"code": "{{{value}}}"}}</tool_call>""",
            "qwen" or "qwen25" => $$$"""
                <tool_call>
                {"name": "run_code", "arguments": {"code": "{{{value}}}"}}
                </tool_call>
                """,
            "llama3" => $$$"""{"name": "run_code", "parameters": {"code": "{{{value}}}"}}""",
            "mistral" => $$$"""[TOOL_CALLS] [{"name": "run_code", "arguments": {"code": "{{{value}}}"}}]""",
            "deepseekv3" => "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>run_code\n```json\n"
                + $$$"""{"code": "{{{value}}}"}""" + "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
            "deepseekv31" => "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>run_code<｜tool▁sep｜>"
                + $$$"""{"code": "{{{value}}}"}""" + "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
            "kimi_k2" => "<|tool_calls_section_begin|><|tool_call_begin|>functions.run_code:0<|tool_call_argument_begin|>"
                + $$$"""{"code": "{{{value}}}"}""" + "<|tool_call_end|><|tool_calls_section_end|>",
            "minimax-m2" => "<minimax:tool_call><invoke name=\"run_code\"><parameter name=\"code\">" + value
                + "</parameter></invoke></minimax:tool_call>",
            "pythonic" => $"[run_code(code='{value}')]",
            "glm" or "glm45" => $"<tool_call>run_code\n<arg_key>code</arg_key><arg_value>{value}</arg_value></tool_call>",
            "glm47" => $"<tool_call>run_code<arg_key>code</arg_key><arg_value>{value}</arg_value></tool_call>",
            _ => $"<tool_call><function=run_code><parameter=code>{value}</parameter></function></tool_call>",
        };

        var (_, single) = ToolCallStream.Run(name, Tools, text.Select(c => c.ToString()));
        var (_, whole) = ToolCallStream.Run(name, Tools, [text]);

        Assert.Equal(("run_code", $$$"""{"code": "{{{value}}}"}"""), Assert.Single(single));
        Assert.Equal(single, whole);
    }

    [Fact]
    public void An_unknown_tool_is_dropped_with_a_warning_or_forwarded()
    {
        const string Text = """Hi <tool_call>{"name": "nope", "arguments": {"a": 1}}</tool_call>""";
        var warnings = new List<string>();

        var dropped = ToolCallStream.Run("hermes", Tools, [Text], new ToolCallOptions(Warn: warnings.Add));
        var forwarded = ToolCallStream.Run("hermes", Tools, [Text], new ToolCallOptions(ForwardsUnknownTools: true));
        var whole = ToolCallParsers.ParseWhole("hermes", Text, Tools, new ToolCallOptions(ForwardsUnknownTools: true));

        Assert.Equal("Hi ", dropped.Text);
        Assert.Empty(dropped.Calls);
        Assert.Contains("'nope'", Assert.Single(warnings), StringComparison.Ordinal);
        Assert.Equal(("nope", """{"a": 1}"""), Assert.Single(forwarded.Calls));
        Assert.Equal(new ToolCall(-1, "nope", """{"a": 1}"""), Assert.Single(whole.Calls));
    }

    [Fact]
    public void The_index_of_a_whole_call_is_the_tools_place_in_the_request()
    {
        const string Text = """
            <tool_call>{"name": "run_code", "arguments": {}}</tool_call>
            <tool_call>{"name": "ping", "arguments": {}}</tool_call>
            """;

        Assert.Equal([2, 0], ToolCallParsers.ParseWhole("hermes", Text, Tools).Calls.Select(call => call.Index));
    }

    [Fact]
    public void An_unknown_parser_is_refused_with_the_nearest_name()
    {
        var exception = Assert.Throws<UnknownParserException>(() => ToolCallParsers.Create("hermess", Tools));

        Assert.Contains("did you mean 'hermes'?", exception.Message, StringComparison.Ordinal);
        Assert.Contains("qwen25", exception.Message, StringComparison.Ordinal);
    }

    private static string Show((string Text, List<(string, string)> Calls) result) =>
        $"'{result.Text}' {string.Join("; ", result.Calls)}";
}

/// <summary>Random arguments and the texts in which models write them.</summary>
internal static class RandomJson
{
    private static readonly string[] Texts =
    [
        "", "Paris", "a \"q\" \\ /", "line\nbreak\ttab", "日本 🌍 é", "</tool", "}]", "<", "\u0001", "{\"x\": 1}", " a ",
        "007", "null",
    ];

    public static JsonObject Object(Random random, int depth)
    {
        var json = new JsonObject();
        for (var i = random.Next(4); i > 0; i--)
        {
            json[$"k{i}{(random.Next(4) == 0 ? "é\"" : "")}"] = Value(random, depth);
        }

        return json;
    }

    private static JsonNode? Value(Random random, int depth) => random.Next(depth > 0 ? 8 : 6) switch
    {
        0 => null,
        1 => random.Next(2) == 0,
        2 => random.Next(-1000, 1000),
        3 => Math.Round(random.NextDouble() * 1000, 3),
        4 => 1e-7 * random.Next(1, 9),
        5 => Texts[random.Next(Texts.Length)],
        6 => Object(random, depth - 1),
        _ => new JsonArray([.. Enumerable.Range(0, random.Next(3)).Select(_ => Value(random, depth - 1))]),
    };

    public static string Write(string name, List<(string Name, JsonObject Arguments)> calls, Random random)
    {
        var key = name == ToolCallParsers.JsonArray ? "parameters" : "arguments";
        var texts = calls.Select(call =>
        {
            var json = new JsonObject { ["name"] = call.Name, [key] = call.Arguments.DeepClone() };
            return json.ToJsonString(new JsonSerializerOptions
            {
                WriteIndented = random.Next(3) == 0,
                Encoder = random.Next(2) == 0
                    ? System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping : null,
            });
        });
        return name switch
        {
            ToolCallParsers.JsonArray => $"[{string.Join(", ", texts)}]",
            "hermes" => string.Concat(texts.Select(text => $"<tool_call>{text}</tool_call>")),
            _ => string.Join('\n', texts.Select(text => $"<tool_call>\n{text}\n</tool_call>")),
        };
    }
}
