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
/// Chooses tokens from rows of logits: penalties, mask and bias, temperature, softmax, then top-k, top-p and min-p cut
/// the same distribution jointly, then one draw. One thread; its buffers serve all requests. No pass over the
/// vocabulary is made that the request does not need: greedy without adjustments is one search for the maximum.
/// </summary>
public sealed class Sampler
{
    private const int BlockLength = 512;

    private readonly float[] _adjusted;
    private readonly float[] _weights;
    private readonly double[] _blockSums;
    private readonly Nucleus _nucleus;
    private bool _usesAdjusted;
    private float _max;
    private float _temperature = 1;
    private double _total;
    private double _logTotal;
    private bool _hasWeights;

    public Sampler(int vocabulary)
    {
        _adjusted = new float[vocabulary];
        _weights = new float[vocabulary];
        _blockSums = new double[(vocabulary + BlockLength - 1) / BlockLength];
        _nucleus = new Nucleus(vocabulary);
    }

    /// <summary>Why the last row gave no token.</summary>
    public SamplingFault Fault { get; private set; }

    private int Vocabulary => _adjusted.Length;

    /// <summary>The next token, or -1 with <see cref="Fault"/> set.</summary>
    public int Sample(ReadOnlySpan<float> logits, SamplingState state)
    {
        if (!Open(logits, state))
        {
            return -1;
        }

        var scores = Scores(logits);
        if (state.IsGreedy)
        {
            return VectorMath.IndexOf(scores, _max);
        }

        Weigh(scores);
        if (!state.Filters)
        {
            return Draw(state.NextUniform());
        }

        _nucleus.Select(scores, _weights, _total, state);
        return _nucleus.Draw(_weights, state.NextUniform());
    }

    /// <summary>
    /// Takes a row as it is, for log-probabilities of a prompt. False with <see cref="Fault"/> set if it is broken.
    /// </summary>
    public bool Score(ReadOnlySpan<float> logits)
    {
        _temperature = 1;
        _usesAdjusted = _hasWeights = false;
        return Check(VectorMath.Max(logits));
    }

    /// <summary>
    /// Log-probability of a token in the row last given to <see cref="Sample"/> or <see cref="Score"/>: after
    /// penalties, mask, bias and temperature, before any cut.
    /// </summary>
    public float LogprobOf(int token, ReadOnlySpan<float> logits)
    {
        var scores = Scores(logits);
        Weigh(scores);
        return (float)((((double)scores[token] - _max) / _temperature) - _logTotal);
    }

    /// <summary>
    /// The most probable tokens of that row, ties by lower id, with their log-probabilities. Returns how many.
    /// </summary>
    public int Top(ReadOnlySpan<float> logits, Span<int> tokens, Span<float> logprobs)
    {
        var count = Math.Min(tokens.Length, Vocabulary);
        var scores = Scores(logits);
        _nucleus.Top(scores, tokens[..count]);
        for (var i = 0; i < count; i++)
        {
            logprobs[i] = LogprobOf(tokens[i], logits);
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
            _nucleus.Probabilities(_weights, probabilities);
        }
        else
        {
            for (var i = 0; i < probabilities.Length; i++)
            {
                probabilities[i] = _weights[i] / _total;
            }
        }
    }

    private ReadOnlySpan<float> Scores(ReadOnlySpan<float> logits) => _usesAdjusted ? _adjusted : logits;

    private bool Open(ReadOnlySpan<float> logits, SamplingState state)
    {
        Primitives.Check.That(logits.Length == Vocabulary);
        _temperature = state.Temperature;
        _hasWeights = false;
        _usesAdjusted = state.Adjusts;
        if (_usesAdjusted)
        {
            logits.CopyTo(_adjusted);
            state.Adjust(_adjusted);
        }

        return Check(VectorMath.Max(Scores(logits)));
    }

    private bool Check(float max)
    {
        _max = max;
        Fault = max switch
        {
            float.NaN => SamplingFault.NotANumber,
            float.PositiveInfinity => SamplingFault.Infinite,
            float.NegativeInfinity => SamplingFault.NothingLeft,
            _ => SamplingFault.None,
        };
        return Fault == SamplingFault.None;
    }

    private void Weigh(ReadOnlySpan<float> scores)
    {
        if (!_hasWeights)
        {
            _total = VectorMath.Exponentials(scores, _max, _temperature, _weights, _blockSums, BlockLength);
            _logTotal = Math.Log(_total);
            _hasWeights = true;
        }
    }

    /// <summary>Walks the cumulated weights, a block at a time as long as the target lies further on.</summary>
    private int Draw(double uniform)
    {
        var target = uniform * _total;
        var block = 0;
        while (block < _blockSums.Length - 1 && target >= _blockSums[block])
        {
            target -= _blockSums[block++];
        }

        var last = -1;
        for (var i = block * BlockLength; i < Vocabulary; i++)
        {
            if (_weights[i] > 0)
            {
                last = i;
                target -= _weights[i];
                if (target < 0)
                {
                    return i;
                }
            }
        }

        // Rounding let the target fall behind the end: the last token that has any weight.
        return last >= 0 ? last : Array.FindLastIndex(_weights, weight => weight > 0);
    }
}
