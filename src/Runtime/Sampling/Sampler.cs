using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Sampling;

/// <summary>Why no token can be chosen.</summary>
public enum SamplingFault
{
    None,

    /// <summary>A logit is not a number.</summary>
    NotANumber,

    /// <summary>A logit is plus infinity.</summary>
    Infinite,

    /// <summary>All logits are minus infinity.</summary>
    NothingLeft,
}

/// <summary>
/// Chooses tokens from rows of logits: penalties, mask and bias, temperature, softmax, then top-k, top-p and min-p cut the same
/// distribution jointly, then one draw. One thread; its buffers serve all requests. No pass over the vocabulary is made that the
/// request does not need: greedy without adjustments is one search for the maximum, all others read the row once.
/// </summary>
public sealed class Sampler(int vocabulary)
{
    private readonly float[] _adjusted = new float[vocabulary];
    private readonly Distribution _distribution = new(vocabulary);
    private readonly Nucleus _nucleus = new(vocabulary);
    private bool _usesAdjusted;

    /// <summary>Why the last row gave no token.</summary>
    public SamplingFault Fault { get; private set; }

    /// <summary>The next token, or -1 with <see cref="Fault"/> set.</summary>
    public int Sample(ReadOnlySpan<float> logits, SamplingState state) =>
        Sample(logits, state, state.IsGreedy ? 0 : state.NextUniform());

    /// <summary>Log-probabilities are taken from these: the largest score, and the sum of all weights relative to it.</summary>
    internal (float Max, double Total) Sums(ReadOnlySpan<float> logits)
    {
        _distribution.LogprobOf(0, Scores(logits));
        return (_distribution.Max, _distribution.Total);
    }

    internal int Sample(ReadOnlySpan<float> logits, SamplingState state, double uniform)
    {
        Check.That(logits.Length == vocabulary);
        _usesAdjusted = state.Adjusts;
        if (_usesAdjusted)
        {
            logits.CopyTo(_adjusted);
            state.Adjust(_adjusted);
        }

        var scores = Scores(logits);
        _distribution.Open(scores, state.Temperature, withSums: !state.IsGreedy);
        if (!IsSound())
        {
            return -1;
        }

        if (state.IsGreedy)
        {
            return _distribution.ArgMax(scores);
        }

        if (!state.Filters)
        {
            return _distribution.Draw(uniform, scores);
        }

        _nucleus.Select(scores, _distribution, state);
        return _nucleus.Draw(uniform);
    }

    /// <summary>Takes a row as it is, for log-probabilities of a prompt. False with <see cref="Fault"/> set if it is broken.</summary>
    public bool Score(ReadOnlySpan<float> logits)
    {
        Check.That(logits.Length == vocabulary);
        _usesAdjusted = false;
        _distribution.Open(logits, temperature: 1, withSums: true);
        return IsSound();
    }

    /// <summary>
    /// Log-probability of a token in the row last given to <see cref="Sample"/> or <see cref="Score"/>: after penalties, mask, bias
    /// and temperature, before any cut.
    /// </summary>
    public float LogprobOf(int token, ReadOnlySpan<float> logits) => _distribution.LogprobOf(token, Scores(logits));

    /// <summary>The most probable tokens of that row, ties by lower id, with their log-probabilities. Returns how many.</summary>
    public int Top(ReadOnlySpan<float> logits, Span<int> tokens, Span<float> logprobs)
    {
        var count = Math.Min(tokens.Length, vocabulary);
        var scores = Scores(logits);
        _nucleus.Top(scores, _distribution, tokens[..count]);
        for (var i = 0; i < count; i++)
        {
            logprobs[i] = _distribution.LogprobOf(tokens[i], scores);
        }

        return count;
    }

    /// <summary>The distribution that <see cref="Sample"/> draws from: what the truth tables list.</summary>
    internal void Probabilities(ReadOnlySpan<float> logits, SamplingState state, Span<double> probabilities)
    {
        probabilities.Clear();
        var chosen = Sample(logits, state);
        if (state.IsGreedy)
        {
            probabilities[chosen] = 1;
        }
        else if (state.Filters)
        {
            _nucleus.Probabilities(probabilities);
        }
        else
        {
            for (var token = 0; token < probabilities.Length; token++)
            {
                probabilities[token] = _distribution.ProbabilityOf(token, Scores(logits));
            }
        }
    }

    private ReadOnlySpan<float> Scores(ReadOnlySpan<float> logits) => _usesAdjusted ? _adjusted : logits;

    private bool IsSound()
    {
        Fault = _distribution.Max switch
        {
            float.NaN => SamplingFault.NotANumber,
            float.PositiveInfinity => SamplingFault.Infinite,
            float.NegativeInfinity => SamplingFault.NothingLeft,
            _ => SamplingFault.None,
        };
        return Fault == SamplingFault.None;
    }
}
