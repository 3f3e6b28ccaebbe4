using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Support;

namespace LsglangSharp.Conformance;

/// <summary>The paged cache and attention over it, against exact arithmetic.</summary>
public abstract class AttentionConformance : DeviceConformance
{
    /// <summary>The types that this device keeps keys and values in.</summary>
    protected virtual IReadOnlyList<DType> CacheTypes => Types;

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
        foreach (var type in CacheTypes)
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

        Device.Ops.Attention(Random(2, 8), past.Layer, batch, new(1), y);

        Assert.Equal(before, y.Read());
    }

    [Fact]
    public void Large_scores_do_not_overflow()
    {
        var past = Fill(DType.F32, 1, 16, 4, [new(1, 9)]);
        var q = new PaddedTensor(Device, 1, 16, (_, i) => past.Keys[Slot(past.Pages, 0, 3, 4), i] * 1e4f);
        var y = Zeros(1, 16);

        Device.Ops.Attention(q, past.Layer, Batch(past, [new(1, 9)]), new(1), y);

        Holds(q.Read(), past, [new(1, 9)], new(1), y.Read());
    }

    [Fact]
    public void A_NaN_query_spoils_its_own_head_and_row_only()
    {
        var spans = new Span[] { new(3, 12) };
        var past = Fill(DType.F32, 2, 8, 4, spans);
        var q = new PaddedTensor(Device, 3, 32, (row, column) => row == 1 && column == 8 ? float.NaN : Uniform());
        var y = Zeros(3, 32);

        Device.Ops.Attention(q, past.Layer, Batch(past, spans), new(0.3f), y);

        var result = y.Read();
        for (var i = 0; i < 3 * 32; i++)
        {
            Assert.Equal(i / 32 == 1 && i % 32 / 8 == 1, float.IsNaN(result[i / 32, i % 32]));
        }
    }

    /// <summary>
    /// Every head size that has a path of its own and some that have none, query groups of 1 to 16, rows alone and many,
    /// with the past of a few tokens and of thousands.
    /// </summary>
    [Theory]
    [InlineData(64, 1, 16)]
    [InlineData(64, 8, 64)]
    [InlineData(64, 16, 1)]
    [InlineData(128, 4, 16)]
    [InlineData(128, 5, 32)]
    [InlineData(128, 8, 7)]
    [InlineData(128, 12, 128)]
    [InlineData(256, 2, 16)]
    [InlineData(256, 16, 64)]
    [InlineData(80, 3, 16)]
    [InlineData(96, 10, 5)]
    public void Sinks_take_their_share(int headDim, int queryGroup, int pageSize)
    {
        foreach (var type in CacheTypes)
        {
            float[] sinks = [.. Enumerable.Range(0, queryGroup).Select(head => head == 0 ? 30 : 4 * Uniform())];
            foreach (var window in new int?[] { null, 1, 50 })
            {
                Attend(
                    type, queryGroup, 1, headDim, pageSize, window,
                    [new(1, 1), new(1, 130), new(7, 75), new(1, 700), new(20, 20)], sinks);
            }
        }
    }

    [Theory]
    [InlineData(64)]
    [InlineData(128)]
    [InlineData(48)]
    public void A_long_past_is_read_in_parts(int headDim)
    {
        foreach (var type in CacheTypes)
        {
            Attend(type, 4, 1, headDim, 16, null, [new(1, 9000), new(1, 513), new(1, 511)]);
            Attend(type, 4, 1, headDim, 16, 300, [new(1, 5000), new(3, 2000)]);
        }
    }

    [Fact]
    public void Rows_without_a_context_become_zeros()
    {
        foreach (var (type, headDim) in CacheTypes.SelectMany(type => new[] { (type, 10), (type, 64) }))
        {
            var past = Fill(type, 1, headDim, 4, [new(1, 9), new(1, 9), new(2, 9), new(1, 3)]);
            Span[] spans = [new(1, 0), new(1, 9), new(2, 0), new(1, 3)];
            var y = new PaddedTensor(Device, 5, 2 * headDim, (_, _) => 3);

            Device.Ops.Attention(Random(5, 2 * headDim), past.Layer, Batch(past, spans), new(1, 4, Floats(1, 2)), y);

            var result = y.Read();
            Assert.All(
                Enumerable.Range(0, 5 * 2 * headDim),
                i => Assert.Equal(i / (2 * headDim) is 0 or 2 or 3, result[i / (2 * headDim), i % (2 * headDim)] == 0));
        }
    }

    /// <summary>A key that a row may not see does not reach it, be it no number at all.</summary>
    [Theory]
    [InlineData(64)]
    [InlineData(128)]
    [InlineData(20)]
    public void A_NaN_key_of_a_later_position_or_behind_the_window_stays_unseen(int headDim)
    {
        const int Context = 90, Rows = 40, At = 70, Window = 10;
        foreach (var type in CacheTypes)
        {
            var past = Fill(type, 1, headDim, 16, [new(Rows, Context)]);
            var (k, v) = (new PaddedTensor(Device, 1, headDim, (_, _) => float.NaN), Random(1, headDim));
            Device.Ops.WriteKv(k, v, past.Layer, Integers(Slot(past.Pages, 0, At, 16)));
            var y = Zeros(Rows, headDim);

            Device.Ops.Attention(
                Random(Rows, headDim), past.Layer, Batch(past, [new(Rows, Context)]), new(0.1f, Window), y);

            var result = y.Read();
            for (var row = 0; row < Rows; row++)
            {
                var sees = Context - Rows + row is >= At and < At + Window;
                Assert.Equal(sees, Enumerable.Range(0, headDim).All(i => float.IsNaN(result[row, i])));
                Assert.Equal(sees, Enumerable.Range(0, headDim).Any(i => float.IsNaN(result[row, i])));
            }
        }
    }

    /// <summary>The answer to one is the same, bit for bit, whoever else is asked.</summary>
    [Fact]
    public void A_row_does_not_depend_on_its_company()
    {
        foreach (var (type, headDim) in CacheTypes.SelectMany(type => new[] { (type, 24), (type, 128) }))
        {
            Span[] spans = [new(1, 800), new(1, 3), new(30, 60), new(1, 2500), new(0, 4)];
            var past = Fill(type, 1, headDim, 16, spans);
            var q = Random(33, 2 * headDim);
            var together = Zeros(33, 2 * headDim);
            Device.Ops.Attention(q, past.Layer, Batch(past, spans), new(0.1f), together);
            var all = together.Read();

            for (int i = 0, row = 0; i < spans.Length; row += spans[i++].Rows)
            {
                var alone = Zeros(Math.Max(spans[i].Rows, 1), 2 * headDim);
                int[,] pages = new int[1, past.Pages.GetLength(1)];
                for (var page = 0; page < pages.Length; page++)
                {
                    pages[0, page] = past.Pages[i, page];
                }

                var batch = Batch(past with { Pages = pages }, [spans[i]]);
                var rows = q.View.SliceRows(row, spans[i].Rows);
                Device.Ops.Attention(rows, past.Layer, batch, new(0.1f), alone.View.SliceRows(0, spans[i].Rows));

                var result = alone.Read();
                for (var element = 0; element < spans[i].Rows * 2 * headDim; element++)
                {
                    var (r, column) = (element / (2 * headDim), element % (2 * headDim));
                    SameRow(all[row + r, column], result[r, column]);
                }
            }
        }
    }

    [Fact]
    public void A_cache_of_eight_bits_has_scales()
    {
        foreach (var type in CacheTypes.Where(type => type == DType.F8E4M3))
        {
            Attend(type, 4, 2, 128, 16, null, [new(1, 40), new(9, 30)], [1, 2, 3, 4], 0.25f, 0.5f);
            Attend(type, 4, 2, 10, 16, null, [new(1, 40), new(9, 30)], null, 4, 0.0625f);
        }
    }

    [Fact]
    public void An_eight_bit_cache_saturates_and_keeps_what_is_no_number()
    {
        if (!CacheTypes.Contains(DType.F8E4M3))
        {
            return;
        }

        float[] values = [float.NaN, float.PositiveInfinity, -1e9f, 464, 449, -0.0f, 0.0009765625f, 0.0009765627f];
        float[] expected = [float.NaN, 448, -448, 448, 448, -0.0f, 0, 0.001953125f];
        var layer = Layer(DType.F8E4M3, 1, 1, values.Length, 1);
        var k = new PaddedTensor(Device, 1, values.Length, (_, i) => values[i]);

        Device.Ops.WriteKv(k, k, layer, Integers(0));

        Assert.Equal(expected, Stored(layer.Keys));
        Assert.Equal(expected, Stored(layer.Values));
    }

    [Theory]
    [InlineData(3, 10)]
    [InlineData(2, 64)]
    public void Stored_keys_and_values_are_rounded_to_the_cache(int kvHeads, int headDim)
    {
        const int PageSize = 4, Pages = 5;
        foreach (var type in CacheTypes)
        {
            var layer = Layer(type, Pages, kvHeads, headDim, PageSize);
            var width = kvHeads * headDim;
            var (k, v) = (Random(7, width, left: 8, right: 1), Random(7, width, left: 2, right: 7));
            int[] slots = [19, 0, 7, -1, 8, 3, 12];

            Device.Ops.WriteKv(k, v, layer, Integers(slots));

            foreach (var (source, cache) in new[] { (k.Read(), Stored(layer.Keys)), (v.Read(), Stored(layer.Values)) })
            {
                var written = new HashSet<int>();
                foreach (var (t, slot) in slots.Index().Where(pair => pair.Item >= 0))
                {
                    for (var i = 0; i < width; i++)
                    {
                        var at = Element(layer, slot, i / headDim, i % headDim);
                        Assert.Equal(KnownMatrix.Round(type, source[t, i]), cache[at]);
                        written.Add(at);
                    }
                }

                Assert.All(Enumerable.Range(0, cache.Length).Except(written), at => Assert.Equal(0, cache[at]));
            }
        }
    }

    /// <summary>Equal; a device that cuts its work by the batch may differ as two orders of summing do.</summary>
    protected virtual void SameRow(float together, float alone) => Assert.Equal(together, alone);

    private void Attend(
        DType type, int heads, int kvHeads, int headDim, int pageSize, int? window, Span[] spans, float[]? sinks = null,
        float keyScale = 1, float valueScale = 1)
    {
        var past = Fill(type, kvHeads, headDim, pageSize, spans, keyScale, valueScale);
        var rows = spans.Sum(span => span.Rows);
        var q = Random(rows, heads * headDim, left: 4, right: 2 * kvHeads * headDim);
        var y = Zeros(rows, heads * headDim, left: 1, right: 2);
        var rule = new AttentionRule(1 / MathF.Sqrt(headDim), window, sinks is null ? null : Floats(sinks));

        Device.Ops.Attention(q, past.Layer, Batch(past, spans), rule, y);

        Holds(q.Read(), past, spans, rule, y.Read(), sinks);
    }

    private KvLayer Layer(
        DType type, int pages, int kvHeads, int headDim, int pageSize, float keyScale = 1, float valueScale = 1)
    {
        var rows = pages * kvHeads * pageSize;
        return new(
            Device.Memory.Allocate(type, rows, headDim), Device.Memory.Allocate(type, rows, headDim), pageSize, kvHeads,
            headDim)
        {
            KeyScale = keyScale,
            ValueScale = valueScale,
        };
    }

    /// <summary>
    /// Random keys and values for all contexts, on pages in a shuffled order; every other slot of the cache holds NaN.
    /// </summary>
    private Past Fill(
        DType type, int kvHeads, int headDim, int pageSize, Span[] spans, float keyScale = 1, float valueScale = 1)
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

        var layer = Layer(type, pageCount, kvHeads, headDim, pageSize, keyScale, valueScale);
        var slotCount = pageCount * pageSize;
        var used = new HashSet<int>(spans.SelectMany((span, i) => Enumerable.Range(0, span.Context)
            .Select(position => Slot(table, i, position, pageSize))));
        float Value(int slot) => used.Contains(slot) ? Uniform() : float.NaN;
        // What the cache gives back exactly: with scales that are powers of two, too.
        var k = new PaddedTensor(Device, slotCount, kvHeads * headDim, (slot, _) => Kept(type, Value(slot), keyScale));
        var v = new PaddedTensor(Device, slotCount, kvHeads * headDim, (slot, _) => Kept(type, Value(slot), valueScale));
        Device.Ops.WriteKv(k, v, layer, Integers([.. Enumerable.Range(0, slotCount)]));
        return new(layer, k.Read(), v.Read(), table);
    }

    private static float Kept(DType type, float value, float scale) => KnownMatrix.Round(type, value / scale) * scale;

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

    private void Holds(
        float[,] q, Past past, Span[] spans, AttentionRule rule, float[,] y, float[]? sinks = null)
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
                    .. Enumerable.Range(0, position + 1).Where(past => rule.Window is not { } w || past > position - w)
                        .Select(at => Slot(past.Pages, sequence, at, layer.PageSize)),
                ];
                for (var head = 0; head < heads; head++)
                {
                    var (t, at) = (row, head * headDim);
                    var kvAt = head / (heads / layer.KvHeads) * headDim;
                    var expected = Softmax(slots, i => q[t, at + i], past, kvAt, rule.Scale, sinks?[head]);
                    for (var d = 0; d < headDim; d++)
                    {
                        expected[d].Holds(y[t, at + d], $"sequence {sequence}, row {t}, head {head}, element {d}");
                    }
                }
            }
        }
    }

    private Bounded[] Softmax(int[] slots, Func<int, double> q, Past past, int at, float scale, double? sink)
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

        var highest = Math.Max(scores.Max(), sink ?? double.NegativeInfinity);
        var weights = Array.ConvertAll(scores, score => Math.Exp(score - highest));
        var total = weights.Sum() + (sink is { } score ? Math.Exp(score - highest) : 0);
        // An exponential turns its argument's absolute error into a relative one, above and below the line; the
        // argument itself is a difference that was rounded.
        var spread = highest - Math.Min(scores.Min(), sink ?? highest);
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
        DType.F8E4M3 => Array.ConvertAll(Device.Memory.Read<byte>(cache).ToArray(), Float8.ToSingle),
        _ => Array.ConvertAll(Device.Memory.Read<ushort>(cache).ToArray(), BFloat16.ToSingle),
    };

    private static int Element(KvLayer layer, int slot, int head, int element) =>
        ((((slot / layer.PageSize * layer.KvHeads) + head) * layer.PageSize) + (slot % layer.PageSize)) * layer.HeadDim
        + element;

    private static int Pages(int context, int pageSize) => (context + pageSize - 1) / pageSize;

    private static int Slot(int[,] table, int sequence, int position, int pageSize) =>
        (table[sequence, position / pageSize] * pageSize) + (position % pageSize);
}
