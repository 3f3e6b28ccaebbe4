namespace LsglangSharp.Runtime.Sampling;

/// <summary>
/// The tokens that top-k, top-p and min-p leave. All three keep a prefix of the tokens in falling order, so that the
/// shortest of the three prefixes is wanted: found by partial selection, without sorting the vocabulary.
/// </summary>
internal sealed class Nucleus(int vocabulary)
{
    /// <summary>Up to here sorting is cheaper than selecting: both are some hundred nanoseconds.</summary>
    private const int SortMax = 48;

    /// <summary>The smallest weight that is not zero: the smallest normal float32.</summary>
    private const float WeightMin = 1.17549435e-38f;

    /// <summary>
    /// Weights relative to the largest, from which on candidates are looked for: most distributions have what is wanted among
    /// those, and a few hundred candidates instead of the whole vocabulary.
    /// </summary>
    private static readonly float[] _bounds = [1e-3f, 1e-6f, WeightMin];

    private readonly int[] _tokens = new int[vocabulary];

    /// <summary>Weights of the candidates, by token.</summary>
    private readonly float[] _weights = new float[vocabulary];

    /// <summary>Scores of the candidates side by side, then their weights.</summary>
    private readonly float[] _dense = new float[vocabulary];

    /// <summary>Score and token in one number, greater first, so that ties go to the lower token.</summary>
    private readonly ulong[] _keys = new ulong[vocabulary];

    private int _count;

    /// <summary>So many tokens are left, at the front of <see cref="_tokens"/>.</summary>
    private int _kept;

    public void Select(ReadOnlySpan<float> scores, Distribution distribution, SamplingState state)
    {
        var mass = state.TopP < 1 ? state.TopP * distribution.Total : double.PositiveInfinity;
        var candidates = Candidates(scores, distribution, mass, state);
        _count = candidates;
        if (state.TopK < _count)
        {
            Partition(_keys.AsSpan(0, _count), state.TopK);
            _count = state.TopK;
        }

        if (state.TopP < 1)
        {
            _count = CountByMass(_keys.AsSpan(0, _count), mass);
        }

        // Candidates stand in the order of tokens; what was cut has left the keys in any order.
        var least = Least(_keys.AsSpan(0, _count));
        _kept = 0;
        for (var i = 0; i < candidates; i++)
        {
            if (KeyOf(scores[_tokens[i]], _tokens[i]) >= least)
            {
                _tokens[_kept++] = _tokens[i];
            }
        }
    }

    /// <summary>The token at a place in [0, 1) of the cumulated weights of what is left, in the order of tokens.</summary>
    public int Draw(double uniform)
    {
        var target = uniform * MassOf(_keys.AsSpan(0, _count));
        foreach (var token in _tokens.AsSpan(0, _kept))
        {
            target -= _weights[token];
            if (target < 0)
            {
                return token;
            }
        }

        return _tokens[_kept - 1];
    }

    /// <summary>Fills the span with the tokens of the highest scores in order.</summary>
    public void Top(ReadOnlySpan<float> scores, Distribution distribution, Span<int> tokens)
    {
        if (tokens.Length == 0)
        {
            return;
        }

        var count = distribution.TokensFrom(scores, distribution.BoundOfBest(tokens.Length), _tokens);
        MakeKeys(scores, count);
        Partition(_keys.AsSpan(0, count), tokens.Length);
        var keys = _keys.AsSpan(0, tokens.Length);
        keys.Sort();
        for (var i = 0; i < tokens.Length; i++)
        {
            tokens[i] = TokenOf(keys[^(i + 1)]);
        }
    }

    public void Probabilities(Span<double> probabilities)
    {
        var kept = _keys.AsSpan(0, _count);
        var mass = MassOf(kept);
        foreach (var key in kept)
        {
            probabilities[TokenOf(key)] = WeightOf(key) / mass;
        }
    }

    /// <summary>All tokens that min-p allows, or so many of the best that top-k or top-p must cut among them.</summary>
    private int Candidates(ReadOnlySpan<float> scores, Distribution distribution, double mass, SamplingState state)
    {
        var count = 0;
        foreach (var bound in _bounds)
        {
            var least = Math.Max(bound, state.MinP);
            count = TokensOfWeight(scores, distribution, least);
            if (least == state.MinP || count >= state.TopK || MassOf(_dense.AsSpan(0, count)) > mass)
            {
                break;
            }
        }

        for (var i = 0; i < count; i++)
        {
            _weights[_tokens[i]] = _dense[i];
        }

        MakeKeys(scores, count);
        return count;
    }

    /// <summary>Looks for scores a little below the weight's, then keeps those that have the weight: no rounding decides.</summary>
    private int TokensOfWeight(ReadOnlySpan<float> scores, Distribution distribution, float least)
    {
        const double Slack = 1e-4;
        var (max, temperature) = (distribution.Max, distribution.Temperature);
        var bound = max + (temperature * (Math.Log(least) - Slack)) - (Math.Abs(max) * 1e-6);
        var found = distribution.TokensFrom(scores, (float)Math.Max(bound, float.MinValue), _tokens);
        for (var i = 0; i < found; i++)
        {
            _dense[i] = scores[_tokens[i]];
        }

        VectorMath.Exponentials(_dense.AsSpan(0, found), max, 1 / temperature, _dense);
        var count = 0;
        for (var i = 0; i < found; i++)
        {
            if (_dense[i] >= least)
            {
                _dense[count] = _dense[i];
                _tokens[count++] = _tokens[i];
            }
        }

        return count;
    }

    private static double MassOf(ReadOnlySpan<float> weights)
    {
        var sum = 0.0;
        foreach (var weight in weights)
        {
            sum += weight;
        }

        return sum;
    }

    private double MassOf(ReadOnlySpan<ulong> keys)
    {
        var sum = 0.0;
        foreach (var key in keys)
        {
            sum += WeightOf(key);
        }

        return sum;
    }

    private static ulong Least(ReadOnlySpan<ulong> keys)
    {
        var least = ulong.MaxValue;
        foreach (var key in keys)
        {
            least = Math.Min(least, key);
        }

        return least;
    }

    private float WeightOf(ulong key) => _weights[TokenOf(key)];

    private void MakeKeys(ReadOnlySpan<float> scores, int count)
    {
        for (var i = 0; i < count; i++)
        {
            _keys[i] = KeyOf(scores[_tokens[i]], _tokens[i]);
        }
    }

    /// <summary>
    /// How many of the greatest keys have a mass before them of at most the given one; those stand first afterwards.
    /// </summary>
    private int CountByMass(Span<ulong> keys, double mass)
    {
        var start = 0;
        var end = keys.Length;
        var before = 0.0;
        while (end - start > SortMax)
        {
            var middle = start + Split(keys[start..end]);
            var part = MassOf(keys[start..middle]);
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

            before += WeightOf(keys[start]);
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
