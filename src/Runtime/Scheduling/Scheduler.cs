using LsglangSharp.Runtime.KvCache;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Scheduling;

/// <summary>
/// Decides what each step runs: all running sequences continue, prompts are read in chunks beside them, the queue is
/// admitted while there is room, and when the cache is full somebody goes back to the queue. Only state and limits go
/// in; it knows no clock, no thread and no model.
/// </summary>
public sealed class Scheduler
{
    /// <summary>
    /// The policy that orders by cached prefix looks this far into the queue: a look-up reads the whole prompt.
    /// </summary>
    private const int LookUpsMax = 128;

    /// <summary>A request that did not fit is looked at again when pages have come free, and now and then.</summary>
    private const int StepsBetweenLooks = 32;

    private readonly SchedulerLimits _limits;
    private readonly SchedulerOptions _options;
    private readonly BatchBuilder _step;
    private readonly GrowthEstimate _growth;
    private readonly List<Sequence> _running;
    private readonly List<Sequence> _waiting = [];
    private long _arrivals;
    private Sequence? _blocked;
    private long _blockedUntil;
    private long _retractionsSeen;

    public Scheduler(SchedulerLimits limits, SchedulerOptions options)
    {
        _limits = limits;
        _options = options;
        Pool = new PagePool(limits.Pages);
        Tree = new PrefixTree(Pool, limits.PageSize);
        _step = new BatchBuilder(limits);
        _growth = new GrowthEstimate(options.Conservativeness);
        _running = new List<Sequence>(limits.RunningMax);
        Check.That(limits.PagesPerSequenceMax <= limits.Pages);
    }

    public PagePool Pool { get; }

    public PrefixTree Tree { get; }

    public StepBatch Batch => _step.Batch;

    /// <summary>Whom the planned step runs, in the order of their rows.</summary>
    public ReadOnlySpan<Sequence> Scheduled => _step.Sequences;

    public IReadOnlyList<Sequence> Running => _running;

    /// <summary>In the order of arrival.</summary>
    public IReadOnlyList<Sequence> Waiting => _waiting;

    public bool HasWork => _running.Count + _waiting.Count > 0;

    public long Steps { get; private set; }

    public long Retractions { get; private set; }

    private int AvailablePages => Pool.FreeCount + Tree.EvictablePages;

    public void Enqueue(Sequence sequence)
    {
        Check.That(sequence.State == SequenceState.New);
        Check.That(sequence.PromptLength + sequence.NewTokensMax <= _limits.SequenceTokensMax);
        sequence.Order = _arrivals++;
        sequence.State = SequenceState.Waiting;
        _waiting.Add(sequence);
    }

    /// <summary>Fills the batch with the next step. False if there is nothing to do.</summary>
    public bool Plan()
    {
        _step.Clear();
        PreemptForUrgent();
        MakeRoomForDecode();
        foreach (var sequence in _running)
        {
            if (sequence.Pending == 1)
            {
                EnsurePages(sequence, sequence.Length);
                _step.Add(sequence, 1);
            }
        }

        var budget = _step.Sequences.Length > 0 ? _limits.PrefillTokensBesideDecode : _limits.PrefillTokensMax;
        for (var i = 0; i < _running.Count && budget > 0; i++)
        {
            if (_running[i].Pending > 1)
            {
                budget -= Prefill(_running[i], budget);
            }
        }

        Admit(budget);

        // Whoever was admitted found room for its whole prompt beside what the others still needed for theirs.
        Check.That(_step.Sequences.Length > 0 || !HasWork);
        return HasWork;
    }

    /// <summary>
    /// Whether the step after the planned one can only be a further token of each that runs: nobody waits, all read their
    /// last token now, and there is room for one more. What ends by then does not count.
    /// </summary>
    public bool ContinuesAlone()
    {
        var (planned, needed) = (0, 0);
        foreach (var sequence in _step.Sequences)
        {
            if (sequence.State != SequenceState.Running)
            {
                continue;
            }

            if (sequence.Computed + sequence.StepTokens != sequence.Length)
            {
                return false;
            }

            planned++;
            needed += sequence.Length + 1 > sequence.Pages.Count * _limits.PageSize ? 1 : 0;
        }

        return _waiting.Count == 0 && planned > 0 && planned == _running.Count && needed <= AvailablePages;
    }

    /// <summary>Forgets all prefixes that nobody reads: what was computed of them does not count.</summary>
    public void ForgetPrefixes() => Tree.Evict(int.MaxValue);

    /// <summary>The planned step has run: what it computed is in the cache.</summary>
    public void Commit()
    {
        foreach (var sequence in _step.Sequences)
        {
            if (sequence.State != SequenceState.Running)
            {
                // It has ended while the step ran.
                continue;
            }

            sequence.Computed += sequence.StepTokens;
            sequence.LogitsDone = Math.Max(sequence.LogitsDone, Math.Min(sequence.Computed, sequence.PromptLength));
            if (sequence.StepIsPrefill)
            {
                Share(sequence);
            }
        }

        Steps++;
        if (_retractionsSeen == Retractions)
        {
            _growth.AfterStep();
        }

        _retractionsSeen = Retractions;
    }

    /// <summary>Finished or cancelled: leaves what it computed to the prefix cache and lets go of everything.</summary>
    public void End(Sequence sequence)
    {
        if (sequence.State == SequenceState.Running)
        {
            LetGo(sequence);
            _running.Remove(sequence);
        }
        else
        {
            Check.That(sequence.State == SequenceState.Waiting);
            _waiting.Remove(sequence);
        }

        _blocked = null;
        sequence.End();
    }

    /// <summary>Drops every cached prefix if nothing runs.</summary>
    public bool TryFlush()
    {
        if (HasWork)
        {
            return false;
        }

        Tree.Evict(int.MaxValue);
        return true;
    }

    private void PreemptForUrgent()
    {
        if (!_options.Priorities || !_options.PriorityPreemption || _waiting.Count == 0)
        {
            return;
        }

        var urgent = _waiting[Choice.Next(_waiting, _options)];
        while ((_running.Count == _limits.RunningMax || !HasRoomFor(urgent, cachedPages: 0))
            && Choice.Preempted(_running, urgent.Priority, _options.PriorityPreemptionThreshold) is { } victim)
        {
            Retract(victim);
        }
    }

    /// <summary>Each running sequence can store one more token, even if others must go for it.</summary>
    private void MakeRoomForDecode()
    {
        while (true)
        {
            var needed = 0;
            foreach (var sequence in _running)
            {
                if (sequence.Pending == 1 && sequence.Length > sequence.Pages.Count * _limits.PageSize)
                {
                    needed++;
                }
            }

            if (needed <= AvailablePages)
            {
                return;
            }

            Check.That(_running.Count > 1);
            Retract(Choice.Victim(_running, _options.Retraction));
        }
    }

    /// <summary>Adds as much of the prompt as fits and returns how many tokens.</summary>
    private int Prefill(Sequence sequence, int budget)
    {
        Join(sequence);
        if (IsBeingComputed(sequence))
        {
            return 0;
        }

        var room = ((sequence.Pages.Count + AvailablePages) * (long)_limits.PageSize) - sequence.Computed;
        var tokens = (int)Math.Min(Math.Min(budget, sequence.Pending), room);
        tokens = _step.LimitByLogits(sequence, tokens);
        if (tokens <= 0)
        {
            return 0;
        }

        EnsurePages(sequence, sequence.Computed + tokens);
        _step.Add(sequence, tokens);
        return tokens;
    }

    /// <summary>Takes over what others have computed of the same prompt since the last chunk.</summary>
    private void Join(Sequence sequence)
    {
        if (sequence.Node is not { } node || node.End != sequence.Computed)
        {
            return;
        }

        sequence.Node = Tree.Descend(node, sequence.Tokens[..sequence.FirstPositionNeeded()], sequence.Pages);
        CountCached(sequence);
    }

    /// <summary>
    /// Another sequence computes this one's next page in this very step: wait for it instead of doing it twice.
    /// </summary>
    private bool IsBeingComputed(Sequence sequence)
    {
        var pageEnd = sequence.Computed + _limits.PageSize;
        if (sequence.Node?.End != sequence.Computed || pageEnd > sequence.FirstPositionNeeded())
        {
            return false;
        }

        foreach (var other in _step.Sequences)
        {
            if (other.StepIsPrefill
                && other.Computed <= sequence.Computed
                && other.Computed + other.StepTokens >= pageEnd
                && IsSame(other, sequence, pageEnd))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Whether two begin with the same tokens; what they share in the tree need not be compared.</summary>
    private static bool IsSame(Sequence left, Sequence right, int length)
    {
        var start = left.Node == right.Node ? right.Computed : 0;
        return left.Salt == right.Salt && left.Tokens[start..length].SequenceEqual(right.Tokens[start..length]);
    }

    private void Admit(int budget)
    {
        if (_waiting.Count == 0 || budget <= 0 || _running.Count == _limits.RunningMax)
        {
            return;
        }

        LookUpPrefixes();
        while (budget > 0 && _waiting.Count > 0 && _running.Count < _limits.RunningMax)
        {
            var index = Choice.Next(_waiting, _options);
            var sequence = _waiting[index];
            if (!TryStart(sequence))
            {
                return;
            }

            if (index > 0)
            {
                _waiting[0].Overtaken++;
            }

            _waiting.RemoveAt(index);
            budget -= Prefill(sequence, budget);
        }
    }

    private void LookUpPrefixes()
    {
        if (_options.Policy != SchedulePolicy.Lpm || !_options.PrefixCache)
        {
            return;
        }

        for (var i = 0; i < _waiting.Count && i < LookUpsMax; i++)
        {
            _waiting[i].CachedHint = Tree.MatchLength(_waiting[i].Salt, _waiting[i].Tokens);
        }
    }

    /// <summary>
    /// Whoever is next but does not fit keeps those behind it waiting, so that it is not starved by smaller ones. With
    /// nothing running everything fits.
    /// </summary>
    private bool TryStart(Sequence sequence)
    {
        if (_blocked == sequence && _running.Count > 0 && Steps < _blockedUntil)
        {
            return false;
        }

        if (_options.PrefixCache)
        {
            sequence.Node = Tree.Match(
                sequence.Salt, sequence.Tokens[..sequence.FirstPositionNeeded()], sequence.Pages);
        }

        if (_running.Count > 0 && !HasRoomFor(sequence, sequence.Pages.Count))
        {
            LetGo(sequence);
            _blocked = sequence;
            _blockedUntil = Steps + StepsBetweenLooks;
            return false;
        }

        CountCached(sequence);
        sequence.State = SequenceState.Running;
        _running.Add(sequence);
        return true;
    }

    private bool HasRoomFor(Sequence sequence, int cachedPages)
    {
        var needed = _limits.PagesFor(sequence.Length + 1) - cachedPages;
        foreach (var other in _running)
        {
            var tokens = Math.Min(other.Length + 1 + _growth.TokensOf(other), _limits.SequenceTokensMax);
            needed += Math.Max(0, _limits.PagesFor(tokens) - other.Pages.Count);
        }

        return needed <= AvailablePages;
    }

    private void Retract(Sequence sequence)
    {
        LetGo(sequence);
        _running.Remove(sequence);
        sequence.Retractions++;
        sequence.State = SequenceState.Waiting;
        var index = _waiting.FindIndex(other => other.Order > sequence.Order);
        _waiting.Insert(index < 0 ? _waiting.Count : index, sequence);
        _blocked = null;
        Retractions++;
        _growth.AfterRetraction(_running);
    }

    /// <summary>
    /// Gives all pages back; those that are full and computed stay in the prefix cache until somebody needs the room.
    /// </summary>
    private void LetGo(Sequence sequence)
    {
        Share(sequence);
        sequence.Pages.ReleaseFrom(0, Pool);
        if (sequence.Node is { } node)
        {
            Tree.Unlock(node);
            sequence.Node = null;
        }

        sequence.Computed = 0;
    }

    /// <summary>Puts the full pages that are computed into the prefix tree.</summary>
    private void Share(Sequence sequence)
    {
        var pages = sequence.Computed / _limits.PageSize;
        if (sequence.Node is { } node && pages * _limits.PageSize > node.End)
        {
            sequence.Node = Tree.Extend(
                node, sequence.Tokens[..(pages * _limits.PageSize)], sequence.Pages.Span[..pages]);
        }
    }

    private void CountCached(Sequence sequence)
    {
        var cached = sequence.Node?.End ?? 0;
        if (cached > sequence.Computed && sequence.Retractions == 0)
        {
            sequence.CachedTokens += cached - sequence.Computed;
        }

        sequence.Computed = Math.Max(sequence.Computed, cached);
    }

    private void EnsurePages(Sequence sequence, int tokens)
    {
        var missing = _limits.PagesFor(tokens) - sequence.Pages.Count;
        if (missing > Pool.FreeCount)
        {
            Tree.Evict(missing - Pool.FreeCount);
        }

        for (; missing > 0; missing--)
        {
            sequence.Pages.Add(Pool.Rent());
        }
    }
}
