using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Models;

public sealed class ModelFolderTests : IDisposable
{
    private const string Config = """
        {
          "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1,
          "num_attention_heads": 4, "vocab_size": 320, "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "eos_token_id": EOS
        }
        """;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_missing_folder_is_named()
    {
        var error = Assert.Throws<ConfigurationException>(() => ModelFolder.Open(_folder.File("Qwen/Qwen3-8B")));

        Assert.StartsWith($"there is no model folder {_folder.Path}/Qwen/Qwen3-8B;", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_without_configuration_is_named()
    {
        var error = Assert.Throws<ConfigurationException>(() => ModelFolder.Open(_folder.Path));

        Assert.Equal($"the model folder {_folder.Path} has no config.json", error.Message);
    }

    [Theory]
    [InlineData("2", null, "2")]
    [InlineData("[2, 5, 6]", null, "2 5 6")]
    [InlineData("null", null, "")]
    [InlineData("2", "[7, 2]", "2 7")]
    [InlineData("null", "9", "9")]
    public void Answers_end_with_the_tokens_of_both_files(string config, string? generation, string expected)
    {
        _folder.Write("config.json", Config.Replace("EOS", config, StringComparison.Ordinal));
        if (generation is not null)
        {
            _folder.Write("generation_config.json", $"{{\"eos_token_id\": {generation}}}");
        }

        Assert.Equal(expected, string.Join(' ', ModelFolder.Open(_folder.Path).EosTokenIds));
    }

    [Fact]
    public void Recommended_sampling_values_are_read()
    {
        _folder.Write("config.json", Config.Replace("EOS", "2", StringComparison.Ordinal));
        _folder.Write("generation_config.json", """{"temperature": 0.6, "top_k": 20, "top_p": 0.95, "repetition_penalty": 1.05}""");

        var generation = ModelFolder.Open(_folder.Path).Generation;

        Assert.Equal(new GenerationDefaults(0.6, 0.95, 20, null, 1.05), generation);
    }

    [Fact]
    public void Nothing_is_recommended_where_the_file_is_missing()
    {
        _folder.Write("config.json", Config.Replace("EOS", "2", StringComparison.Ordinal));

        Assert.Equal(new GenerationDefaults(null, null, null, null, null), ModelFolder.Open(_folder.Path).Generation);
    }

    [Theory]
    [InlineData("""{"temperature": "hot"}""", "\"temperature\" is \"hot\"")]
    [InlineData("""{"top_p": 2}""", "\"top_p\" is 2")]
    [InlineData("{", "not valid JSON")]
    public void Wrong_recommendations_are_errors(string json, string reason)
    {
        _folder.Write("config.json", Config.Replace("EOS", "2", StringComparison.Ordinal));
        _folder.Write("generation_config.json", json);

        var error = Assert.Throws<ConfigurationException>(() => ModelFolder.Open(_folder.Path));

        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"quantization_config\": {\"quant_method\": \"fp8\"}", "fp8")]
    [InlineData("\"compression_config\": {\"quant_method\": \"compressed-tensors\"}", "compressed-tensors")]
    [InlineData("\"text_config\": {\"quantization_config\": {\"quant_method\": \"awq\"}}", "awq")]
    public void A_quantized_model_can_be_described_but_not_loaded(string key, string method)
    {
        _folder.Write("config.json", Config.Replace("EOS", $"2, {key}", StringComparison.Ordinal));

        var folder = ModelFolder.Open(_folder.Path);

        Assert.Single(folder.Spec.Layers);
        var error = Assert.Throws<ConfigurationException>(folder.RequireLoadable);
        Assert.Contains($"quantization {method} is not supported yet", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_quantization_described_in_a_file_of_its_own_is_refused_too()
    {
        _folder.Write("config.json", Config.Replace("EOS", "2", StringComparison.Ordinal));
        _folder.Write("quantize_config.json", "{}");

        var error = Assert.Throws<ConfigurationException>(ModelFolder.Open(_folder.Path).RequireLoadable);

        Assert.Contains("quantization (quantize_config.json) is not supported yet", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Plain_weights_can_be_loaded()
    {
        _folder.Write("config.json", Config.Replace("EOS", "2, \"quantization_config\": null", StringComparison.Ordinal));

        ModelFolder.Open(_folder.Path).RequireLoadable();
    }
}
