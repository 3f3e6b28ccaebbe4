using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Reference;

/// <summary>
/// Softmax attention over pages: all scores of a query, then their exponentials, then the weighted values.
/// </summary>
internal sealed class ReferenceAttention
{
    private readonly Scratch<double> _scores = new();
    private readonly Scratch<double> _sums = new();
    private readonly Scratch<float> _element = new();

    public void Run(Tensor q, KvLayer cache, AttentionBatch batch, AttentionRule rule, Tensor y)
    {
        Check.That(q.Rows == y.Rows && q.Columns == y.Columns && q.Columns % (cache.KvHeads * cache.HeadDim) == 0);
        Check.That(rule.Window is null or > 0);
        var heads = q.Columns / cache.HeadDim;
        Check.That(rule.Sinks is null || rule.Sinks.Value.Columns == heads);
        var starts = batch.QueryStarts.Integers(0);
        for (var sequence = 0; sequence < batch.Sequences; sequence++)
        {
            var (start, end) = (starts[sequence], starts[sequence + 1]);
            var length = batch.ContextLengths.Integers(0)[sequence];
            Check.That(start <= end && end <= q.Rows && (length == 0 || end - start <= length));
            var pages = new Past(cache, batch.PageTables.Integers(sequence));
            for (var t = start; t < end; t++)
            {
                if (length == 0)
                {
                    y.Floats(t).Clear();
                    continue;
                }

                var position = length - (end - t);
                var first = rule.Window is { } w ? Math.Max(0, position - w + 1) : 0;
                for (var head = 0; head < heads; head++)
                {
                    var kvHead = head / (heads / cache.KvHeads);
                    var at = head * cache.HeadDim;
                    var sink = rule.Sinks is { } sinks ? sinks.Floats(0)[head] : double.NegativeInfinity;
                    Head(
                        q.Floats(t).Slice(at, cache.HeadDim), pages, kvHead, first, position + 1, rule.Scale, sink,
                        y.Floats(t).Slice(at, cache.HeadDim));
                }
            }
        }
    }

    /// <summary>One query of one head over the positions [first, end), and the sink.</summary>
    private void Head(
        ReadOnlySpan<float> q, Past past, int kvHead, int first, int end, float scale, double sink, Span<float> y)
    {
        var scores = _scores.Take(end - first);
        var element = _element.Take(q.Length);
        var highest = sink;
        for (var i = 0; i < scores.Length; i++)
        {
            past.Key(first + i, kvHead, element);
            scores[i] = scale * Numerics.Dot(q, element);
            highest = Math.Max(highest, scores[i]);
        }

        var sums = _sums.Take(q.Length);
        sums.Clear();
        var total = Math.Exp(sink - highest);
        for (var i = 0; i < scores.Length; i++)
        {
            var weight = Math.Exp(scores[i] - highest);
            total += weight;
            past.Value(first + i, kvHead, element);
            for (var d = 0; d < sums.Length; d++)
            {
                sums[d] += weight * element[d];
            }
        }

        for (var d = 0; d < sums.Length; d++)
        {
            y[d] = (float)(sums[d] / total);
        }
    }

    /// <summary>Keys and values of one sequence by position.</summary>
    private readonly ref struct Past(KvLayer cache, ReadOnlySpan<int> pages)
    {
        private readonly ReadOnlySpan<int> _pages = pages;

        public void Key(int position, int head, Span<float> target) =>
            Load(cache.Keys, Row(position, head), cache.KeyScale, target);

        public void Value(int position, int head, Span<float> target) =>
            Load(cache.Values, Row(position, head), cache.ValueScale, target);

        private static void Load(Tensor stored, int row, float scale, Span<float> target)
        {
            Numerics.Widen(stored.Type, stored.Bytes(row), target);
            foreach (ref var element in target)
            {
                element *= scale;
            }
        }

        private int Row(int position, int head) => cache.RowOf(
            (_pages[position / cache.PageSize] * cache.PageSize) + (position % cache.PageSize), head);
    }
}

/// <summary>Where a cache keeps a token.</summary>
internal static class KvLayerRows
{
    public static int RowOf(this KvLayer cache, int slot, int head) =>
        (((slot / cache.PageSize * cache.KvHeads) + head) * cache.PageSize) + (slot % cache.PageSize);
}
