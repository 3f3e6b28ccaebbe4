using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.Sampling;
using LsglangSharp.Runtime.Scheduling;

namespace LsglangSharp.Runtime.Tests.Scheduling;

/// <summary>A random load on a random small engine: a pure function of the seed.</summary>
internal sealed record ScheduleCase(
    int Vocabulary, EngineLimits Limits, SchedulerOptions Options, IReadOnlyList<ScheduleCase.Arrival> Arrivals)
{
    /// <summary>
    /// A request, the step before which it comes, and the step before which it is cancelled, if it is.
    /// </summary>
    public sealed record Arrival(GenerationRequest Request, int Step, int? CancelStep);

    public static ScheduleCase Make(int seed)
    {
        var random = new Random(seed);
        var vocabulary = random.Next(3, 20);
        var limits = MakeLimits(random, vocabulary);
        var options = MakeOptions(random);
        var count = random.Next(1, 10);
        var bases = Enumerable.Range(0, random.Next(1, 4)).Select(_ => Tokens(random, 64, vocabulary)).ToArray();
        var arrivals = new List<Arrival>();
        var step = 0;
        for (var i = 0; i < count; i++)
        {
            step += random.Next(3) == 0 ? random.Next(12) : 0;
            int? cancel = random.Next(7) == 0 ? step + random.Next(20) : null;
            arrivals.Add(new Arrival(MakeRequest(random, $"{i}", bases, vocabulary, limits), step, cancel));
        }

        return new ScheduleCase(vocabulary, limits, options, arrivals);
    }

    private static EngineLimits MakeLimits(Random random, int vocabulary)
    {
        var pageSize = random.Next(1, 7);
        var longest = random.Next(2, 48);
        var pagesLeast = (longest + pageSize - 1) / pageSize;
        var prefill = random.Next(1, 24);
        return new EngineLimits
        {
            Vocabulary = vocabulary,
            ContextLength = longest,
            QueuedRequestsMax = 100,
            Steps = new SchedulerLimits
            {
                Pages = pagesLeast + random.Next(0, pagesLeast),
                PageSize = pageSize,
                RunningMax = random.Next(1, 9),
                PrefillTokensMax = prefill,
                PrefillTokensBesideDecode = random.Next(1, prefill + 1),
                PromptLogitRowsMax = random.Next(1, 9),
                SequenceTokensMax = longest,
            },
        };
    }

    private static SchedulerOptions MakeOptions(Random random)
    {
        var priorities = random.Next(3) == 0;
        return new SchedulerOptions
        {
            Priorities = priorities,
            Policy = priorities
                ? (SchedulePolicy)(2 * random.Next(2))
                : (SchedulePolicy)random.Next(5),
            Retraction = priorities ? (RetractionPolicy)random.Next(2) : RetractionPolicy.Length,
            PriorityPreemption = random.Next(4) != 0,
            PriorityPreemptionThreshold = random.Next(1, 12),
            Conservativeness = Math.Max(0, random.Next(6) - 2) * 0.5,
            PrefixCache = random.Next(8) != 0,
        };
    }

    private static GenerationRequest MakeRequest(
        Random random, string id, int[][] bases, int vocabulary, EngineLimits limits)
    {
        var longest = limits.Steps.SequenceTokensMax;
        var length = random.Next(1, random.Next(2) == 0 ? longest : 1 + ((longest + 1) / 2));
        var shared = random.Next(0, length + 1);
        var prompt = bases[random.Next(bases.Length)][..shared].Concat(Tokens(random, length - shared, vocabulary)).ToArray();
        var most = random.Next(4) == 0 ? longest : random.Next(0, 24);
        var room = Math.Min(most, longest - length);
        var wantsLogprobs = random.Next(4) == 0;
        return new GenerationRequest
        {
            Id = id,
            Prompt = prompt,
            Sampling = MakeSampling(random, vocabulary, room),
            ReturnLogprobs = wantsLogprobs,
            PromptLogprobStart = wantsLogprobs ? random.Next(-1, length + 1) : -1,
            TopLogprobs = random.Next(3),
            Priority = random.Next(-12, 12),
            CacheSalt = random.Next(5) == 0 ? "salt" : "",
        };
    }

    private static SamplingOptions MakeSampling(Random random, int vocabulary, int room)
    {
        var greedy = random.Next(2) == 0;
        return new SamplingOptions
        {
            MaxNewTokens = room,
            MinNewTokens = random.Next(5) == 0 ? random.Next(room + 1) : 0,
            Temperature = greedy ? 0 : 0.5f + random.NextSingle(),
            TopK = random.Next(3) == 0 ? random.Next(1, vocabulary + 1) : -1,
            TopP = random.Next(3) == 0 ? 0.5f : 1,
            MinP = random.Next(5) == 0 ? 0.2f : 0,
            FrequencyPenalty = random.Next(4) == 0 ? 0.5f : 0,
            RepetitionPenalty = random.Next(4) == 0 ? 1.5f : 1,
            Seed = random.Next(),
            StopTokenIds = random.Next(3) == 0 ? [random.Next(vocabulary)] : [],
            IgnoreEos = random.Next(4) == 0,
        };
    }

    private static int[] Tokens(Random random, int count, int vocabulary)
    {
        var tokens = new int[count];
        for (var i = 0; i < count; i++)
        {
            tokens[i] = random.Next(vocabulary);
        }

        return tokens;
    }
}
