using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Models;

/// <summary>The architectures that exist here: the class name in config.json and what describes it.</summary>
public static class Architectures
{
    private static readonly Dictionary<string, Func<HfConfig, ModelSpec>> _describe = new(StringComparer.Ordinal)
    {
        ["LlamaForCausalLM"] = Llama.Describe,
        ["MistralForCausalLM"] = Mistral.Describe,
        ["MixtralForCausalLM"] = Mixtral.Describe,
        ["Qwen2ForCausalLM"] = Qwen2.Describe,
        ["Qwen3ForCausalLM"] = Qwen3.Describe,
        ["Qwen3MoeForCausalLM"] = Qwen3Moe.Describe,
    };

    /// <summary>Class names, sorted.</summary>
    public static IEnumerable<string> Supported => _describe.Keys.Order(StringComparer.Ordinal);

    public static ModelSpec Describe(HfConfig config)
    {
        var names = config.Architectures;
        var name = names.FirstOrDefault(_describe.ContainsKey)
            ?? throw new ConfigurationException(
                $"{config.Path}: the architecture {string.Join(", ", names)} is not supported; supported are " +
                string.Join(", ", Supported));
        return _describe[name](config) with { Architecture = name };
    }
}
