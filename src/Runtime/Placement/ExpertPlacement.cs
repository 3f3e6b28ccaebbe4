using System.Collections.Immutable;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Placement;

/// <summary>
/// Which MoE layers keep their experts on the device that runs attention; the others' experts are on the host's CPUs.
/// <paramref name="Resident"/>: null for all of them.
/// </summary>
public sealed record ExpertPlacement(ImmutableArray<int>? Resident)
{
    public static ExpertPlacement AllOnDevice { get; } = new((ImmutableArray<int>?)null);

    /// <summary>Some layers' experts may be on the host.</summary>
    public bool IsHybrid => Resident is not null;

    public bool IsOnDevice(int layer) => Resident is not { } layers || layers.Contains(layer);

    /// <summary>The MoE layers of a model that have their experts on the device, or else on the host.</summary>
    public ImmutableArray<int> Layers(ModelSpec spec, bool onDevice) =>
        [.. Enumerable.Range(0, spec.Layers.Length).Where(layer => spec.Layers[layer].Ffn is Moe && IsOnDevice(layer) == onDevice)];
}
