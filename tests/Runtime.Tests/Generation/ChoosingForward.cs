using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Sampling;

namespace LsglangSharp.Runtime.Tests.Generation;

/// <summary>Where tokens are chosen.</summary>
public enum Choosing
{
    OnHost,
    OnDevice,

    /// <summary>There, and the next step is started before they are known.</summary>
    Ahead,
}

/// <summary>
/// A device that chooses tokens itself, over a model without weights: a step's tokens are told only when it is finished, and
/// those of the step before are taken from there when a step asks for them.
/// </summary>
internal sealed class ChoosingForward(PagedForward inner, bool runsAhead) : IForward, IChoosingForward
{
    private readonly Sampler _sampler = new(inner.Vocabulary);
    private readonly Queue<(ChosenToken[] Chosen, DeviceFaultException? Fault)> _open = [];
    private ChosenToken[] _chosen = [];
    private float[] _logits = [];

    public int Vocabulary => inner.Vocabulary;

    public IChoosingForward? Choosing => this;

    /// <summary>Few, so that some requests have to be chosen for by the host.</summary>
    public int EditsMax => 40;

    public bool RunsAhead => runsAhead;

    /// <summary>Steps that were started before the one before was finished.</summary>
    public int Followed { get; private set; }

    public ReadOnlySpan<float> Run(StepBatch batch) => throw new InvariantException("tokens are chosen on the device");

    public void Start(StepBatch batch, ChoiceRules rules)
    {
        Assert.Equal(batch.HasTokenSources, _open.Count == 1);
        Assert.True(_open.Count <= (runsAhead ? 1 : 0));
        Followed += _open.Count;
        for (var row = 0; batch.HasTokenSources && row < batch.TokenCount; row++)
        {
            if (batch.TokenSources[row] >= 0)
            {
                Assert.Equal(0, batch.Tokens[row]);
                batch.Tokens[row] = Math.Max(0, _chosen[batch.TokenSources[row]].Token);
            }
        }

        // A fault shows when somebody waits for the step; what it should have computed is not there.
        DeviceFaultException? fault = null;
        try
        {
            _logits = inner.Run(batch).ToArray();
        }
        catch (DeviceFaultException thrown)
        {
            (fault, _logits) = (thrown, new float[batch.LogitRowCount * Vocabulary]);
        }

        _chosen = new ChosenToken[rules.Rows.Length];
        for (var i = 0; i < _chosen.Length; i++)
        {
            _chosen[i] = Choose(rules.Rows[i], rules.Edits);
        }

        _open.Enqueue((_chosen, fault));

        // What the caller keeps in them afterwards must not matter.
        rules.Clear();
        batch.Tokens.AsSpan().Fill(-1);
        batch.TokenSources.AsSpan().Fill(-1);
    }

    public ReadOnlySpan<ChosenToken> Finish()
    {
        var (chosen, fault) = _open.Dequeue();
        if (fault is not null)
        {
            _open.Clear();
            throw fault;
        }

        return chosen;
    }

    public ReadOnlySpan<float> Logits(int row)
    {
        Assert.Empty(_open);
        return _logits.AsSpan(row * Vocabulary, Vocabulary);
    }

    private ChosenToken Choose(in ChoiceRule rule, ReadOnlySpan<TokenEdit> edits)
    {
        var logits = _logits.AsSpan(rule.LogitRow * Vocabulary, Vocabulary).ToArray();
        Edit(logits, rule, edits[rule.EditStart..]);
        var state = new SamplingState(
            new SamplingOptions
            {
                Temperature = rule.Temperature,
                TopP = (float)rule.TopP,
                TopK = rule.Flags.HasFlag(ChoiceFlags.Greedy) ? 1 : rule.TopK == int.MaxValue ? -1 : rule.TopK,
                MinP = rule.MinP,
            },
            [],
            0);
        var token = _sampler.Sample(logits, state, rule.Uniform);
        if (token < 0)
        {
            return new ChosenToken { Token = -1, Fault = (int)_sampler.Fault };
        }

        var choice = new ChosenToken { Token = token, Score = logits[token] };
        if (rule.Flags.HasFlag(ChoiceFlags.Sums))
        {
            (choice.Max, choice.Total) = _sampler.Sums(logits);
        }

        var top = new int[rule.TopCount];
        _sampler.Top(logits, top, new float[rule.TopCount]);
        for (var i = 0; i < top.Length; i++)
        {
            (choice.Tokens[i], choice.Scores[i]) = (top[i], logits[top[i]]);
        }

        return choice;
    }

    private static void Edit(float[] logits, in ChoiceRule rule, ReadOnlySpan<TokenEdit> edits)
    {
        for (var i = 0; i < rule.Penalties + rule.Masks + rule.Biases; i++)
        {
            var (token, value) = edits[i];
            if (i >= rule.Penalties + rule.Masks)
            {
                logits[token] += value;
            }
            else if (i >= rule.Penalties)
            {
                logits[token] = float.NegativeInfinity;
            }
            else
            {
                var lowered = logits[token] - ((rule.Frequency * value) + rule.Presence);
                logits[token] = lowered < 0 ? lowered * rule.Repetition : lowered / rule.Repetition;
            }
        }
    }
}

internal static class Forwards
{
    /// <summary>The same model with tokens that are chosen elsewhere.</summary>
    public static IForward With(this PagedForward forward, Choosing choosing) =>
        choosing == Choosing.OnHost ? forward : new ChoosingForward(forward, choosing == Choosing.Ahead);
}
