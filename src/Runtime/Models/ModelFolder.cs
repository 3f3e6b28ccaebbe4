using System.Collections.Immutable;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Models;

/// <summary>A folder with a published model: what its configuration files say.</summary>
public sealed class ModelFolder
{
    private ModelFolder(string path, HfConfig config, HfConfig? generation)
    {
        Path = path;
        Config = config;
        Spec = Architectures.Describe(config);
        Generation = GenerationDefaults.From(generation);
        EosTokenIds = [.. config.Wholes("eos_token_id").Concat(generation?.Wholes("eos_token_id") ?? []).Distinct()];
    }

    public string Path { get; }

    public HfConfig Config { get; }

    public ModelSpec Spec { get; }

    /// <summary>What generation_config.json recommends.</summary>
    public GenerationDefaults Generation { get; }

    /// <summary>
    /// Tokens that end an answer: those of config.json, then those that only generation_config.json names.
    /// </summary>
    public ImmutableArray<int> EosTokenIds { get; }

    /// <summary>
    /// Reads the configuration; weights and tokenizer stay unread. <paramref name="overrides"/>:
    /// --json-model-override-args.
    /// </summary>
    public static ModelFolder Open(string path, string? overrides = null)
    {
        if (!Directory.Exists(path))
        {
            throw new ConfigurationException(
                $"there is no model folder {path}; models are not downloaded: give the path of a folder with " +
                "config.json and *.safetensors");
        }

        var config = System.IO.Path.Combine(path, "config.json");
        if (!File.Exists(config))
        {
            throw new ConfigurationException($"the model folder {path} has no config.json");
        }

        var generation = System.IO.Path.Combine(path, "generation_config.json");
        return new ModelFolder(
            path, HfConfig.Read(config, overrides), File.Exists(generation) ? HfConfig.Read(generation) : null);
    }

    /// <summary>
    /// Refuses weights in a format that cannot be loaded. Describing such a model, or making dummy weights for it,
    /// works.
    /// </summary>
    public void RequireLoadable()
    {
        // Older exports describe their quantization in a file of its own.
        string[] besides = ["quantize_config.json", "hf_quant_config.json", "quant_config.json"];
        var file = besides.FirstOrDefault(name => File.Exists(System.IO.Path.Combine(Path, name)));
        if ((Config.QuantizationMethod ?? (file is null ? null : $"({file})")) is { } method)
        {
            throw new ConfigurationException(
                $"{Config.Path}: quantization {method} is not supported yet; supported are weights in bfloat16, " +
                "float16 and float32");
        }
    }
}

/// <summary>Sampling values that a model's makers recommend; null where they say nothing.</summary>
public sealed record GenerationDefaults(
    double? Temperature, double? TopP, int? TopK, double? MinP, double? RepetitionPenalty)
{
    internal static GenerationDefaults From(HfConfig? file) => new(
        file?.NumberOrNull("temperature", 0, 100),
        file?.NumberOrNull("top_p", 0, 1),
        file?.WholeOrNull("top_k", -1),
        file?.NumberOrNull("min_p", 0, 1),
        file?.NumberOrNull("repetition_penalty", 0, 100));
}
