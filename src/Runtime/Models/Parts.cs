using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Models;

/// <summary>
/// The usual reading of config.json: parts that most architectures share. They change theirs with <c>with</c>.
/// </summary>
internal static class Parts
{
    // No model comes near these; beyond them products overflow and lists exhaust memory.
    private const int WidthMax = 1 << 20;
    private const int VocabularyMax = 1 << 24;
    private const int LayersMax = 2_000;
    private const int ExpertsMax = 1 << 14;
    private const int HeadDimMax = 1 << 14;
    private const int ContextMax = 1 << 30;

    /// <summary>What the reference takes for max_window_layers where the file does not name it.</summary>
    private const int WindowedFromByDefault = 28;

    /// <summary>
    /// model.embed_tokens, model.layers.N, model.norm and lm_head, with the layers that <paramref name="layer"/>
    /// describes.
    /// </summary>
    public static ModelSpec Decoder(this HfConfig c, Func<string, int, LayerSpec> layer)
    {
        if (c.Text("hidden_act") is not (null or "silu"))
        {
            throw c.Wrong("hidden_act", "\"silu\"");
        }

        var layers = c.Whole("num_hidden_layers", 1, LayersMax);
        return new ModelSpec(
            new Embedding("model.embed_tokens", c.Vocabulary(), c.Hidden()),
            [.. Enumerable.Range(0, layers).Select(index => layer($"model.layers.{index}", index))],
            c.Norm("model.norm"),
            new Head("lm_head", c.Vocabulary(), c.Hidden(), c.Flag("tie_word_embeddings", false)))
        {
            Architecture = c.Architectures[0],
            ModelType = c.ModelType,
            ContextLength = c.ContextLength(),
            CheckpointType = c.CheckpointType,
        };
    }

    /// <summary>The usual four parts of a layer under their usual names.</summary>
    public static LayerSpec Layer(this HfConfig c, string at, Mixer mix, Ffn ffn) =>
        new(c.Norm($"{at}.input_layernorm"), mix, c.Norm($"{at}.post_attention_layernorm"), ffn);

    public static int Hidden(this HfConfig c) => c.Whole("hidden_size", 1, WidthMax);

    private static int Vocabulary(this HfConfig c) => c.Whole("vocab_size", 1, VocabularyMax);

    public static float Epsilon(this HfConfig c) => (float)c.Number("rms_norm_eps", 0, 1);

    public static RmsNorm Norm(this HfConfig c, string name) => new(name, c.Hidden(), c.Epsilon());

    public static Mlp Mlp(this HfConfig c, string name) =>
        new(name, c.Hidden(), c.Whole("intermediate_size", 1, WidthMax));

    public static Moe Moe(
        this HfConfig c, string name, string expertsKey = "num_experts", string widthKey = "moe_intermediate_size")
    {
        var experts = c.Whole(expertsKey, 1, ExpertsMax);
        return new Moe(
            name,
            c.Hidden(),
            c.Whole(widthKey, 1, WidthMax),
            new Router(experts, c.Whole("num_experts_per_tok", 1, experts), RouterScoring.Softmax)
            {
                Renormalize = c.Flag("norm_topk_prob", false),
            });
    }

    /// <summary>
    /// Heads of <paramref name="headDimDefault"/> elements, or hidden / heads, where the file names no head_dim.
    /// </summary>
    public static Gqa Gqa(this HfConfig c, string name, int? headDimDefault = null)
    {
        var heads = c.Whole("num_attention_heads", 1, WidthMax);
        var kvHeads = c.WholeOrNull("num_key_value_heads", 1, WidthMax) ?? heads;
        if (heads % kvHeads != 0)
        {
            throw c.Wrong("num_key_value_heads", $"a divisor of num_attention_heads, which is {heads}");
        }

        var headDim = c.WholeOrNull("head_dim", 1, HeadDimMax) ?? headDimDefault ?? c.HiddenPerHead(heads);
        if ((long)heads * headDim > WidthMax)
        {
            throw c.Wrong("num_attention_heads", $"at most {WidthMax / headDim} heads of {headDim} elements");
        }

        var bias = c.Flag("attention_bias", false);
        return new Gqa(name, c.Hidden(), heads, kvHeads, headDim, c.Rotary(headDim))
        {
            QkvBias = bias,
            OutputBias = bias,
        };
    }

    /// <summary>sliding_window on the layers that use it, where use_sliding_window is set; null otherwise.</summary>
    public static int? WindowWhereUsed(this HfConfig c, int layerIndex)
    {
        if (!c.Flag("use_sliding_window", false) || c.WholeOrNull("sliding_window") is not { } window)
        {
            return null;
        }

        if (c.Texts("layer_types") is { } types)
        {
            return layerIndex < types.Length && types[layerIndex] is "sliding_attention" ? window : null;
        }

        return layerIndex >= (c.WholeOrNull("max_window_layers", 0) ?? WindowedFromByDefault) ? window : null;
    }

    public static Rotary Rotary(this HfConfig c, int headDim)
    {
        // Newer files keep all of it in rope_parameters, older ones at the top and in rope_scaling.
        var parameters = c.Section("rope_parameters");
        var scaling = parameters ?? c.Section("rope_scaling");
        var source = parameters ?? c;
        var theta = source.NumberOrNull("rope_theta", 1, 1e15) ?? c.NumberOrNull("rope_theta", 1, 1e15) ?? 10_000;
        var share = source.NumberOrNull("partial_rotary_factor", 0, 1)
            ?? c.NumberOrNull("partial_rotary_factor", 0, 1) ?? 1;
        var dimensions = (int)(headDim * share);
        if (dimensions < 2 || dimensions % 2 != 0)
        {
            throw new ConfigurationException(
                $"{c.Path}: {dimensions} of {headDim} elements of a head would be rotated; expected an even number " +
                "from 2 on");
        }

        return new Rotary(dimensions, theta) { Scaling = scaling is null ? null : Scaling(c, scaling) };
    }

    private static RotaryScaling? Scaling(HfConfig c, HfConfig s)
    {
        var key = s.Text("rope_type") is null ? "type" : "rope_type";
        return s.Text(key) switch
        {
            null or "default" => null,
            "linear" => new LinearScaling(Factor()),
            "llama3" => new Llama3Scaling(
                Factor(),
                s.Number("low_freq_factor", 1e-6, 1e6),
                s.Number("high_freq_factor", 1e-6, 1e6),
                s.Whole("original_max_position_embeddings", 1, ContextMax)),
            "yarn" => Yarn(),
            _ => throw s.Wrong(key, "one of default, linear, llama3, yarn"),
        };

        double Factor() => s.Number("factor", 1e-6, 1e6);

        YarnScaling Yarn()
        {
            var original = s.WholeOrNull("original_max_position_embeddings", 1, ContextMax) ?? c.Positions();
            return new YarnScaling(s.NumberOrNull("factor", 1e-6, 1e6) ?? (double)c.Positions() / original, original)
            {
                BetaFast = s.NumberOrNull("beta_fast", 1e-6, 1e6) ?? 32,
                BetaSlow = s.NumberOrNull("beta_slow", 1e-6, 1e6) ?? 1,
                Truncate = s.Flag("truncate", true),
                AttentionFactor = s.NumberOrNull("attention_factor", 1e-6, 1e6),
                Mscale = s.NumberOrNull("mscale", 0, 1e6),
                MscaleAllDim = s.NumberOrNull("mscale_all_dim", 0, 1e6),
            };
        }
    }

    private static int Positions(this HfConfig c) => c.Whole("max_position_embeddings", 1, ContextMax);

    /// <summary>
    /// max_position_embeddings, times the factor of a rope scaling that does not say what it was stretched from: where
    /// it does, the number is taken to be the stretched one already.
    /// </summary>
    private static int ContextLength(this HfConfig c)
    {
        var scaling = c.Section("rope_parameters") ?? c.Section("rope_scaling");
        var type = scaling?.Text("rope_type") ?? scaling?.Text("type");
        var stretched = type is "linear" or "yarn" && scaling!.WholeOrNull("original_max_position_embeddings") is null;
        var factor = stretched ? scaling!.NumberOrNull("factor", 1e-6, 1e6) ?? 1 : 1;
        return (int)Math.Min(ContextMax, c.Positions() * factor);
    }

    private static int HiddenPerHead(this HfConfig c, int heads) => c.Hidden() % heads == 0
        ? c.Hidden() / heads
        : throw c.Wrong(
            "num_attention_heads", $"a divisor of hidden_size, which is {c.Hidden()}, or a head_dim beside it");
}
