using System.Text.RegularExpressions;

namespace LsglangSharp.Runtime.Parsing;

/// <summary>Which parsers a chat template's own words point to; the first rule that fits decides.</summary>
internal static partial class ParserInference
{
    public static string? ToolCallParser(string template)
    {
        bool Has(string text) => template.Contains(text, StringComparison.Ordinal);
        return Has("<|channel|>") ? "gpt-oss"
            : Has("<|tool_calls_section_begin|>") ? "kimi_k2"
            : Has("<minimax:tool_call>") ? "minimax-m2"
            : Has("<｜DSML｜function_calls>") ? "deepseekv32"
            : Has("<｜DSML｜tool_calls>") ? "deepseekv4"
            : Has("<｜tool▁calls▁begin｜>") ? Has("```json") ? "deepseekv3" : "deepseekv31"
            : Has("<function=") && Has("<parameter=") ? "qwen3_coder"
            : Has("<arg_key>") ? GlmWithoutNewline().IsMatch(template) ? "glm47" : "glm45"
            : Has("[TOOL_CALLS]") ? "mistral"
            : Has("<|python_tag|>") ? "llama3"
            : Has("<|python_start|>") ? "pythonic"
            : !Has("<tool_call>") ? null
            : HasNewlineAfterTag().IsMatch(template) ? "qwen25" : "hermes";
    }

    public static string? ReasoningParser(string template)
    {
        bool Has(string text) => template.Contains(text, StringComparison.Ordinal);
        var toggle = Toggle(template);
        return Has("<|channel|>") ? "gpt-oss"
            : Has("<|inner_prefix|>") ? "apertus2509"
            : Has("<mm:think>") ? "minimax-m3"
            : Has("◁think▷") ? "kimi"
            : Has("[THINK]") ? "mistral"
            : Has("<|tool_calls_section_begin|>") ? "kimi_k2"
            : Has("[gMASK]<sop>") && toggle == ("enable_thinking", true) ? "glm45"
            : Has("<minimax:tool_call>") ? "minimax"
            : Has("<｜DSML｜tool_calls>") ? "deepseek-v4"
            : toggle == ("thinking", false) && Has("<｜") ? "deepseek-v3"
            : Has("truncate_history_thinking") && toggle == ("enable_thinking", true) ? "nemotron_3"
            : toggle == ("enable_thinking", true) ? "qwen3"
            : toggle == ("enable_thinking", false) ? "mimo"
            : Has("<think>") || Has("</think>") ? "deepseek-r1" : null;
    }

    /// <summary>The argument that switches thinking, and whether it is on where the request does not give it.</summary>
    private static (string Name, bool IsOn)? Toggle(string template)
    {
        if (EnableThinking().IsMatch(template))
        {
            return ("enable_thinking", OnByDefault().IsMatch(template));
        }

        return Thinking().IsMatch(template) ? ("thinking", false) : null;
    }

    [GeneratedRegex(@"<tool_call>(\\n|\n)")]
    private static partial Regex HasNewlineAfterTag();

    [GeneratedRegex(@"<tool_call>'\s*[+~]|<tool_call>\{function-name\}<arg_key>")]
    private static partial Regex GlmWithoutNewline();

    [GeneratedRegex(@"\benable_thinking\b")]
    private static partial Regex EnableThinking();

    [GeneratedRegex(@"\b(if|elif|not|and|or|set)\s+(not\s+)?thinking\b")]
    private static partial Regex Thinking();

    [GeneratedRegex(@"not\s+enable_thinking|enable_thinking\s+is\s+(not\s+defined|undefined|false)|"
        + @"enable_thinking\s+is\s+not\s+(true|none)|enable_thinking\s*\|\s*default\(\s*true|"
        + @"enable_thinking\s*==\s*false|set\s+enable_thinking\s*=\s*true", RegexOptions.IgnoreCase)]
    private static partial Regex OnByDefault();
}
