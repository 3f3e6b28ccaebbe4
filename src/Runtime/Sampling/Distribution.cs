using System.Diagnostics;

namespace LsglangSharp.Runtime.Sampling;

/// <summary>
/// The softmax of one row of scores at a temperature, kept as a maximum and a sum for each block: one pass over memory, in which
/// each block stays in the first-level cache, and no array of weights. A weight is exp((score - max) / temperature).
/// </summary>
internal sealed class Distribution(int vocabulary)
{
    /// <summary>2 KiB of scores.</summary>
    private const int BlockLength = 512;

    private readonly float[] _maxima = new float[(vocabulary + BlockLength - 1) / BlockLength];

    /// <summary>Sum of each block's weights, the largest score of all having weight 1.</summary>
    private readonly double[] _sums = new double[(vocabulary + BlockLength - 1) / BlockLength];

    private readonly float[] _sorted = new float[(vocabulary + BlockLength - 1) / BlockLength];
    private readonly float[] _block = new float[BlockLength];
    private bool _hasSums;

    public int Vocabulary => vocabulary;

    public float Temperature { get; private set; }

    /// <summary>The largest score; NaN if one is not a number.</summary>
    public float Max { get; private set; }

    /// <summary>Sum of all weights.</summary>
    public double Total { get; private set; }

    public double LogTotal { get; private set; }

    /// <summary>Reads a row; the sums can also come later, when somebody asks for a probability.</summary>
    public void Open(ReadOnlySpan<float> scores, float temperature, bool withSums)
    {
        Temperature = temperature;
        _hasSums = false;
        var max = float.NegativeInfinity;
        for (var block = 0; block < _maxima.Length; block++)
        {
            var part = Block(scores, block);
            var blockMax = VectorMath.Max(part);
            max = MathF.Max(max, blockMax);
            _maxima[block] = blockMax;
            if (withSums && float.IsFinite(blockMax))
            {
                _sums[block] = VectorMath.SumOfExponentials(part, blockMax, 1 / temperature);
            }
        }

        Max = max;
        if (withSums && float.IsFinite(max))
        {
            Join();
        }
    }

    /// <summary>The lowest token with the largest score.</summary>
    public int ArgMax(ReadOnlySpan<float> scores)
    {
        var block = Array.IndexOf(_maxima, Max);
        return (block * BlockLength) + VectorMath.IndexOf(Block(scores, block), Max);
    }

    public float LogprobOf(int token, ReadOnlySpan<float> scores)
    {
        EnsureSums(scores);
        return (float)((((double)scores[token] - Max) / Temperature) - LogTotal);
    }

    public double ProbabilityOf(int token, ReadOnlySpan<float> scores)
    {
        EnsureSums(scores);
        return Math.Exp(((double)scores[token] - Max) / Temperature) / Total;
    }

    /// <summary>The token at a place in [0, 1) of the cumulated weights.</summary>
    public int Draw(double uniform, ReadOnlySpan<float> scores)
    {
        var target = uniform * Total;
        var last = -1;
        for (var block = 0; block < _sums.Length; block++)
        {
            if (_sums[block] == 0)
            {
                continue;
            }

            if (target >= _sums[block])
            {
                target -= _sums[block];
                last = block;
                continue;
            }

            if (DrawInBlock(block, target, scores) is >= 0 and var token)
            {
                return token;
            }

            target = 0;
            last = block;
        }

        // Rounding let the target fall behind the end: the last token that has any weight.
        return LastInBlock(last, scores);
    }

    /// <summary>Tokens with at least this score, ascending. Blocks that have none are not read.</summary>
    public int TokensFrom(ReadOnlySpan<float> scores, float bound, Span<int> tokens)
    {
        var count = 0;
        for (var block = 0; block < _maxima.Length; block++)
        {
            if (_maxima[block] >= bound)
            {
                count += VectorMath.IndicesFrom(Block(scores, block), bound, block * BlockLength, tokens[count..]);
            }
        }

        return count;
    }

    /// <summary>
    /// A score that at least so many tokens reach: so many blocks have a maximum that does. Minus infinity when there are fewer
    /// blocks than that.
    /// </summary>
    public float BoundOfBest(int count)
    {
        if (count > _maxima.Length)
        {
            return float.NegativeInfinity;
        }

        _maxima.CopyTo(_sorted, 0);
        _sorted.AsSpan().Sort();
        return _sorted[^count];
    }

    private static ReadOnlySpan<float> Block(ReadOnlySpan<float> scores, int block) =>
        scores.Slice(block * BlockLength, Math.Min(BlockLength, scores.Length - (block * BlockLength)));

    private void EnsureSums(ReadOnlySpan<float> scores)
    {
        if (!_hasSums)
        {
            for (var block = 0; block < _sums.Length; block++)
            {
                _sums[block] = float.IsFinite(_maxima[block])
                    ? VectorMath.SumOfExponentials(Block(scores, block), _maxima[block], 1 / Temperature)
                    : 0;
            }

            Join();
        }
    }

    /// <summary>Brings the sums of the blocks, each relative to its own maximum, to the maximum of all.</summary>
    private void Join()
    {
        var total = 0.0;
        for (var block = 0; block < _sums.Length; block++)
        {
            _sums[block] = float.IsFinite(_maxima[block]) ? _sums[block] * Scale(block) : 0;
            total += _sums[block];
        }

        Total = total;
        LogTotal = Math.Log(total);
        _hasSums = true;
    }

    private double Scale(int block) => Math.Exp(((double)_maxima[block] - Max) / Temperature);

    private int DrawInBlock(int block, double target, ReadOnlySpan<float> scores)
    {
        var part = Block(scores, block);
        VectorMath.Exponentials(part, _maxima[block], 1 / Temperature, _block);
        var scale = Scale(block);
        for (var i = 0; i < part.Length; i++)
        {
            target -= _block[i] * scale;
            if (target < 0)
            {
                return (block * BlockLength) + i;
            }
        }

        return -1;
    }

    private int LastInBlock(int block, ReadOnlySpan<float> scores)
    {
        var part = Block(scores, block);
        VectorMath.Exponentials(part, _maxima[block], 1 / Temperature, _block);
        for (var i = part.Length - 1; i >= 0; i--)
        {
            if (_block[i] > 0)
            {
                return (block * BlockLength) + i;
            }
        }

        throw new UnreachableException("a block with a sum has a weight");
    }
}
