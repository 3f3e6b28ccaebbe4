namespace LsglangSharp.Runtime.Scheduling;

/// <summary>Who goes next and who goes back: pure functions of the sequences.</summary>
public static class Choice
{
    /// <summary>
    /// By other policies than first come, first served the oldest request can be overtaken for ever; after this many it
    /// goes first.
    /// </summary>
    public const int OvertakenMax = 64;

    /// <summary>The place in the queue, which is ordered by arrival, of the one to admit next.</summary>
    public static int Next(IReadOnlyList<Sequence> waiting, SchedulerOptions options)
    {
        var byPriority = options.Priorities || options.Policy == SchedulePolicy.Priority;
        var byOther = options.Policy is SchedulePolicy.Lpm or SchedulePolicy.Lof or SchedulePolicy.Random;
        if (!byPriority && (!byOther || waiting[0].Overtaken >= OvertakenMax))
        {
            return 0;
        }

        var best = 0;
        for (var i = 1; i < waiting.Count; i++)
        {
            if (GoesBefore(waiting[i], waiting[best], options.Policy, byPriority))
            {
                best = i;
            }
        }

        return best;
    }

    /// <summary>Whom to send back to the queue: the least worth in the policy's eyes.</summary>
    public static Sequence Victim(IReadOnlyList<Sequence> running, RetractionPolicy policy)
    {
        var victim = running[0];
        for (var i = 1; i < running.Count; i++)
        {
            if (GoesBack(running[i], victim, policy))
            {
                victim = running[i];
            }
        }

        return victim;
    }

    /// <summary>
    /// The least urgent running request that is so much less urgent that it must make room; null if there is none.
    /// </summary>
    public static Sequence? Preempted(IReadOnlyList<Sequence> running, int priority, int threshold)
    {
        Sequence? victim = null;
        for (var i = 0; i < running.Count; i++)
        {
            var sequence = running[i];
            if ((long)priority - sequence.Priority >= threshold
                && (victim is null || GoesBack(sequence, victim, RetractionPolicy.Priority)))
            {
                victim = sequence;
            }
        }

        return victim;
    }

    /// <summary>Arrival decides last: the queue is ordered by it, so a later one must be strictly better.</summary>
    private static bool GoesBefore(Sequence later, Sequence earlier, SchedulePolicy policy, bool byPriority)
    {
        if (byPriority && later.Priority != earlier.Priority)
        {
            return later.Priority > earlier.Priority;
        }

        return policy switch
        {
            SchedulePolicy.Lpm => later.CachedHint > earlier.CachedHint,
            SchedulePolicy.Lof => later.NewTokensMax > earlier.NewTokensMax,
            SchedulePolicy.Random => Lot(later) > Lot(earlier),
            _ => false,
        };
    }

    /// <summary>A number drawn by the order of arrival: two rounds of a mixing function.</summary>
    private static ulong Lot(Sequence sequence)
    {
        var product = ((ulong)sequence.Order + 1) * 0x9e3779b97f4a7c15;
        return (product ^ (product >> 32)) * 0xbf58476d1ce4e5b9;
    }

    private static bool GoesBack(Sequence left, Sequence right, RetractionPolicy policy)
    {
        if (policy == RetractionPolicy.Priority && left.Priority != right.Priority)
        {
            return left.Priority < right.Priority;
        }

        if (left.OutputLength != right.OutputLength)
        {
            return left.OutputLength < right.OutputLength;
        }

        return left.PromptLength != right.PromptLength
            ? left.PromptLength > right.PromptLength
            : left.Order > right.Order;
    }
}
