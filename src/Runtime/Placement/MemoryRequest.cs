using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Placement;

/// <summary>What a memory plan is made from: the model, what the operator asked for, and what is there.</summary>
public sealed record MemoryRequest
{
    public const double StaticFractionByDefault = 0.9;

    public required ModelSpec Spec { get; init; }

    /// <summary>The element type of weights in memory.</summary>
    public required DType Weights { get; init; }

    /// <summary>The element type of keys and values.</summary>
    public required DType Cache { get; init; }

    /// <summary>Bytes that may still be taken before anything of the model is loaded.</summary>
    public required long BytesAvailable { get; init; }

    /// <summary>Rows of the largest step.</summary>
    public required int StepTokensMax { get; init; }

    /// <summary>Rows of the largest step whose logits are wanted.</summary>
    public required int LogitRowsMax { get; init; }

    /// <summary>Slots of a page of the cache.</summary>
    public required int PageSize { get; init; }

    /// <summary>The longest sequence that will be served.</summary>
    public required int ContextLength { get; init; }

    /// <summary>More cache than for this many tokens is not taken; null takes what there is.</summary>
    public int? UsefulTokens { get; init; }

    /// <summary>--mem-fraction-static: the share of the available bytes for weights and cache.</summary>
    public double StaticFraction { get; init; } = StaticFractionByDefault;

    /// <summary>--max-total-tokens; null to derive it.</summary>
    public int? TotalTokens { get; init; }

    /// <summary>VLLM_CPU_KVCACHE_SPACE in bytes; null to derive it.</summary>
    public long? CacheBytes { get; init; }
}
