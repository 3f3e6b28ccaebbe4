using System.Text;
using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Text.Templates;

namespace LsglangSharp.Runtime.Tests.Text.Templates;

public sealed class ChatTemplateTests
{
    public static TheoryData<string> HostileTemplates => new()
    {
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(x) %}{{ f(x + [x]) }}{% endmacro %}{{ f([]) }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{{ 'aaaaaaaaaa' * 100000 }}{% endfor %}",
        "{% set ns = namespace(s='ab') %}{% for a in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{% set ns = namespace(s=[1]) %}{% for a in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{% set ns = namespace(s=2) %}{% for a in range(99) %}{% set ns.s = ns.s * ns.s %}{% endfor %}",
        "{% set ns = namespace(s='a') %}{% for a in range(99) %}{% set ns.s = ns.s|replace('a', 'aaaa') %}{% endfor %}",
        "{% set ns = namespace(s=[]) %}{% for a in range(99999) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s=[]) %}{% for a in range(99999) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s|tojson }}",
        "{{ 'x' * 10 ** 12 }}",
        "{{ [1] * 10 ** 12 }}",
        "{{ [1, 2, 3, 4] * 10 ** 30 }}",
        "{{ (1, 2, 3, 4) * 10 ** 30 }}",
        "{{ 10 ** (10 ** 10) }}",
        "{{ 'x'|center(10 ** 12) }}",
        "{{ 'x'.ljust(10 ** 12) }}",
        "{{ '%999999999999d' % 1 }}",
        "{{ '{:999999999999}'.format(1) }}",
        "{{ '%.999999999f' % 1.5 }}",
        "{{ 'a\nb'|indent(10 ** 12) }}",
        "{{ [1]|batch(10 ** 12, 0)|list }}",
        "{{ [[[1]]]|tojson(indent=10 ** 12) }}",
        "{{ range(10 ** 12) }}",
        "{{ " + new string('(', 200_000) + "1" + new string(')', 200_000) + " }}",
        "{{ " + new string('[', 200_000) + "1" + new string(']', 200_000) + " }}",
        "{{ " + new string('-', 200_000) + "1 }}",
        "{{ " + string.Concat(Enumerable.Repeat("not ", 200_000)) + "1 }}",
        string.Concat(Enumerable.Repeat("{% if 1 %}", 100_000))
            + string.Concat(Enumerable.Repeat("{% endif %}", 100_000)),
    };

    [Theory]
    [MemberData(nameof(HostileTemplates))]
    public void A_hostile_template_ends_with_a_fault(string source)
    {
        var exception = Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse(source).Render([]));

        Assert.NotEmpty(exception.Message);
    }

    [Theory]
    [InlineData("{{ 1", " + 1", 100_000, " }}")]
    [InlineData("{{ x", ".x", 100_000, " }}")]
    [InlineData("{{ 'x'", "|trim", 100_000, " }}")]
    [InlineData("{{ 1", " and 1", 100_000, " }}")]
    [InlineData("{{ 1", " if 1 else 1", 100_000, " }}")]
    [InlineData("{% if 0 %}", "{% elif 0 %}", 100_000, "{% endif %}")]
    public void A_long_chain_renders_or_is_refused_but_never_overflows_the_stack(
        string start, string link, int count, string end)
    {
        var source = new StringBuilder(start).Insert(start.Length, link, count).Append(end).ToString();

        var exception = Record.Exception(() => ChatTemplate.Parse(source).Render([]));

        Assert.True(exception is null or ChatTemplateException, exception?.ToString());
    }

    [Fact]
    public void A_refusal_of_the_template_carries_its_own_words_and_line()
    {
        var template = ChatTemplate.Parse(
            "a\n{% if messages %}\n{{ raise_exception('Roles must alternate') }}{% endif %}");

        var exception = Assert.Throws<ChatTemplateException>(
            () => template.Render(new JsonObject { ["messages"] = new JsonArray(1) }));

        Assert.True(exception.IsRaisedByTemplate);
        Assert.Equal("Roles must alternate", exception.Message);
        Assert.Equal("Roles must alternate", exception.Describe());
        Assert.Equal(3, exception.Line);
    }

    [Fact]
    public void A_fault_says_kind_and_line()
    {
        var exception = Assert.Throws<ChatTemplateException>(
            () => ChatTemplate.Parse("\n\n{{ messages[0].content + 1 }}").Render(
                new JsonObject { ["messages"] = new JsonArray(new JsonObject { ["content"] = "x" }) }));

        Assert.False(exception.IsRaisedByTemplate);
        Assert.Equal(
            "chat template, line 3: TypeError: can only concatenate str (not \"int\") to str", exception.Describe());
    }

    [Theory]
    [InlineData("{{ messages", 1)]
    [InlineData("\n{% if x %}\n", 2)]
    [InlineData("\n{{ 'a' ! }}", 2)]
    [InlineData("{# open", 1)]
    [InlineData("{% include 'other' %}", 1)]
    [InlineData("{% extends 'other' %}", 1)]
    [InlineData("{% import 'other' as x %}", 1)]
    public void A_template_that_cannot_be_parsed_says_where(string source, int line)
    {
        var exception = Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse(source));

        Assert.Equal("TemplateSyntaxError", exception.Kind);
        Assert.Equal(line, exception.Line);
    }

    [Fact]
    public void Numbers_keep_their_kind_and_keys_their_order()
    {
        var variables = JsonNode.Parse(
            """{"v":{"z":1,"a":1.0,"m":[1e3,-0.0,12345678901234567890,0.1]}}""")!.AsObject();

        var text = ChatTemplate.Parse("{{ v }} {{ v|tojson }}").Render(variables);

        Assert.Equal(
            "{'z': 1, 'a': 1.0, 'm': [1000.0, -0.0, 12345678901234567890, 0.1]} "
            + """{"z": 1, "a": 1.0, "m": [1000.0, -0.0, 12345678901234567890, 0.1]}""",
            text);
    }

    [Fact]
    public void Values_built_in_code_render_as_parsed_ones_do()
    {
        var variables = new JsonObject
        {
            ["i"] = 1, ["l"] = 5L, ["d"] = 2.0, ["f"] = 0.5f, ["b"] = true, ["s"] = "x", ["n"] = null, ["m"] = 3m,
        };

        Assert.Equal("1 5 2.0 0.5 True x None 3", ChatTemplate.Parse(
            "{{ i }} {{ l }} {{ d }} {{ f }} {{ b }} {{ s }} {{ n }} {{ m }}").Render(variables));
    }

    [Fact]
    public void Duplicate_keys_in_a_request_are_a_fault_of_the_request()
    {
        var variables = JsonNode.Parse("""{"v":{"a":1,"a":2}}""")!.AsObject();

        Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse("{{ v }}").Render(variables));
    }

    [Fact]
    public void One_template_renders_on_many_threads_at_once()
    {
        var template = ChatTemplate.Parse(
            "{% macro f(n) %}{% if n > 0 %}{{ n }},{{ f(n - 1) }}{% endif %}{% endmacro %}"
            + "{% set ns = namespace(x=0) %}{% for i in range(n) %}{% set ns.x = ns.x + i %}{% endfor %}"
            + "{{ f(n) }}{{ ns.x }}");
        var expected = Enumerable.Range(0, 40).Select(n => Render(template, n)).ToArray();

        Parallel.For(0, 2000, i => Assert.Equal(expected[i % 40], Render(template, i % 40)));
    }

    private static string Render(ChatTemplate template, int n) => template.Render(new JsonObject { ["n"] = n });

    [Theory]
    [InlineData("{% for m in messages %}{{ m.content }}{% endfor %}", ContentFormat.String)]
    [InlineData("{% for c in message['content'] %}{{ c }}{% endfor %}", ContentFormat.Parts)]
    [InlineData("{% for c in msg.content %}{{ c }}{% endfor %}", ContentFormat.Parts)]
    [InlineData("{% for c in m.content | selectattr('type') %}{{ c }}{% endfor %}", ContentFormat.Parts)]
    [InlineData("{% for c in message.content[1:] %}{{ c }}{% endfor %}", ContentFormat.Parts)]
    [InlineData("{% macro f(m) %}{% for c in m.content %}{{ c }}{% endfor %}{% endmacro %}", ContentFormat.Parts)]
    [InlineData("{% for c in other.content %}{{ c }}{% endfor %}", ContentFormat.String)]
    [InlineData("{% for c in message.content.split(' ') %}{{ c }}{% endfor %}", ContentFormat.String)]
    [InlineData("<image>", ContentFormat.Parts)]
    [InlineData("", ContentFormat.String)]
    public void The_content_format_is_found_in_the_template(string source, ContentFormat expected) =>
        Assert.Equal(expected, ChatTemplate.Parse(source).ContentFormat);
}
