using System.Runtime.InteropServices;

namespace LsglangSharp.Runtime.Sampling;

/// <summary>
/// What sampling remembers of one request: its options in the form that each token needs, and what it has generated.
/// </summary>
public sealed class SamplingState
{
    /// <summary>Below this a temperature means greedy, as in sglang.</summary>
    private const float GreedyBelow = 1e-6f;

    private readonly Dictionary<int, int>? _counts;
    private readonly int[] _masked;
    private readonly KeyValuePair<int, float>[] _biases;
    private readonly int _minNewTokens;
    private readonly ulong _seed;
    private int _generated;

    /// <summary>The end tokens are those that a minimum length keeps from being chosen.</summary>
    public SamplingState(SamplingOptions options, IReadOnlyList<int> endTokens, long seed)
    {
        IsGreedy = options.Temperature < GreedyBelow || options.TopK == 1;
        Temperature = options.Temperature < GreedyBelow ? 1 : options.Temperature;
        TopK = options.TopK < 0 ? int.MaxValue : options.TopK;

        // 0.9f is not 0.9; where masses meet the bound exactly the decimal that the client wrote decides.
        TopP = (double)(decimal)options.TopP;
        MinP = options.MinP;
        Repetition = options.RepetitionPenalty;
        Frequency = options.FrequencyPenalty;
        Presence = options.PresencePenalty;
        _minNewTokens = options.MinNewTokens;
        _masked = _minNewTokens > 0 ? [.. endTokens.Union(options.StopTokenIds)] : [];
        _biases = options.LogitBias is { Count: > 0 } bias ? [.. bias] : [];
        _seed = SeededUniform.Mix((ulong)seed);
        if (Repetition != 1 || Frequency != 0 || Presence != 0)
        {
            _counts = [];
        }
    }

    public bool IsGreedy { get; }

    public float Temperature { get; }

    public int TopK { get; }

    public double TopP { get; }

    public float MinP { get; }

    /// <summary>Anything but the plain softmax of the temperature.</summary>
    public bool Filters => TopK != int.MaxValue || TopP < 1 || MinP > 0;

    /// <summary>The logits are not taken as they are.</summary>
    public bool Adjusts => _counts is { Count: > 0 } || _biases.Length > 0 || _generated < _minNewTokens;

    /// <summary>What it was told of generated tokens changes the next choice.</summary>
    internal bool Penalizes => _counts is not null;

    /// <summary>How often each token was generated, where that counts.</summary>
    internal Dictionary<int, int>? Counts => _counts;

    internal float Repetition { get; }

    internal float Frequency { get; }

    internal float Presence { get; }

    internal ReadOnlySpan<KeyValuePair<int, float>> Biases => _biases;

    /// <summary>Notes a generated token.</summary>
    public void Add(int token)
    {
        _generated++;
        if (_counts is not null)
        {
            CollectionsMarshal.GetValueRefOrAddDefault(_counts, token, out _)++;
        }
    }

    /// <summary>
    /// Penalties, then what a minimum length forbids, then the biases: sparse edits of a copy of the logits.
    /// </summary>
    public void Adjust(Span<float> logits)
    {
        if (_counts is not null)
        {
            foreach (var (token, count) in _counts)
            {
                var logit = logits[token] - ((Frequency * count) + Presence);
                logits[token] = logit < 0 ? logit * Repetition : logit / Repetition;
            }
        }

        if (_generated < _minNewTokens)
        {
            foreach (var token in _masked)
            {
                logits[token] = float.NegativeInfinity;
            }
        }

        foreach (var (token, bias) in _biases)
        {
            logits[token] += bias;
        }
    }

    /// <summary>
    /// The random number in [0, 1) that decides the next token: a function of seed and position only.
    /// </summary>
    public double NextUniform() => Uniform(0);

    /// <summary>The one for the token that comes so many after the next.</summary>
    internal double Uniform(int ahead) => SeededUniform.At(_seed, _generated + ahead);

    /// <summary>Tokens that may not be chosen for the token that comes so many after the next.</summary>
    internal ReadOnlySpan<int> Masked(int ahead) => _generated + ahead < _minNewTokens ? _masked : [];
}
