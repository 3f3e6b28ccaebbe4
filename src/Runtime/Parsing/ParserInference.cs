using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using LsglangSharp.Runtime.Text.Templates;

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
            : Has("<mm:think>") ? "minimax-m3"
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

    public static string? ReasoningParser(ChatTemplate template)
    {
        bool Has(string text) => template.Source.Contains(text, StringComparison.Ordinal);
        var isOn = IsOnByDefault(template, "enable_thinking");
        return Has("<|channel|>") ? "gpt-oss"
            : Has("<|inner_prefix|>") ? "apertus2509"
            : Has("<|channel>thought") ? "gemma4"
            : Has("<mm:think>") ? "minimax-m3"
            : Has("◁think▷") ? "kimi"
            : Has("[THINK]") ? "mistral"
            : Has("<|tool_calls_section_begin|>") ? "kimi_k2"
            : Has("[gMASK]<sop>") && isOn == true ? "glm45"
            : Has("<minimax:tool_call>") ? "minimax"
            : Has("DSML") ? "deepseek-v4"
            : Has("<｜") && IsOnByDefault(template, "thinking") == false ? "deepseek-v3"
            : !Has("think>") ? null
            : isOn is null ? "deepseek-r1"
            : Has("truncate_history_thinking") && isOn == true ? "nemotron_3"
            : isOn == true ? "qwen3" : "mimo";
    }

    /// <summary>
    /// Whether a template thinks where the request does not say: it is asked by rendering with its switch on, off and
    /// left out. Null where the switch changes nothing.
    /// </summary>
    private static bool? IsOnByDefault(ChatTemplate template, string name)
    {
        string? Render(bool? value)
        {
            var variables = new JsonObject
            {
                ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "Hello" }),
                ["add_generation_prompt"] = true,
                ["bos_token"] = "",
                ["eos_token"] = "",
            };
            if (value is not null)
            {
                variables[name] = value;
            }

            try
            {
                return template.Render(variables);
            }
            catch (ChatTemplateException)
            {
                return null;
            }
        }

        var (on, off) = (Render(true), Render(false));
        return on == off ? null : Render(null) == on;
    }

    [GeneratedRegex(@"<tool_call>(\\n|\n)")]
    private static partial Regex HasNewlineAfterTag();

    [GeneratedRegex(@"'<tool_call>'\s*\+\s*tc\.name")]
    private static partial Regex GlmWithoutNewline();
}
