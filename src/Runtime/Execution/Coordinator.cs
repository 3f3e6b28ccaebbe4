using LsglangSharp.Runtime.Layers;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Execution;

/// <summary>
/// Runs one batch through the model, on one device or on several that share every layer. The only code that knows the order of
/// a forward pass.
/// </summary>
public sealed class Coordinator : IForward, IChoosingForward, IDisposable
{
    private readonly Rank[] _ranks;
    private readonly Tensor[] _residuals;
    private readonly ICollective? _collective;
    private readonly HybridExperts? _hybrid;
    private readonly StepSizes _sizes;
    private readonly int _layers;
    private readonly int _contextLengthMax;
    private readonly IChooser? _chooser;
    private StepRecordings? _recordings;

    // Steps that were started and not finished, and the place of the chooser that the next one gets.
    private int _open;
    private int _place;

    public Coordinator(BoundModel model, IDevice device, StepSizes sizes, HybridExperts? hybrid = null)
        : this([(model, device)], null, sizes, hybrid)
    {
    }

    /// <param name="ranks">Each device with its share of one model, the first with the head.</param>
    /// <param name="collective">What puts the shares together; null for one rank.</param>
    /// <param name="sizes">The largest step.</param>
    /// <param name="hybrid">The experts on the host that layers were bound to; null if there are none.</param>
    public Coordinator(
        IReadOnlyList<(BoundModel Model, IDevice Device)> ranks, ICollective? collective, StepSizes sizes,
        HybridExperts? hybrid = null)
    {
        Check.That(ranks.Count == 1 || collective is not null);
        _ranks = [.. ranks.Select(rank => new Rank(rank.Model, rank.Device, sizes))];
        _residuals = new Tensor[_ranks.Length];
        _collective = collective;
        _hybrid = hybrid;
        _sizes = sizes;
        _layers = ranks[0].Model.Layers.Count;
        _contextLengthMax = (int)Math.Min((long)sizes.PagesPerSequenceMax * ranks[0].Model.PageSize, int.MaxValue / 2);
        Vocabulary = ranks[0].Model.Spec.Head.Vocabulary;
        _chooser = ranks[0].Device.NewChooser(Vocabulary, sizes.LogitRowsMax);
    }

    public int Vocabulary { get; }

    public IChoosingForward? Choosing => _chooser is null ? null : this;

    public int EditsMax => _chooser!.EditsMax;

    /// <summary>
    /// Experts on the host are served while a step is started, so that there would be nothing to do beside it; and only the
    /// first rank has the tokens.
    /// </summary>
    public bool RunsAhead => _ranks.Length == 1 && _hybrid is null;

    /// <summary>Sizes of the steps that are recorded, ascending.</summary>
    public IReadOnlyList<int> RecordedSizes => _recordings?.Sizes ?? [];

    /// <summary>
    /// Told the residual stream [T, hidden] after the embedding (layer -1) and after each layer: to find the first
    /// layer that deviates from a reference.
    /// </summary>
    public Action<int, Tensor>? OnResidual { get; set; }

    /// <summary>Told what the router of each sparse layer chose, in the order of the layers.</summary>
    public Action<Routes>? OnRoutes { get; set; }

    /// <summary>
    /// Records steps in which every sequence has one row, for these numbers of rows, so that such a step becomes one launch.
    /// Without effect on a device that records nothing. Runs each once, so weights must be in place and nothing else running.
    /// </summary>
    /// <param name="sizes">Numbers of rows; those beyond the largest step are left out.</param>
    /// <param name="progress">Told how many of how many are recorded.</param>
    public void Record(IReadOnlyList<int> sizes, Action<int, int>? progress = null)
    {
        if (_ranks.Any(rank => rank.Device.Recorder is null))
        {
            return;
        }

        var most = Math.Min(_sizes.SequencesMax, Math.Min(_sizes.TokensMax, _sizes.LogitRowsMax));
        int[] wanted = [.. sizes.Where(rows => rows <= most).Distinct().Order()];
        var recordings = new List<IRecording>();
        var nothing = _sizes.NewBatch();
        foreach (var rows in wanted)
        {
            var shape = StepShape.Padded(rows, _contextLengthMax);
            // Once as it will be, on rows that do nothing: what operations set up when they are first used is there then.
            foreach (var rank in _ranks)
            {
                rank.Send(nothing, shape);
            }

            Enqueue(shape);
            foreach (var rank in _ranks)
            {
                rank.Device.Finish();
            }

            recordings.Add(Recorded(shape));
            progress?.Invoke(recordings.Count, wanted.Length);
        }

        _recordings = new StepRecordings(wanted, recordings);
    }

    public ReadOnlySpan<float> Run(StepBatch batch)
    {
        try
        {
            Begin(batch);
            var logits = _ranks[0].Logits(batch.LogitRowCount);
            _collective?.Verify();
            _hybrid?.ThrowIfFaulty();
            return logits;
        }
        catch (DeviceFaultException fault) when (!fault.IsFatal)
        {
            Recover();
            throw;
        }
    }

    public void Start(StepBatch batch, ChoiceRules rules)
    {
        Check.That(_open < (RunsAhead ? 2 : 1) && batch.HasTokenSources == (_open == 1));
        try
        {
            Begin(batch);
            _chooser!.Start(_ranks[0].LogitRows, rules, _place);
            _open++;
            _place = 1 - _place;
        }
        catch (DeviceFaultException fault) when (!fault.IsFatal)
        {
            _open = 0;
            Recover();
            throw;
        }
    }

    public ReadOnlySpan<ChosenToken> Finish()
    {
        Check.That(_open > 0);
        try
        {
            var chosen = _chooser!.Finish(_open == 1 ? 1 - _place : _place);
            _collective?.Verify();
            _hybrid?.ThrowIfFaulty();
            _open--;
            return chosen;
        }
        catch (DeviceFaultException fault) when (!fault.IsFatal)
        {
            _open = 0;
            Recover();
            throw;
        }
    }

    public ReadOnlySpan<float> Logits(int row)
    {
        Check.That(_open == 0);
        return _ranks[0].Logits(1, row);
    }

    public void Dispose()
    {
        _recordings?.Dispose();
        _chooser?.Dispose();
    }

    /// <summary>Enqueues a step.</summary>
    private void Begin(StepBatch batch)
    {
        Check.That(batch.TokenCount > 0 && batch.TokenCount <= _sizes.TokensMax);
        Check.That(batch.SequenceCount <= _sizes.SequencesMax && batch.LogitRowCount <= _sizes.LogitRowsMax);
        if (OnResidual is null && OnRoutes is null && _recordings?.For(batch) is { } recording)
        {
            Replay(recording, batch);
        }
        else
        {
            Launch(batch);
        }
    }

    private void Launch(StepBatch batch)
    {
        var shape = StepShape.Of(batch);
        foreach (var rank in _ranks)
        {
            rank.Send(batch, shape);
        }

        TakeTokens(batch, shape);
        Enqueue(shape);
    }

    /// <summary>Fills in the tokens that the open step chooses.</summary>
    private void TakeTokens(StepBatch batch, in StepShape shape)
    {
        if (batch.HasTokenSources)
        {
            _chooser!.TakeTokens(
                1 - _place, batch.TokenSources.AsSpan(0, batch.TokenCount), _ranks[0].Tokens(shape, batch.TokenCount));
        }
    }

    private void Replay(in StepRecordings.Entry entry, StepBatch batch)
    {
        var shape = StepShape.Padded(entry.Rows, _contextLengthMax);
        foreach (var rank in _ranks)
        {
            rank.Send(batch, shape);
        }

        TakeTokens(batch, shape);
        entry.Recording.Replay();
        _hybrid?.ServeStep(batch.TokenCount);
    }

    private IRecording Recorded(StepShape shape)
    {
        _hybrid?.IsRecording = true;
        try
        {
            return JointRecording.Of([.. _ranks.Select(rank => rank.Device.Recorder!)], () => Enqueue(shape));
        }
        finally
        {
            _hybrid?.IsRecording = false;
        }
    }

    /// <summary>Every operation of a step whose arrays are on the device, or on their way.</summary>
    private void Enqueue(in StepShape shape)
    {
        for (var i = 0; i < _ranks.Length; i++)
        {
            _ranks[i].Begin(shape, i == 0 ? OnRoutes : null);
            _residuals[i] = _ranks[i].Residual;
        }

        OnResidual?.Invoke(-1, _residuals[0]);
        for (var layer = 0; layer < _layers; layer++)
        {
            Mix(layer);
            Ffn(layer);
            OnResidual?.Invoke(layer, _residuals[0]);
        }

        _ranks[0].Head(shape);
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

    /// <summary>After a fault in the middle of a step: brings the devices to rest, so that the next step finds nothing of it.</summary>
    private void Recover()
    {
        _hybrid?.GiveUp();
        foreach (var rank in _ranks)
        {
            try
            {
                rank.Device.Finish();
            }
            catch (DeviceFaultException fault) when (!fault.IsFatal)
            {
                // Of the same step, which has failed anyway.
            }
        }

        _hybrid?.Reset();
    }
}
