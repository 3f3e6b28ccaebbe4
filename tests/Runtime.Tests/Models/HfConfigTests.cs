using System.Text;
using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Tests.Models;

public sealed class HfConfigTests
{
    private const string Sound = """
        {
          "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_size": 64, "intermediate_size": 96,
          "moe_intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
          "vocab_size": 320, "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "num_experts": 8, "num_experts_per_tok": 2
        }
        """;

    [Theory]
    [InlineData("hidden_size")]
    [InlineData("intermediate_size", "mlp_only_layers", "[1]")]
    [InlineData("moe_intermediate_size")]
    [InlineData("num_hidden_layers")]
    [InlineData("num_attention_heads")]
    [InlineData("vocab_size")]
    [InlineData("max_position_embeddings")]
    [InlineData("rms_norm_eps")]
    [InlineData("num_experts")]
    [InlineData("num_experts_per_tok")]
    [InlineData("architectures")]
    public void A_missing_key_is_named_with_what_was_expected(string key, string? besides = null, string value = "")
    {
        var config = JsonNode.Parse(Sound)!.AsObject();
        config.Remove(key);
        if (besides is not null)
        {
            config[besides] = JsonNode.Parse(value);
        }

        var error = Assert.Throws<ConfigurationException>(() => Describe(config.ToJsonString()));

        Assert.StartsWith($"folder/config.json: \"{key}\" is missing; expected a", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("hidden_size", "\"64\"", "whole number")]
    [InlineData("hidden_size", "-64", "whole number")]
    [InlineData("hidden_size", "64.5", "whole number")]
    [InlineData("hidden_size", "1e30", "whole number")]
    [InlineData("num_hidden_layers", "1000000000000", "whole number")]
    [InlineData("num_hidden_layers", "0", "whole number")]
    [InlineData("vocab_size", "[1]", "whole number")]
    [InlineData("num_key_value_heads", "3", "a divisor of num_attention_heads, which is 4")]
    [InlineData("num_experts_per_tok", "9", "whole number from 1 to 8")]
    [InlineData("head_dim", "15", "even number")]
    [InlineData("num_attention_heads", "1048576", "at most 65536 heads of 16 elements")]
    [InlineData("rms_norm_eps", "\"tiny\"", "a number")]
    [InlineData("rms_norm_eps", "-1", "a number")]
    [InlineData("tie_word_embeddings", "1", "true or false")]
    [InlineData("hidden_act", "\"gelu\"", "\"silu\"")]
    [InlineData("torch_dtype", "\"int3\"", "\"bfloat16\"")]
    [InlineData("architectures", "\"Qwen3MoeForCausalLM\"", "a list of at least one name")]
    [InlineData("architectures", "[1]", "a list of at least one name")]
    [InlineData("architectures", "[]", "a list of at least one name")]
    [InlineData("rope_scaling", "\"yarn\"", "an object")]
    [InlineData("rope_scaling", "{\"type\":\"dynamic\",\"factor\":2}", "one of default, linear, llama3, yarn")]
    [InlineData("rope_scaling", "{\"type\":\"linear\"}", "a number")]
    [InlineData("rope_scaling", "{\"rope_type\":\"llama3\",\"factor\":8}", "low_freq_factor")]
    [InlineData("rope_theta", "0", "a number")]
    [InlineData("partial_rotary_factor", "2", "a number")]
    [InlineData("mlp_only_layers", "[\"a\"]", "whole number")]
    [InlineData("mlp_only_layers", "{}", "whole number")]
    [InlineData("decoder_sparse_step", "0", "whole number")]
    public void A_value_that_cannot_be_used_is_named_with_what_was_expected(string key, string value, string expected)
    {
        var error = Assert.Throws<ConfigurationException>(() => Describe(Sound, $"{{\"{key}\": {value}}}"));

        Assert.StartsWith("folder/config.json", error.Message, StringComparison.Ordinal);
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "not valid JSON")]
    [InlineData("{", "not valid JSON")]
    [InlineData("[]", "does not hold a JSON object")]
    [InlineData("""{"a": "\ud800"}""", "not valid JSON")]
    public void A_file_that_is_no_object_is_refused(string json, string reason)
    {
        var error = Assert.Throws<ConfigurationException>(() => HfConfig.Parse(json));

        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_text_config_is_looked_at_first()
    {
        var nested = $$"""{"architectures": ["Qwen3MoeForCausalLM"], "hidden_size": 1152, "dtype": "float16", "text_config": {{Sound}}}""";

        var spec = Describe(nested);

        Assert.Equal(64, spec.Embedding.Hidden);
        Assert.Equal(DType.F16, spec.CheckpointType);
    }

    [Theory]
    [InlineData("""{"hidden_size": 32}""", 32)]
    [InlineData("""{"text_config": {"hidden_size": 32}}""", 32)]
    [InlineData(" ", 64)]
    [InlineData(null, 64)]
    public void Overrides_win(string? overrides, int hidden) => Assert.Equal(hidden, Describe(Sound, overrides).Embedding.Hidden);

    [Fact]
    public void An_override_of_null_takes_a_value_away()
    {
        var yarn = Sound.Replace(
            "\"head_dim\"", "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2}, \"head_dim\"", StringComparison.Ordinal);

        Assert.NotNull(RotaryOf(Describe(yarn)).Scaling);
        Assert.Null(RotaryOf(Describe(yarn, """{"rope_scaling": null}""")).Scaling);
    }

    [Theory]
    [InlineData("[1", "not valid JSON")]
    [InlineData("[1]", "does not hold a JSON object")]
    public void Overrides_that_are_no_object_are_refused(string overrides, string reason)
    {
        var error = Assert.Throws<ConfigurationException>(() => HfConfig.Parse(Sound, overrides: overrides));

        Assert.StartsWith("--json-model-override-args ", error.Message, StringComparison.Ordinal);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Both_spellings_of_rotary_parameters_mean_the_same()
    {
        var old = """
            {"rope_theta": 5e5, "partial_rotary_factor": 0.5,
             "rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 1024, "beta_fast": 16,
                              "truncate": false, "mscale": 0.7, "mscale_all_dim": 1.0, "attention_factor": 1.5}}
            """;
        var current = """
            {"rope_parameters": {"rope_theta": 5e5, "partial_rotary_factor": 0.5, "rope_type": "yarn", "factor": 4,
                                 "original_max_position_embeddings": 1024, "beta_fast": 16, "truncate": false, "mscale": 0.7,
                                 "mscale_all_dim": 1.0, "attention_factor": 1.5}}
            """;
        var expected = new Rotary(8, 5e5)
        {
            Scaling = new YarnScaling(4, 1024)
            {
                BetaFast = 16, BetaSlow = 1, Truncate = false, Mscale = 0.7, MscaleAllDim = 1, AttentionFactor = 1.5,
            },
        };

        Assert.Equal(expected, RotaryOf(Describe(Sound, old)));
        Assert.Equal(expected, RotaryOf(Describe(Sound, current)));
    }

    [Theory]
    [InlineData("""{}""", 10_000, 4096)]
    [InlineData("""{"rope_parameters": {"rope_type": "default", "rope_theta": 7e6}}""", 7e6, 4096)]
    [InlineData("""{"rope_parameters": {"rope_type": "default"}, "rope_theta": 8e6}""", 8e6, 4096)]
    [InlineData("""{"rope_scaling": {"type": "linear", "factor": 2.5}}""", 10_000, 10240)]
    [InlineData("""{"rope_scaling": {"type": "yarn", "factor": 4}}""", 10_000, 16384)]
    [InlineData("""{"rope_scaling": {"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 1024}}""", 10_000, 4096)]
    [InlineData(
        """
        {"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
                          "original_max_position_embeddings": 512}}
        """,
        10_000,
        4096)]
    public void Base_and_context_length_follow_the_rotary_parameters(string overrides, double theta, int context)
    {
        var spec = Describe(Sound, overrides);

        Assert.Equal(theta, RotaryOf(spec).Theta);
        Assert.Equal(context, spec.ContextLength);
    }

    [Fact]
    public void A_stretch_without_a_factor_is_the_ratio_of_the_two_lengths()
    {
        var spec = Describe(Sound, """{"rope_scaling": {"rope_type": "yarn", "original_max_position_embeddings": 512}}""");

        Assert.Equal(new YarnScaling(8, 512), RotaryOf(spec).Scaling);
    }

    [Theory]
    [InlineData("""{"torch_dtype": "bfloat16"}""", DType.BF16)]
    [InlineData("""{"dtype": "float16"}""", DType.F16)]
    [InlineData("""{"torch_dtype": "torch.float32"}""", DType.F32)]
    [InlineData("""{"torch_dtype": "float32", "dtype": "bfloat16"}""", DType.BF16)]
    [InlineData("""{}""", DType.F32)]
    public void The_element_type_has_two_names(string overrides, DType type) =>
        Assert.Equal(type, Describe(Sound, overrides).CheckpointType);

    [Fact]
    public void No_mutation_of_a_file_ends_in_anything_but_a_model_or_a_clear_error()
    {
        var sound = Encoding.UTF8.GetBytes(Sound);
        string[] values = ["-1", "0", "1e999", "null", "\"\\ud800\"", "[]", "{}", "9007199254740993", "2147483648", "\"\"", "true"];
        var random = new Random(3);
        var described = 0;

        for (var round = 0; round < 10_000; round++)
        {
            var text = Sound;
            if (round % 2 == 0)
            {
                var mutated = sound.ToArray();
                mutated[random.Next(mutated.Length)] = (byte)random.Next(256);
                text = Encoding.Latin1.GetString(mutated);
            }
            else
            {
                var config = JsonNode.Parse(Sound)!.AsObject();
                var key = config.ElementAt(random.Next(config.Count)).Key;
                var entry = $"\"{key}\": {config[key]!.ToJsonString()}";
                text = Sound.Replace(entry, $"\"{key}\": {values[random.Next(values.Length)]}", StringComparison.Ordinal);
            }

            try
            {
                Describe(text);
                described++;
            }
            catch (ConfigurationException error)
            {
                Assert.NotEmpty(error.Message);
            }
        }

        Assert.InRange(described, 500, 6000);
    }

    private static ModelSpec Describe(string json, string? overrides = null) =>
        Architectures.Describe(HfConfig.Parse(json, "folder/config.json", overrides));

    private static Rotary RotaryOf(ModelSpec spec) => ((Gqa)spec.Layers[0].Mix).Rotary;
}
