using LsglangSharp.Runtime.Layers;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Execution;

/// <summary>
/// Runs one batch through the model, on one device or on several that share every layer. The only code that knows the order of
/// a forward pass.
/// </summary>
public sealed class Coordinator : IForward
{
    private readonly Rank[] _ranks;
    private readonly Tensor[] _residuals;
    private readonly ICollective? _collective;
    private readonly int _layers;

    public Coordinator(BoundModel model, IDevice device, StepSizes sizes)
        : this([(model, device)], null, sizes)
    {
    }

    /// <param name="ranks">Each device with its share of one model, the first with the head.</param>
    /// <param name="collective">What puts the shares together; null for one rank.</param>
    /// <param name="sizes">The largest step.</param>
    public Coordinator(
        IReadOnlyList<(BoundModel Model, IDevice Device)> ranks, ICollective? collective, StepSizes sizes)
    {
        Check.That(ranks.Count == 1 || collective is not null);
        _ranks = [.. ranks.Select(rank => new Rank(rank.Model, rank.Device, sizes))];
        _residuals = new Tensor[_ranks.Length];
        _collective = collective;
        _layers = ranks[0].Model.Layers.Count;
        Vocabulary = ranks[0].Model.Spec.Head.Vocabulary;
    }

    public int Vocabulary { get; }

    /// <summary>
    /// Told the residual stream [T, hidden] after the embedding (layer -1) and after each layer: to find the first
    /// layer that deviates from a reference.
    /// </summary>
    public Action<int, Tensor>? OnResidual { get; set; }

    /// <summary>Told what the router of each sparse layer chose, in the order of the layers.</summary>
    public Action<Routes>? OnRoutes { get; set; }

    public ReadOnlySpan<float> Run(StepBatch batch)
    {
        for (var i = 0; i < _ranks.Length; i++)
        {
            _ranks[i].Begin(batch, i == 0 ? OnRoutes : null);
            _residuals[i] = _ranks[i].Residual;
        }

        OnResidual?.Invoke(-1, _residuals[0]);
        for (var layer = 0; layer < _layers; layer++)
        {
            Mix(layer);
            Ffn(layer);
            OnResidual?.Invoke(layer, _residuals[0]);
        }

        return _ranks[0].Logits(batch.LogitRowCount);
    }

    private void Mix(int layer)
    {
        foreach (var rank in _ranks)
        {
            rank.NormBeforeMix(layer);
        }

        _collective?.Split(_residuals);
        foreach (var rank in _ranks)
        {
            rank.Mix(layer);
        }

        _collective?.Sum(_residuals);
    }

    private void Ffn(int layer)
    {
        foreach (var rank in _ranks)
        {
            rank.NormBeforeFfn(layer);
        }

        _collective?.Split(_residuals);
        foreach (var rank in _ranks)
        {
            rank.Ffn(layer);
        }

        _collective?.Sum(_residuals);
    }
}
