using System.Buffers;
using LsglangSharp.Runtime.KvCache;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Scheduling;

/// <summary>Where a sequence is in its life.</summary>
public enum SequenceState
{
    New,
    Waiting,
    Running,
    Ended,
}

/// <summary>
/// The tokens of a request, prompt and output, and where their keys and values lie. The scheduler owns it.
/// </summary>
public sealed class Sequence
{
    private int[] _tokens;

    public Sequence(ReadOnlySpan<int> prompt, int newTokensMax)
    {
        Check.That(prompt.Length > 0 && newTokensMax >= 0);
        _tokens = ArrayPool<int>.Shared.Rent(prompt.Length + Math.Min(newTokensMax, 128));
        prompt.CopyTo(_tokens);
        Length = PromptLength = prompt.Length;
        NewTokensMax = newTokensMax;
    }

    /// <summary>What the owner of the sequence hangs on it.</summary>
    public object? Owner { get; init; }

    public string Salt { get; init; } = "";

    /// <summary>Greater is more urgent.</summary>
    public int Priority { get; init; }

    /// <summary>The first position whose logits are wanted; of the last position they always are.</summary>
    public int LogitsFrom { get; init; } = int.MaxValue;

    public int NewTokensMax { get; }

    public int PromptLength { get; }

    public int Length { get; private set; }

    public int OutputLength => Length - PromptLength;

    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, Length);

    public SequenceState State { get; internal set; }

    /// <summary>How many tokens have their keys and values in the cache.</summary>
    public int Computed { get; internal set; }

    /// <summary>Tokens that the next step has to compute: 1 while decoding.</summary>
    public int Pending => Length - Computed;

    /// <summary>Prompt tokens that were found in the cache instead of being computed.</summary>
    public int CachedTokens { get; internal set; }

    public int Retractions { get; internal set; }

    public PageList Pages { get; } = new();

    /// <summary>The first row of this step that has logits for this sequence, and how many it has.</summary>
    public int LogitRow { get; internal set; }

    public int LogitRowCount { get; internal set; }

    /// <summary>Position of the first of those rows.</summary>
    public int LogitPosition { get; internal set; }

    /// <summary>The last of those rows stands for the end of the sequence: the next token comes from it.</summary>
    public bool IsAtEnd => Computed == Length;

    /// <summary>Order of arrival; kept when sent back to the queue.</summary>
    internal long Order { get; set; }

    /// <summary>How many that came later were taken first while this was the oldest.</summary>
    internal int Overtaken { get; set; }

    /// <summary>The deepest node of the prefix tree that this sequence locks.</summary>
    internal PrefixNode? Node { get; set; }

    /// <summary>Tokens of this sequence in the step that is being built or run.</summary>
    internal int StepTokens { get; set; }

    /// <summary>
    /// That step reads a prompt (or, sent back, what was generated before): its pages are worth sharing at once.
    /// </summary>
    internal bool StepIsPrefill { get; set; }

    /// <summary>Cached tokens as last looked up, for the policy that orders by them.</summary>
    internal int CachedHint { get; set; }

    /// <summary>Prompt positions before this one have given their logits already.</summary>
    internal int LogitsDone { get; set; }

    /// <summary>Adds a generated token.</summary>
    public void Append(int token)
    {
        if (Length == _tokens.Length)
        {
            var larger = ArrayPool<int>.Shared.Rent(2 * Length);
            Tokens.CopyTo(larger);
            ArrayPool<int>.Shared.Return(_tokens);
            _tokens = larger;
        }

        _tokens[Length++] = token;
    }

    /// <summary>Says which token it is that was added before it was known.</summary>
    internal void Replace(int position, int token)
    {
        Check.That(position >= PromptLength && position < Length);
        _tokens[position] = token;
    }

    /// <summary>
    /// The first position that must be computed for its logits' sake, whatever is cached: where log-probabilities of
    /// the prompt are still wanted, else the last one.
    /// </summary>
    internal int FirstPositionNeeded()
    {
        var wanted = Math.Max(LogitsFrom, LogitsDone);
        return wanted < PromptLength - 1 ? wanted : Length - 1;
    }

    internal void End()
    {
        Pages.Free();
        ArrayPool<int>.Shared.Return(_tokens);
        _tokens = [];
        State = SequenceState.Ended;
    }
}
