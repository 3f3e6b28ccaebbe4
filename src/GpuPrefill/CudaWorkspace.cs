using LsglangSharp.GpuPrefill.Launch;
using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.GpuPrefill;

/// <summary>
/// What a model's operations need of a GPU's memory for themselves in the largest step: known before the GPU is there, and taken
/// from it once, so that nothing is allocated while serving.
/// </summary>
/// <param name="Spec">The model.</param>
/// <param name="Shard">The GPU's share of every layer.</param>
/// <param name="Experts">Which layers' experts are on the GPUs.</param>
/// <param name="Sizes">The largest step.</param>
public sealed record CudaWorkspace(ModelSpec Spec, Shard Shard, ExpertPlacement Experts, StepSizes Sizes)
{
    public long Bytes =>
        CudaDevice.ReserveBytes(Sizes.TokensMax, InnerMax) + AttentionBytes(Spec, Shard, Sizes.SequencesMax)
        + RouterBytes + ExpertBytes + ChooserBytes;

    /// <summary>Scores of all experts.</summary>
    public long RouterBytes => Sparse.Select(moe => Route.ScratchBytes(Sizes.TokensMax, moe.Router.Experts)).DefaultIfEmpty().Max();

    /// <summary>What lies between the products of experts on this GPU.</summary>
    internal long ExpertBytes
    {
        get
        {
            // As CudaExperts takes it: one size for all layers, the largest in each respect.
            Moe[] resident = [.. Experts.Layers(Spec, onDevice: true).Select(layer => (Moe)Spec.Layers[layer].Ffn)];
            return resident.Length == 0 ? 0 : CudaExperts.ScratchBytes(
                Sizes.TokensMax, resident.Max(moe => moe.Router.TopK), resident.Max(moe => moe.Router.Experts),
                Spec.Embedding.Hidden, resident.Max(moe => Shard.Inner(moe.Intermediate).Count));
        }
    }

    /// <summary>Tokens are chosen where the head is.</summary>
    internal long ChooserBytes => Shard.IsFirst ? CudaChooser.Bytes(Spec.Head.Vocabulary, Sizes.LogitRowsMax) : 0;

    /// <summary>The widest gated MLP that is not a routed expert; 0 if there is none.</summary>
    internal int InnerMax => Spec.Layers.Select(layer => layer.Ffn switch
    {
        Mlp mlp => Shard.Inner(mlp.Intermediate).Count,
        Moe { Shared: { } shared } => Shard.Inner(shared.Intermediate).Count,
        _ => 0,
    }).DefaultIfEmpty().Max();

    /// <summary>
    /// Bytes that attention over long contexts takes, for steps of up to so many sequences: one piece that all layers share.
    /// </summary>
    public static long AttentionBytes(ModelSpec spec, Shard shard, int sequencesMax) =>
        spec.Layers.Select(layer => layer.Mix).OfType<Gqa>().Select(shard.Local).Where(gqa => gqa.Heads > 0)
            .Select(gqa => new AttentionShape(gqa.KvHeads, gqa.Heads / gqa.KvHeads, gqa.HeadDim, DType.F32, sequencesMax).WorkspaceBytes)
            .DefaultIfEmpty().Max();

    private IEnumerable<Moe> Sparse => Spec.Layers.Select(layer => layer.Ffn).OfType<Moe>();
}
