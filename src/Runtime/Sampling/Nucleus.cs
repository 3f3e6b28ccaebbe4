namespace LsglangSharp.Runtime.Sampling;

/// <summary>
/// The tokens that top-k, top-p and min-p leave. All three keep a prefix of the tokens in falling order, so that the
/// shortest of the three prefixes is wanted: found by partial selection, without sorting the vocabulary.
/// </summary>
internal sealed class Nucleus(int vocabulary)
{
    /// <summary>Up to here sorting is cheaper than selecting: both are some hundred nanoseconds.</summary>
    private const int SortMax = 48;

    private const int BlockLength = 256;

    /// <summary>
    /// Weights relative to the largest, from which on candidates are looked for: most distributions have what is wanted
    /// among those, and a few hundred candidates instead of the whole vocabulary.
    /// </summary>
    private static readonly float[] _bounds = [1e-3f, 1e-6f, float.Epsilon];

    private readonly int[] _indices = new int[vocabulary];

    /// <summary>Score and token in one number, greater first, so that ties go to the lower token.</summary>
    private readonly ulong[] _keys = new ulong[vocabulary];

    /// <summary>Largest score of each block of <see cref="BlockLength"/>.</summary>
    private readonly float[] _maxima = new float[(vocabulary + BlockLength - 1) / BlockLength];

    private int _count;

    public void Select(ReadOnlySpan<float> scores, ReadOnlySpan<float> weights, double total, SamplingState state)
    {
        var mass = state.TopP < 1 ? state.TopP * total : double.PositiveInfinity;
        _count = Candidates(scores, weights, mass, state);
        if (state.TopK < _count)
        {
            Partition(_keys.AsSpan(0, _count), state.TopK);
            _count = state.TopK;
        }

        if (state.TopP < 1)
        {
            _count = CountByMass(_keys.AsSpan(0, _count), weights, mass);
        }
    }

    public int Draw(ReadOnlySpan<float> weights, double uniform)
    {
        var kept = _keys.AsSpan(0, _count);
        var sum = 0.0;
        foreach (var key in kept)
        {
            sum += weights[TokenOf(key)];
        }

        var target = uniform * sum;
        foreach (var key in kept)
        {
            target -= weights[TokenOf(key)];
            if (target < 0)
            {
                return TokenOf(key);
            }
        }

        return TokenOf(kept[^1]);
    }

    /// <summary>Fills the span with the tokens of the highest scores in order.</summary>
    public void Top(ReadOnlySpan<float> scores, Span<int> tokens)
    {
        if (tokens.Length == 0)
        {
            return;
        }

        var keys = _keys.AsSpan(0, KeysFrom(scores, LowerBound(scores, tokens.Length)));
        Partition(keys, tokens.Length);
        keys = keys[..tokens.Length];
        keys.Sort();
        for (var i = 0; i < tokens.Length; i++)
        {
            tokens[i] = TokenOf(keys[^(i + 1)]);
        }
    }

    public void Probabilities(ReadOnlySpan<float> weights, Span<double> probabilities)
    {
        var sum = 0.0;
        foreach (var key in _keys.AsSpan(0, _count))
        {
            sum += weights[TokenOf(key)];
        }

        foreach (var key in _keys.AsSpan(0, _count))
        {
            probabilities[TokenOf(key)] = weights[TokenOf(key)] / sum;
        }
    }

    /// <summary>All tokens that min-p allows, or so many of the best that top-k or top-p must cut among them.</summary>
    private int Candidates(ReadOnlySpan<float> scores, ReadOnlySpan<float> weights, double mass, SamplingState state)
    {
        var count = 0;
        foreach (var bound in _bounds)
        {
            var least = Math.Max(bound, state.MinP);
            count = VectorMath.IndicesFrom(weights, least, _indices);
            if (least == state.MinP || count >= state.TopK || MassOf(weights, count) > mass)
            {
                break;
            }
        }

        MakeKeys(scores, count);
        return count;
    }

    /// <summary>
    /// A score that at least so many tokens reach: so many blocks have a maximum that does. Minus infinity when there
    /// are fewer blocks than that.
    /// </summary>
    private float LowerBound(ReadOnlySpan<float> scores, int count)
    {
        if (count > _maxima.Length)
        {
            return float.NegativeInfinity;
        }

        VectorMath.BlockMaxima(scores, BlockLength, _maxima);
        _maxima.AsSpan().Sort();
        return _maxima[^count];
    }

    private int KeysFrom(ReadOnlySpan<float> scores, float bound)
    {
        var count = VectorMath.IndicesFrom(scores, bound, _indices);
        MakeKeys(scores, count);
        return count;
    }

    private void MakeKeys(ReadOnlySpan<float> scores, int count)
    {
        for (var i = 0; i < count; i++)
        {
            _keys[i] = KeyOf(scores[_indices[i]], _indices[i]);
        }
    }

    private double MassOf(ReadOnlySpan<float> weights, int count)
    {
        var sum = 0.0;
        foreach (var index in _indices.AsSpan(0, count))
        {
            sum += weights[index];
        }

        return sum;
    }

    /// <summary>
    /// How many of the greatest keys have a mass before them of at most the given one; those stand first afterwards.
    /// </summary>
    private static int CountByMass(Span<ulong> keys, ReadOnlySpan<float> weights, double mass)
    {
        var start = 0;
        var end = keys.Length;
        var before = 0.0;
        while (end - start > SortMax)
        {
            var middle = start + Split(keys[start..end]);
            var part = 0.0;
            foreach (var key in keys[start..middle])
            {
                part += weights[TokenOf(key)];
            }

            if (before + part > mass)
            {
                end = middle;
            }
            else
            {
                before += part;
                start = middle;
            }
        }

        keys[start..end].Sort(static (left, right) => right.CompareTo(left));
        for (; start < end; start++)
        {
            if (before > mass)
            {
                return start;
            }

            before += weights[TokenOf(keys[start])];
        }

        return end;
    }

    /// <summary>Moves the greatest <paramref name="count"/> keys to the front.</summary>
    private static void Partition(Span<ulong> keys, int count)
    {
        while (keys.Length > 1 && count > 0 && count < keys.Length)
        {
            var middle = Split(keys);
            if (count < middle)
            {
                keys = keys[..middle];
            }
            else
            {
                keys = keys[middle..];
                count -= middle;
            }
        }
    }

    /// <summary>
    /// Splits two or more different keys around the median of three: greater ones first. Returns how many stand in
    /// front, at least one and not all.
    /// </summary>
    private static int Split(Span<ulong> keys)
    {
        var pivot = Median(keys[0], keys[keys.Length / 2], keys[^1]);
        var left = -1;
        var right = keys.Length;
        while (true)
        {
            while (keys[++left] > pivot)
            {
            }

            while (keys[--right] < pivot)
            {
            }

            if (left >= right)
            {
                break;
            }

            (keys[left], keys[right]) = (keys[right], keys[left]);
        }

        // Keys before left are greater than or equal to the pivot, the others smaller or equal.
        return Math.Clamp(left, 1, keys.Length - 1);
    }

    private static ulong Median(ulong a, ulong b, ulong c) =>
        Math.Max(Math.Min(a, b), Math.Min(Math.Max(a, b), c));

    private static ulong KeyOf(float score, int token)
    {
        // -0 and 0 are the same score; floats as integers order alike once negative ones are turned around.
        var bits = BitConverter.SingleToUInt32Bits(score + 0f);
        var ordered = (bits & 0x80000000) != 0 ? ~bits : bits | 0x80000000;
        return ((ulong)ordered << 32) | ~(uint)token;
    }

    private static int TokenOf(ulong key) => (int)~(uint)key;
}
