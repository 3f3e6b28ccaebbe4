using System.Collections.Immutable;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Specs;

/// <summary>A part of a model that owns tensors. Parts are data; nothing here computes.</summary>
public abstract record Part(string Name)
{
    public abstract IEnumerable<TensorSpec> Tensors { get; }
}

/// <summary>A model as data: every part, in the order in which it runs.</summary>
public sealed record ModelSpec(
    Embedding Embedding, ImmutableArray<LayerSpec> Layers, RmsNorm FinalNorm, Head Head)
{
    /// <summary>The class name in config.json, such as Qwen3MoeForCausalLM.</summary>
    public required string Architecture { get; init; }

    /// <summary>model_type in config.json.</summary>
    public required string ModelType { get; init; }

    /// <summary>Positions that the checkpoint was made for, scaling of the rotary embedding included.</summary>
    public required int ContextLength { get; init; }

    /// <summary>The element type that config.json names.</summary>
    public required DType CheckpointType { get; init; }

    public IEnumerable<Part> Parts => [Embedding, .. Layers.SelectMany(layer => layer.Parts), FinalNorm, Head];

    public IEnumerable<TensorSpec> Tensors => Parts.SelectMany(part => part.Tensors);
}

/// <summary>residual += Mix(norm(residual)); residual += Ffn(norm(residual)).</summary>
public sealed record LayerSpec(RmsNorm PreMix, Mixer Mix, RmsNorm PreFfn, Ffn Ffn)
{
    public IEnumerable<Part> Parts => [PreMix, Mix, PreFfn, Ffn];
}

/// <summary>Token id to vector. Rows are tokens.</summary>
public sealed record Embedding(string Name, int Vocabulary, int Hidden) : Part(Name)
{
    public TensorSpec Weight => new($"{Name}.weight", [Vocabulary, Hidden]);

    public override IEnumerable<TensorSpec> Tensors => [Weight];
}

/// <summary>y = x / rms(x) * weight, over the last <paramref name="Width"/> elements.</summary>
public sealed record RmsNorm(string Name, int Width, float Epsilon) : Part(Name)
{
    /// <summary>The checkpoint holds the weight less 1; the 1 is added when it is loaded.</summary>
    public bool ZeroCentred { get; init; }

    public TensorSpec Weight => new($"{Name}.weight", [Width]) { Added = ZeroCentred ? 1 : 0 };

    public override IEnumerable<TensorSpec> Tensors => [Weight];
}

/// <summary>Hidden vector to logits; a tied head is the embedding's table.</summary>
public sealed record Head(string Name, int Vocabulary, int Hidden, bool Tied) : Part(Name)
{
    public TensorSpec Weight => new($"{Name}.weight", [Vocabulary, Hidden]);

    public override IEnumerable<TensorSpec> Tensors => Tied ? [] : [Weight];
}
