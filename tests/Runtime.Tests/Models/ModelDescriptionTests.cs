using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Support;

namespace LsglangSharp.Runtime.Tests.Models;

public sealed class ModelDescriptionTests
{
    [Fact]
    public void Draws_every_kind_of_layer_once_and_adds_up_what_the_model_costs()
    {
        var spec = Architectures.Describe(HfConfig.Parse("""
            {
              "architectures": ["Qwen3MoeForCausalLM"], "hidden_size": 64, "intermediate_size": 96, "moe_intermediate_size": 32,
              "num_hidden_layers": 4, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 64, "vocab_size": 1263,
              "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "num_experts": 8, "num_experts_per_tok": 3,
              "norm_topk_prob": true, "mlp_only_layers": [1], "tie_word_embeddings": true, "torch_dtype": "bfloat16",
              "rope_theta": 1e6, "rope_scaling": {"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 1024}
            }
            """));

        var lines = ModelDescription.Lines(spec, DType.BF16, DType.F32);

        Assert.Equal(
            """
            Qwen3MoeForCausalLM, 4 layers of 64, vocabulary 1,263, context 4,096, bfloat16

            model.embed_tokens.weight          [1263, 64]
            model.layers.0, 2..3               3 alike
              input_layernorm.weight           [64]  RMS norm, epsilon 1e-06
              self_attn                        attention, 3 heads over 1, each 64, q and k normed; rotary base 1000000, YaRN x4 from 1024
                q_proj.weight                  [192, 64]
                k_proj.weight                  [64, 64]
                v_proj.weight                  [64, 64]
                o_proj.weight                  [64, 192]
                q_norm.weight                  [64]
                k_norm.weight                  [64]
              post_attention_layernorm.weight  [64]  RMS norm, epsilon 1e-06
              mlp                              3 of 8 experts, each 32; softmax, renormalised
                gate.weight                    [8, 64]
                experts.0..7.gate_proj.weight  [32, 64]
                experts.0..7.up_proj.weight    [32, 64]
                experts.0..7.down_proj.weight  [64, 32]
            model.layers.1
              input_layernorm.weight           [64]  RMS norm, epsilon 1e-06
              self_attn                        attention, 3 heads over 1, each 64, q and k normed; rotary base 1000000, YaRN x4 from 1024
                q_proj.weight                  [192, 64]
                k_proj.weight                  [64, 64]
                v_proj.weight                  [64, 64]
                o_proj.weight                  [64, 192]
                q_norm.weight                  [64]
                k_norm.weight                  [64]
              post_attention_layernorm.weight  [64]  RMS norm, epsilon 1e-06
              mlp                              gated MLP, 96
                gate_proj.weight               [96, 64]
                up_proj.weight                 [96, 64]
                down_proj.weight               [64, 96]
            model.norm.weight                  [64]  RMS norm, epsilon 1e-06
            lm_head                            tied to the embedding

            parameters               380,416 (0.38 M)
            active per token         288,256 (0.29 M)
            weights                  0.73 MiB in bfloat16
            read per token           0.55 MiB in bfloat16
            cache per token          2,048 bytes in float32
            cache of a full context  8.00 MiB
            """.ReplaceLineEndings("\n"),
            string.Join('\n', lines));
    }

    [SkippableFact]
    public void Says_what_is_known_of_a_published_model()
    {
        Skip.If(Repository.Shared is null, "reference data is not here");
        var spec = ModelFolder.Open(Repository.SharedPath("configs", "Llama-3.1-8B")!).Spec;

        var text = string.Join('\n', ModelDescription.Lines(spec, DType.BF16, DType.BF16));

        Assert.Contains("model.layers.0..31                 32 alike", text, StringComparison.Ordinal);
        Assert.Contains("32 heads over 8, each 128; rotary base 500000, llama3 x8 from 8192", text, StringComparison.Ordinal);
        Assert.Contains("parameters               8,030,261,248 (8.03 B)", text, StringComparison.Ordinal);
        Assert.Contains("read per token           13.98 GiB in bfloat16", text, StringComparison.Ordinal);
        Assert.Contains("cache per token          131,072 bytes in bfloat16", text, StringComparison.Ordinal);
    }
}
