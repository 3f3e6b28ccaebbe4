using System.Collections.Immutable;

namespace LsglangSharp.Runtime.Specs;

/// <summary>The part of a layer that works on each position alone.</summary>
public abstract record Ffn(string Name) : Part(Name);

/// <summary>down(silu(gate(x)) * up(x)).</summary>
public sealed record Mlp(string Name, int Hidden, int Intermediate) : Ffn(Name)
{
    public TensorSpec Gate => new($"{Name}.gate_proj.weight", [Intermediate, Hidden]);

    public TensorSpec Up => new($"{Name}.up_proj.weight", [Intermediate, Hidden]);

    public TensorSpec Down => new($"{Name}.down_proj.weight", [Hidden, Intermediate]);

    public override IEnumerable<TensorSpec> Tensors => [Gate, Up, Down];
}

/// <summary>How router logits become scores.</summary>
public enum RouterScoring
{
    Softmax,
    Sigmoid,
}

/// <summary>What a group of experts is worth when some groups are chosen before the experts are.</summary>
public enum GroupScoring
{
    /// <summary>The score of its best expert (DeepSeek-V2).</summary>
    Best,

    /// <summary>The sum of its two best scores, correction included (DeepSeek-V3, GLM-4 MoE, Kimi-K2).</summary>
    BestTwo,
}

/// <summary>Scores every expert for a token and keeps the best <paramref name="TopK"/>.</summary>
public sealed record Router(int Experts, int TopK, RouterScoring Scoring)
{
    /// <summary>The most groups that any device takes.</summary>
    public const int GroupsMax = 32;

    /// <summary>Divide the kept weights by their sum, to which 1e-20 is added: all of them may be zero.</summary>
    public bool Renormalize { get; init; }

    /// <summary>Experts in this many groups of neighbours, of which only <see cref="GroupsKept"/> can be chosen from.</summary>
    public int Groups { get; init; } = 1;

    public int GroupsKept { get; init; } = 1;

    public GroupScoring GroupScoring { get; init; }

    /// <summary>The kept weights are multiplied by it, after all else.</summary>
    public float Scale { get; init; } = 1;
}

/// <summary>
/// The weighted sum of the routed few of many gated MLPs, and perhaps one more that every token passes.
/// </summary>
public sealed record Moe(string Name, int Hidden, int Intermediate, Router Router) : Ffn(Name)
{
    /// <summary>What the three matrices of an expert are called.</summary>
    public ExpertNames Names { get; init; } = new("gate_proj", "up_proj", "down_proj");

    /// <summary>Added to the routed experts' sum; null for none.</summary>
    public Mlp? Shared { get; init; }

    /// <summary>
    /// What the checkpoint calls, below <see cref="Part.Name"/>, the numbers that are added to the experts' scores for choosing
    /// and not for the weights; null for none.
    /// </summary>
    public string? CorrectionName { get; init; }

    public TensorSpec Gate => new($"{Name}.gate.weight", [Router.Experts, Hidden]);

    public TensorSpec? Correction => CorrectionName is { } name ? new($"{Name}.{name}", [Router.Experts]) : null;

    /// <summary>What belongs to the layer and to no single expert.</summary>
    public IEnumerable<TensorSpec> Common =>
        [Gate, .. Correction is { } correction ? [correction] : Array.Empty<TensorSpec>(), .. Shared?.Tensors ?? []];

    /// <summary>
    /// The three tensors of one expert: one tensor each, or rows of the fused <c>experts.gate_up_proj</c>
    /// [experts, 2 * intermediate, hidden] (gate first) and <c>experts.down_proj</c> [experts, hidden, intermediate].
    /// </summary>
    public ExpertTensors Expert(int index)
    {
        long intermediate = Intermediate;
        ImmutableArray<long> fusedGateUp = [Router.Experts, 2 * intermediate, Hidden];
        ImmutableArray<long> fusedDown = [Router.Experts, Hidden, intermediate];
        return new ExpertTensors(
            Tensor(Names.Gate, intermediate, Hidden, "gate_up_proj", fusedGateUp, index * 2 * intermediate),
            Tensor(Names.Up, intermediate, Hidden, "gate_up_proj", fusedGateUp, ((index * 2) + 1) * intermediate),
            Tensor(Names.Down, Hidden, intermediate, "down_proj", fusedDown, (long)index * Hidden));

        TensorSpec Tensor(
            string name, long rows, long columns, string fused, ImmutableArray<long> fusedShape, long rowStart) =>
            new($"{Name}.experts.{index}.{name}.weight", [rows, columns], Residency.Experts)
            {
                Alternatives =
                [
                    new($"{Name}.experts.{fused}", fusedShape, rowStart),
                    new($"{Name}.experts.{fused}.weight", fusedShape, rowStart),
                ],
            };
    }

    public override IEnumerable<TensorSpec> Tensors =>
    [
        .. Common,
        .. Enumerable.Range(0, Router.Experts).SelectMany(index => Expert(index).All),
    ];
}

/// <summary>The names that a checkpoint gives to the matrices of an expert.</summary>
public sealed record ExpertNames(string Gate, string Up, string Down);

/// <summary>One routed expert: gate and up [intermediate, hidden], down [hidden, intermediate].</summary>
public sealed record ExpertTensors(TensorSpec Gate, TensorSpec Up, TensorSpec Down)
{
    public IEnumerable<TensorSpec> All => [Gate, Up, Down];
}
