using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Models;

public sealed class ArchitecturesTests
{
    [Fact]
    public void An_unknown_architecture_is_named_with_those_that_exist()
    {
        var config = HfConfig.Parse("""{"architectures": ["FooForCausalLM"]}""");

        var error = Assert.Throws<ConfigurationException>(() => Architectures.Describe(config));

        Assert.Equal(
            "config.json: the architecture FooForCausalLM is not supported; supported are LlamaForCausalLM, MistralForCausalLM, " +
            "MixtralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, Qwen3MoeForCausalLM",
            error.Message);
    }

    [Fact]
    public void The_first_known_architecture_of_several_decides()
    {
        var spec = Describe("Foo\", \"LlamaForCausalLM");

        Assert.Equal("LlamaForCausalLM", spec.Architecture);
    }

    [Theory]
    [InlineData("", "1111")]
    [InlineData("\"decoder_sparse_step\": 2,", "0101")]
    [InlineData("\"decoder_sparse_step\": 3,", "0010")]
    [InlineData("\"mlp_only_layers\": [0, 3],", "0110")]
    [InlineData("\"decoder_sparse_step\": 2, \"mlp_only_layers\": [3],", "0100")]
    [InlineData("\"num_experts\": 0,", "0000")]
    public void Qwen3_moe_mixes_dense_and_routed_layers(string keys, string routed)
    {
        var spec = Describe("Qwen3MoeForCausalLM", keys);

        Assert.Equal(routed, string.Concat(spec.Layers.Select(layer => layer.Ffn is Moe ? '1' : '0')));
    }

    [Theory]
    [InlineData("Qwen3MoeForCausalLM", "\"norm_topk_prob\": true,", true)]
    [InlineData("Qwen3MoeForCausalLM", "\"norm_topk_prob\": false,", false)]
    [InlineData("MixtralForCausalLM", "", true)]
    public void Router_weights_sum_to_one_where_they_should(string architecture, string keys, bool renormalize)
    {
        var moe = (Moe)Describe(architecture, keys).Layers[0].Ffn;

        Assert.Equal(new Router(4, 2, RouterScoring.Softmax) { Renormalize = renormalize }, moe.Router);
    }

    [Theory]
    [InlineData("LlamaForCausalLM", "", false, false, false)]
    [InlineData("LlamaForCausalLM", "\"attention_bias\": true,", true, true, false)]
    [InlineData("Qwen2ForCausalLM", "", true, false, false)]
    [InlineData("Qwen3ForCausalLM", "", false, false, true)]
    [InlineData("Qwen3ForCausalLM", "\"attention_bias\": true,", true, true, true)]
    [InlineData("Qwen3MoeForCausalLM", "", false, false, true)]
    [InlineData("MixtralForCausalLM", "", false, false, false)]
    public void Attention_has_its_biases_and_norms(string architecture, string keys, bool qkv, bool output, bool norms)
    {
        var gqa = (Gqa)Describe(architecture, keys).Layers[0].Mix;

        Assert.Equal((qkv, output, norms), (gqa.QkvBias, gqa.OutputBias, gqa.QkNormEpsilon is not null));
    }

    [Theory]
    [InlineData("Qwen3ForCausalLM", "\"sliding_window\": 16,", "----")]
    [InlineData("Qwen3ForCausalLM", "\"sliding_window\": 16, \"use_sliding_window\": true, \"max_window_layers\": 2,", "--ww")]
    [InlineData("Qwen2ForCausalLM", "\"sliding_window\": 16, \"use_sliding_window\": true, \"max_window_layers\": 4,", "----")]
    [InlineData("Qwen2ForCausalLM", "\"sliding_window\": 16, \"use_sliding_window\": true,", "----")]
    [InlineData("Qwen2ForCausalLM", "\"sliding_window\": null, \"use_sliding_window\": true, \"max_window_layers\": 0,", "----")]
    [InlineData(
        "Qwen3ForCausalLM",
        """
        "sliding_window": 16, "use_sliding_window": true,
        "layer_types": ["full_attention", "sliding_attention", "full_attention", "sliding_attention"],
        """,
        "-w-w")]
    [InlineData("Qwen3MoeForCausalLM", "\"sliding_window\": 16, \"use_sliding_window\": true,", "wwww")]
    [InlineData("Qwen3MoeForCausalLM", "\"sliding_window\": 16, \"use_sliding_window\": false,", "----")]
    [InlineData("MistralForCausalLM", "\"sliding_window\": 16,", "wwww")]
    [InlineData("MistralForCausalLM", "\"sliding_window\": null,", "----")]
    [InlineData("LlamaForCausalLM", "\"sliding_window\": 16,", "----")]
    public void Windows_are_where_the_configuration_says(string architecture, string keys, string windows)
    {
        var spec = Describe(architecture, keys);

        Assert.Equal(windows, string.Concat(spec.Layers.Select(layer => ((Gqa)layer.Mix).Window switch
        {
            16 => 'w',
            null => '-',
            _ => '?',
        })));
    }

    [Theory]
    [InlineData("Qwen3ForCausalLM", 128)]
    [InlineData("LlamaForCausalLM", 16)]
    [InlineData("Qwen3MoeForCausalLM", 16)]
    public void Without_head_dim_heads_share_the_hidden_size_but_in_dense_qwen3(string architecture, int headDim) =>
        Assert.Equal(headDim, ((Gqa)Describe(architecture).Layers[0].Mix).HeadDim);

    [Fact]
    public void Mixtral_keeps_the_names_of_its_first_release()
    {
        var spec = Describe("MixtralForCausalLM");

        var expert = ((Moe)spec.Layers[1].Ffn).Expert(3);
        Assert.Equal("model.layers.1.block_sparse_moe.experts.3.w1.weight", expert.Gate.Name);
        Assert.Equal("model.layers.1.block_sparse_moe.experts.3.w3.weight", expert.Up.Name);
        Assert.Equal("model.layers.1.block_sparse_moe.experts.3.w2.weight", expert.Down.Name);
    }

    [Fact]
    public void Biases_of_the_mlp_are_refused() =>
        Assert.Throws<ConfigurationException>(() => Describe("LlamaForCausalLM", "\"mlp_bias\": true,"));

    [SkippableFact]
    public void Each_published_configuration_is_described_or_refused_by_name()
    {
        Skip.If(Repository.Shared is null, "reference data is not here");
        foreach (var file in Directory.EnumerateFiles(Repository.Shared!, "config.json", SearchOption.AllDirectories))
        {
            try
            {
                Assert.NotEmpty(ModelFolder.Open(Path.GetDirectoryName(file)!).Spec.Layers);
            }
            catch (ConfigurationException error)
            {
                Assert.StartsWith(file, error.Message, StringComparison.Ordinal);
            }
        }
    }

    private static ModelSpec Describe(string architecture, string keys = "")
    {
        // A later key of the same name counts.
        return Architectures.Describe(HfConfig.Parse($$"""
            {
              "architectures": ["{{architecture}}"], "hidden_size": 64, "intermediate_size": 96, "moe_intermediate_size": 32,
              "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 320, "num_experts": 4,
              "num_local_experts": 4, "num_experts_per_tok": 2, {{keys}} "max_position_embeddings": 4096, "rms_norm_eps": 1e-6
            }
            """));
    }
}
