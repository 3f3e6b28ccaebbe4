using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Reference;

/// <summary>
/// One row of a router: its logits become scores, the best groups are kept, and of their experts the best. A NaN is never
/// the best.
/// </summary>
internal sealed class ReferenceRouter
{
    private readonly Scratch<float> _values = new();

    public void Run(
        ReadOnlySpan<float> logits,
        ReadOnlySpan<float> correction,
        Router router,
        Span<int> experts,
        Span<float> weights)
    {
        var size = router.Experts / router.Groups;
        Check.That(router.Groups is >= 1 and <= Router.GroupsMax && size * router.Groups == router.Experts);
        Check.That(router.GroupsKept >= 1 && router.GroupsKept <= router.Groups && router.TopK <= router.GroupsKept * size);
        Check.That(correction.Length == 0 || correction.Length == router.Experts);
        Check.That(router.GroupScoring == GroupScoring.Best || size > 1);
        var scores = new Scores(logits, router.Scoring);
        var values = Values(logits, correction, router, scores);
        var groups = KeptGroups(values, router, size);
        var kept = 1e-20;
        for (var k = 0; k < experts.Length; k++)
        {
            var best = -1;
            for (var expert = 0; expert < values.Length; expert++)
            {
                if ((groups >> (expert / size) & 1) != 0
                    && !experts[..k].Contains(expert)
                    && (best < 0 || Better(values[expert], values[best])))
                {
                    best = expert;
                }
            }

            var score = scores.Of(logits[best]);
            (experts[k], weights[k]) = (best, (float)score);
            kept += score;
        }

        foreach (ref var weight in weights)
        {
            weight = (float)(weight / (router.Renormalize ? kept : 1) * router.Scale);
        }
    }

    /// <summary>
    /// What experts are compared by. Both scorings rise with the logit, so that where nothing is added to the scores the
    /// logits tell more: scores underflow.
    /// </summary>
    private ReadOnlySpan<float> Values(
        ReadOnlySpan<float> logits, ReadOnlySpan<float> correction, Router router, Scores scores)
    {
        if (correction.Length == 0 && (router.Groups == 1 || router.GroupScoring == GroupScoring.Best))
        {
            return logits;
        }

        var values = _values.Take(logits.Length);
        for (var expert = 0; expert < values.Length; expert++)
        {
            values[expert] = (float)scores.Of(logits[expert]) + (correction.Length == 0 ? 0 : correction[expert]);
        }

        return values;
    }

    /// <summary>One bit a group.</summary>
    private static ulong KeptGroups(ReadOnlySpan<float> values, Router router, int size)
    {
        ulong kept = 0;
        for (var k = 0; k < router.GroupsKept; k++)
        {
            var best = -1;
            var bestWorth = 0f;
            for (var group = 0; group < router.Groups; group++)
            {
                var worth = Worth(values.Slice(group * size, size), router.GroupScoring);
                if ((kept >> group & 1) == 0 && (best < 0 || Better(worth, bestWorth)))
                {
                    (best, bestWorth) = (group, worth);
                }
            }

            kept |= 1UL << best;
        }

        return kept;
    }

    private static float Worth(ReadOnlySpan<float> values, GroupScoring scoring)
    {
        var (first, second) = (float.NaN, float.NaN);
        foreach (var value in values)
        {
            if (Better(value, first))
            {
                (first, second) = (value, first);
            }
            else if (Better(value, second))
            {
                second = value;
            }
        }

        return scoring == GroupScoring.Best ? first : first + second;
    }

    private static bool Better(float candidate, float best) =>
        candidate > best || (float.IsNaN(best) && !float.IsNaN(candidate));

    /// <summary>Logits become scores; a softmax of a row with a NaN has nothing else.</summary>
    private readonly ref struct Scores
    {
        private readonly RouterScoring _scoring;
        private readonly double _highest;
        private readonly double _sum;

        public Scores(ReadOnlySpan<float> logits, RouterScoring scoring)
        {
            _scoring = scoring;
            if (scoring != RouterScoring.Softmax)
            {
                return;
            }

            _highest = double.NegativeInfinity;
            foreach (var logit in logits)
            {
                _highest = Math.Max(_highest, logit);
            }

            foreach (var logit in logits)
            {
                _sum += Math.Exp(logit - _highest);
            }
        }

        public double Of(float logit) =>
            _scoring == RouterScoring.Softmax ? Math.Exp(logit - _highest) / _sum : Numerics.Sigmoid(logit);
    }
}
