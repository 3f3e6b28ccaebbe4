using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Support;

namespace LsglangSharp.Conformance;

/// <summary>The paged cache and attention over it, against exact arithmetic.</summary>
public abstract class AttentionConformance : DeviceConformance
{
    /// <summary>A query of this many rows at the end of a context of this length.</summary>
    private readonly record struct Span(int Rows, int Context);

    /// <summary>What the cache holds by token slot and head, and where each sequence's pages are.</summary>
    private sealed record Past(KvLayer Layer, float[,] Keys, float[,] Values, int[,] Pages);

    [Theory]
    [InlineData(1, 64, 1, 16)]
    [InlineData(4, 16, 2, 5)]
    [InlineData(8, 128, 4, 1)]
    [InlineData(6, 20, 3, 7)]
    [InlineData(3, 64, 3, 64)]
    [InlineData(32, 32, 4, 16)]
    public void Attention_sees_the_past_of_its_own_sequence(int heads, int headDim, int queryGroup, int pageSize)
    {
        var kvHeads = heads / queryGroup;
        foreach (var type in Types)
        {
            Attend(type, heads, kvHeads, headDim, pageSize, null, [new(1, 1), new(3, 17), new(5, 5), new(1, 33)]);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(16)]
    [InlineData(40)]
    [InlineData(100)]
    public void A_window_hides_what_lies_further_back(int window) =>
        Attend(DType.F32, 4, 2, 16, 8, window, [new(20, 40), new(1, 41), new(9, 9), new(1, 1)]);

    [Theory]
    [MemberData(nameof(RowCounts))]
    public void Prefill_of_any_length_is_causal(int rows)
    {
        Attend(DType.F32, 2, 1, 32, 16, null, [new(rows, rows)]);
        Attend(DType.BF16, 2, 1, 32, 16, null, [new(rows, rows + 11)]);
    }

    [Fact]
    public void Many_sequences_of_one_row_are_independent() =>
        Attend(DType.BF16, 4, 2, 16, 4, null, [.. Enumerable.Range(1, 40).Select(i => new Span(1, i * 3))]);

    [Fact]
    public void A_long_context_is_summed_without_loss() =>
        Attend(DType.F32, 2, 1, 16, 32, null, [new(1, 3000), new(2, 2049)]);

    [Fact]
    public void A_sequence_without_rows_is_passed_over() =>
        Attend(DType.F32, 2, 2, 8, 4, null, [new(0, 5), new(2, 6), new(0, 3)]);

    [Fact]
    public void A_batch_without_sequences_changes_nothing()
    {
        var past = Fill(DType.F32, 1, 8, 4, [new(1, 4)]);
        var y = Random(2, 8);
        var before = y.Read();
        var batch = new AttentionBatch(Integers(0), Integers(0), Integers(past.Pages)) { Sequences = 0 };

        Device.Ops.Attention(Random(2, 8), past.Layer, batch, 1, null, y);

        Assert.Equal(before, y.Read());
    }

    [Fact]
    public void Large_scores_do_not_overflow()
    {
        var past = Fill(DType.F32, 1, 16, 4, [new(1, 9)]);
        var q = new PaddedTensor(Device, 1, 16, (_, i) => past.Keys[Slot(past.Pages, 0, 3, 4), i] * 1e4f);
        var y = Zeros(1, 16);

        Device.Ops.Attention(q, past.Layer, Batch(past, [new(1, 9)]), 1, null, y);

        Holds(q.Read(), past, [new(1, 9)], 1, null, y.Read());
    }

    [Fact]
    public void A_NaN_query_spoils_its_own_head_and_row_only()
    {
        var spans = new Span[] { new(3, 12) };
        var past = Fill(DType.F32, 2, 8, 4, spans);
        var q = new PaddedTensor(Device, 3, 32, (row, column) => row == 1 && column == 8 ? float.NaN : Uniform());
        var y = Zeros(3, 32);

        Device.Ops.Attention(q, past.Layer, Batch(past, spans), 0.3f, null, y);

        var result = y.Read();
        for (var i = 0; i < 3 * 32; i++)
        {
            Assert.Equal(i / 32 == 1 && i % 32 / 8 == 1, float.IsNaN(result[i / 32, i % 32]));
        }
    }

    [Theory]
    [MemberData(nameof(WeightTypes))]
    public void Stored_keys_and_values_are_rounded_to_the_cache(DType type)
    {
        const int KvHeads = 3, HeadDim = 10, PageSize = 4, Pages = 5;
        var layer = Layer(type, Pages, KvHeads, HeadDim, PageSize);
        var (k, v) = (Random(6, KvHeads * HeadDim, left: 8, right: 1), Random(6, KvHeads * HeadDim, left: 2, right: 7));
        int[] slots = [19, 0, 7, 8, 3, 12];

        Device.Ops.WriteKv(k, v, layer, Integers(slots));

        foreach (var (source, cache) in new[] { (k.Read(), Stored(layer.Keys)), (v.Read(), Stored(layer.Values)) })
        {
            var written = new HashSet<int>();
            for (var t = 0; t < slots.Length; t++)
            {
                for (var i = 0; i < KvHeads * HeadDim; i++)
                {
                    var at = Element(layer, slots[t], i / HeadDim, i % HeadDim);
                    Assert.Equal(KnownMatrix.Round(type, source[t, i]), cache[at]);
                    written.Add(at);
                }
            }

            Assert.All(Enumerable.Range(0, cache.Length).Except(written), at => Assert.Equal(0, cache[at]));
        }
    }

    private void Attend(DType type, int heads, int kvHeads, int headDim, int pageSize, int? window, Span[] spans)
    {
        var past = Fill(type, kvHeads, headDim, pageSize, spans);
        var rows = spans.Sum(span => span.Rows);
        var q = Random(rows, heads * headDim, left: 4, right: 2 * kvHeads * headDim);
        var y = Zeros(rows, heads * headDim, left: 1, right: 2);
        var scale = 1 / MathF.Sqrt(headDim);

        Device.Ops.Attention(q, past.Layer, Batch(past, spans), scale, window, y);

        Holds(q.Read(), past, spans, scale, window, y.Read());
    }

    private KvLayer Layer(DType type, int pages, int kvHeads, int headDim, int pageSize)
    {
        var rows = pages * kvHeads * pageSize;
        return new(
            Device.Memory.Allocate(type, rows, headDim), Device.Memory.Allocate(type, rows, headDim), pageSize, kvHeads,
            headDim);
    }

    /// <summary>
    /// Random keys and values for all contexts, on pages in a shuffled order; every other slot of the cache holds NaN.
    /// </summary>
    private Past Fill(DType type, int kvHeads, int headDim, int pageSize, Span[] spans)
    {
        var perSequence = spans.Max(span => Pages(span.Context, pageSize));
        var pageCount = spans.Sum(span => Pages(span.Context, pageSize)) + 2;
        var free = new Queue<int>(Enumerable.Range(0, pageCount).OrderBy(_ => Uniform()));
        // Entries that a sequence does not use name a page that nobody may read.
        var forbidden = free.Dequeue();
        var table = new int[spans.Length, perSequence];
        for (var i = 0; i < spans.Length; i++)
        {
            for (var page = 0; page < perSequence; page++)
            {
                table[i, page] = page < Pages(spans[i].Context, pageSize) ? free.Dequeue() : forbidden;
            }
        }

        var layer = Layer(type, pageCount, kvHeads, headDim, pageSize);
        var slotCount = pageCount * pageSize;
        var used = new HashSet<int>(spans.SelectMany((span, i) => Enumerable.Range(0, span.Context)
            .Select(position => Slot(table, i, position, pageSize))));
        float Value(int slot) => used.Contains(slot) ? Uniform() : float.NaN;
        var k = new PaddedTensor(Device, slotCount, kvHeads * headDim, (slot, _) => KnownMatrix.Round(type, Value(slot)));
        var v = new PaddedTensor(Device, slotCount, kvHeads * headDim, (slot, _) => KnownMatrix.Round(type, Value(slot)));
        Device.Ops.WriteKv(k, v, layer, Integers([.. Enumerable.Range(0, slotCount)]));
        return new(layer, k.Read(), v.Read(), table);
    }

    private AttentionBatch Batch(Past past, Span[] spans)
    {
        var starts = new int[spans.Length + 1];
        for (var i = 0; i < spans.Length; i++)
        {
            starts[i + 1] = starts[i] + spans[i].Rows;
        }

        return new(Integers(starts), Integers([.. spans.Select(span => span.Context)]), Integers(past.Pages))
        {
            Sequences = spans.Length,
            QueryRowsMax = spans.Max(span => span.Rows),
            ContextLengthMax = spans.Max(span => span.Context),
        };
    }

    private void Holds(float[,] q, Past past, Span[] spans, float scale, int? window, float[,] y)
    {
        var (layer, headDim) = (past.Layer, past.Layer.HeadDim);
        var heads = q.GetLength(1) / headDim;
        var row = 0;
        for (var sequence = 0; sequence < spans.Length; sequence++)
        {
            for (var r = 0; r < spans[sequence].Rows; r++, row++)
            {
                var position = spans[sequence].Context - spans[sequence].Rows + r;
                int[] slots =
                [
                    .. Enumerable.Range(0, position + 1).Where(past => window is not { } w || past > position - w)
                        .Select(at => Slot(past.Pages, sequence, at, layer.PageSize)),
                ];
                for (var head = 0; head < heads; head++)
                {
                    var (t, at) = (row, head * headDim);
                    var kvAt = head / (heads / layer.KvHeads) * headDim;
                    var expected = Softmax(slots, i => q[t, at + i], past, kvAt, scale);
                    for (var d = 0; d < headDim; d++)
                    {
                        expected[d].Holds(y[t, at + d], $"sequence {sequence}, row {t}, head {head}, element {d}");
                    }
                }
            }
        }
    }

    private Bounded[] Softmax(int[] slots, Func<int, double> q, Past past, int at, float scale)
    {
        var headDim = past.Layer.HeadDim;
        var rounding = ActivationRounding(past.Layer.Keys.Type);
        var scores = new double[slots.Length];
        var scoreError = 0.0;
        for (var i = 0; i < slots.Length; i++)
        {
            var product = Dot(headDim, d => new(q(d), 0), d => past.Keys[slots[i], at + d], rounding);
            scores[i] = scale * product.Value;
            scoreError = Math.Max(scoreError, (scale * product.Error) + (2 * Tolerance.Single * Math.Abs(scores[i])));
        }

        var highest = scores.Max();
        var weights = Array.ConvertAll(scores, score => Math.Exp(score - highest));
        var total = weights.Sum();
        // An exponential turns its argument's absolute error into a relative one, above and below the line; the
        // argument itself is a difference that was rounded.
        var spread = highest - scores.Min();
        var exponential = scoreError + (Tolerance.Single * spread) + Tolerance.Transcendental;
        var relative = Math.Exp(2 * exponential) - 1 + (2 * Tolerance.Dot(slots.Length)) + rounding;
        var y = new Bounded[headDim];
        for (var d = 0; d < headDim; d++)
        {
            double sum = 0, magnitude = 0;
            for (var i = 0; i < slots.Length; i++)
            {
                var term = weights[i] / total * past.Values[slots[i], at + d];
                (sum, magnitude) = (sum + term, magnitude + Math.Abs(term));
            }

            y[d] = new(sum, relative * magnitude);
        }

        return y;
    }

    private float[] Stored(Tensor cache) => cache.Type switch
    {
        DType.F32 => Device.Memory.Read<float>(cache).ToArray(),
        DType.F16 => Array.ConvertAll(Device.Memory.Read<Half>(cache).ToArray(), value => (float)value),
        _ => Array.ConvertAll(Device.Memory.Read<ushort>(cache).ToArray(), BFloat16.ToSingle),
    };

    private static int Element(KvLayer layer, int slot, int head, int element) =>
        ((((slot / layer.PageSize * layer.KvHeads) + head) * layer.PageSize) + (slot % layer.PageSize)) * layer.HeadDim
        + element;

    private static int Pages(int context, int pageSize) => (context + pageSize - 1) / pageSize;

    private static int Slot(int[,] table, int sequence, int position, int pageSize) =>
        (table[sequence, position / pageSize] * pageSize) + (position % pageSize);
}
