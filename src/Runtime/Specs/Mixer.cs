namespace LsglangSharp.Runtime.Specs;

/// <summary>The part of a layer that moves information between positions.</summary>
public abstract record Mixer(string Name) : Part(Name)
{
    /// <summary>Elements that the cache keeps for each token of context.</summary>
    public abstract long CachedElementsPerToken { get; }
}

/// <summary>Grouped-query attention with rotary positions.</summary>
public sealed record Gqa(string Name, int Hidden, int Heads, int KvHeads, int HeadDim, Rotary Rotary) : Mixer(Name)
{
    public override long CachedElementsPerToken => 2L * KvHeads * HeadDim;

    /// <summary>Bias on q, k and v.</summary>
    public bool QkvBias { get; init; }

    /// <summary>Bias on the output projection.</summary>
    public bool OutputBias { get; init; }

    /// <summary>RMS norm of each head of q and k before the rotation; its epsilon, or null for none.</summary>
    public float? QkNormEpsilon { get; init; }

    /// <summary>Keys further back than this many positions are not seen; null sees all.</summary>
    public int? Window { get; init; }

    /// <summary>
    /// A learned score for each head that joins the softmax's denominator, as in gpt-oss; see AttentionRule.
    /// </summary>
    public bool HasSinks { get; init; }

    public TensorSpec Query => new($"{Name}.q_proj.weight", [(long)Heads * HeadDim, Hidden]);

    public TensorSpec Key => new($"{Name}.k_proj.weight", [(long)KvHeads * HeadDim, Hidden]);

    public TensorSpec Value => new($"{Name}.v_proj.weight", [(long)KvHeads * HeadDim, Hidden]);

    public TensorSpec Output => new($"{Name}.o_proj.weight", [Hidden, (long)Heads * HeadDim]);

    public TensorSpec? QueryBias => QkvBias ? new($"{Name}.q_proj.bias", [(long)Heads * HeadDim]) : null;

    public TensorSpec? KeyBias => QkvBias ? new($"{Name}.k_proj.bias", [(long)KvHeads * HeadDim]) : null;

    public TensorSpec? ValueBias => QkvBias ? new($"{Name}.v_proj.bias", [(long)KvHeads * HeadDim]) : null;

    public TensorSpec? OutBias => OutputBias ? new($"{Name}.o_proj.bias", [Hidden]) : null;

    public TensorSpec? Sinks => HasSinks ? new($"{Name}.sinks", [Heads]) : null;

    public RmsNorm? QueryNorm => QkNormEpsilon is { } epsilon ? new($"{Name}.q_norm", HeadDim, epsilon) : null;

    public RmsNorm? KeyNorm => QkNormEpsilon is { } epsilon ? new($"{Name}.k_norm", HeadDim, epsilon) : null;

    public override IEnumerable<TensorSpec> Tensors =>
    [
        Query, Key, Value, Output,
        .. new[] { QueryBias, KeyBias, ValueBias, OutBias, Sinks, QueryNorm?.Weight, KeyNorm?.Weight }
            .OfType<TensorSpec>(),
    ];
}

/// <summary>Rotary position embedding over the first <paramref name="Dimensions"/> elements of a head.</summary>
public sealed record Rotary(int Dimensions, double Theta)
{
    /// <summary>Pairs are (2i, 2i + 1); otherwise (i, i + Dimensions / 2).</summary>
    public bool Interleaved { get; init; }

    /// <summary>How the frequencies are stretched for longer contexts; null for not at all.</summary>
    public RotaryScaling? Scaling { get; init; }
}

/// <summary>A way to stretch rotary frequencies.</summary>
public abstract record RotaryScaling;

/// <summary>All frequencies divided by the factor.</summary>
public sealed record LinearScaling(double Factor) : RotaryScaling;

/// <summary>Blend by wavelength between the original and the divided frequency, as Llama 3.1 does.</summary>
public sealed record Llama3Scaling(
    double Factor, double LowFrequencyFactor, double HighFrequencyFactor, int OriginalContext) : RotaryScaling;

/// <summary>
/// YaRN (Peng et al. 2023): a ramp over the pair index between extrapolated and interpolated frequencies.
/// </summary>
public sealed record YarnScaling(double Factor, int OriginalContext) : RotaryScaling
{
    public double BetaFast { get; init; } = 32;

    public double BetaSlow { get; init; } = 1;

    /// <summary>Round the ramp's ends to whole pair indices.</summary>
    public bool Truncate { get; init; } = true;

    /// <summary>What cosine and sine are multiplied by; null derives it from factor and mscale.</summary>
    public double? AttentionFactor { get; init; }

    public double? Mscale { get; init; }

    public double? MscaleAllDim { get; init; }
}
