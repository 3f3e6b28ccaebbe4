using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Reference;

/// <summary>What each operation means. Sums are taken in double and rounded to float32 once.</summary>
internal sealed class ReferenceOps : IDeviceOps
{
    private readonly ReferenceAttention _attention = new();
    private readonly ReferenceMlp _mlp = new();
    private readonly Scratch<float> _weightRow = new();
    private readonly Scratch<float> _logits = new();
    private readonly Scratch<int> _rows = new();
    private readonly Scratch<float> _ones = new();
    private readonly ReferenceRouter _choice = new();

    public void Embed(WeightMatrix table, Tensor ids, Tensor y)
    {
        Check.That(ids.Columns == y.Rows && y.Columns == table.Columns);
        for (var t = 0; t < y.Rows; t++)
        {
            var id = ids.Integers(0)[t];
            Check.That((uint)id < (uint)table.Rows);
            ((ReferenceMatrix)table).Row(id, y.Floats(t));
        }
    }

    public void RmsNorm(Tensor x, Tensor weight, float epsilon, Tensor y)
    {
        var width = weight.Columns;
        Check.That(x.Rows == y.Rows && x.Columns == y.Columns && x.Columns % width == 0);
        var scales = weight.Floats(0);
        for (var t = 0; t < x.Rows; t++)
        {
            for (var start = 0; start < x.Columns; start += width)
            {
                var from = x.Floats(t).Slice(start, width);
                var to = y.Floats(t).Slice(start, width);
                var scale = 1 / Math.Sqrt((Numerics.Dot(from, from) / width) + epsilon);
                for (var i = 0; i < width; i++)
                {
                    to[i] = (float)(from[i] * scale * scales[i]);
                }
            }
        }
    }

    public void Linear(Tensor x, WeightMatrix w, Tensor? bias, Tensor y, bool accumulate = false)
    {
        Check.That(x.Rows == y.Rows && x.Columns == w.Columns && y.Columns == w.Rows);
        Check.That(bias is null || bias.Value.Columns == w.Rows);
        var row = _weightRow.Take(w.Columns);
        for (var i = 0; i < w.Rows; i++)
        {
            ((ReferenceMatrix)w).Row(i, row);
            var start = bias is { } b ? b.Floats(0)[i] : 0.0;
            for (var t = 0; t < x.Rows; t++)
            {
                ref var result = ref y.Floats(t)[i];
                result = (float)((accumulate ? result : 0.0) + start + Numerics.Dot(x.Floats(t), row));
            }
        }
    }

    public void RotaryAngles(Tensor positions, Tensor frequencies, float scale, Tensor cosSin)
    {
        var pairs = frequencies.Columns;
        Check.That(positions.Columns == cosSin.Rows && cosSin.Columns == 2 * pairs);
        for (var t = 0; t < cosSin.Rows; t++)
        {
            var row = cosSin.Floats(t);
            for (var i = 0; i < pairs; i++)
            {
                var angle = positions.Integers(0)[t] * frequencies.Floats(0)[i];
                row[i] = (float)Math.Cos(angle) * scale;
                row[pairs + i] = (float)Math.Sin(angle) * scale;
            }
        }
    }

    public void Rotate(Tensor x, int headDim, Tensor cosSin, bool interleaved)
    {
        var pairs = cosSin.Columns / 2;
        Check.That(x.Rows == cosSin.Rows && x.Columns % headDim == 0 && cosSin.Columns <= headDim);
        var (first, second, step) = interleaved ? (0, 1, 2) : (0, pairs, 1);
        for (var t = 0; t < x.Rows; t++)
        {
            var cosines = cosSin.Floats(t)[..pairs];
            var sines = cosSin.Floats(t)[pairs..];
            for (var start = 0; start < x.Columns; start += headDim)
            {
                var head = x.Floats(t).Slice(start, headDim);
                for (var i = 0; i < pairs; i++)
                {
                    ref var a = ref head[first + (i * step)];
                    ref var b = ref head[second + (i * step)];
                    var (cos, sin) = ((double)cosines[i], (double)sines[i]);
                    (a, b) = ((float)((a * cos) - (b * sin)), (float)((b * cos) + (a * sin)));
                }
            }
        }
    }

    public void WriteKv(Tensor k, Tensor v, KvLayer cache, Tensor slots)
    {
        Check.That(k.Rows == v.Rows && k.Rows == slots.Columns);
        Check.That(k.Columns == cache.KvHeads * cache.HeadDim && v.Columns == k.Columns);
        for (var t = 0; t < k.Rows; t++)
        {
            var slot = slots.Integers(0)[t];
            if (slot == -1)
            {
                continue;
            }

            for (var head = 0; head < cache.KvHeads; head++)
            {
                var row = cache.RowOf(slot, head);
                var start = head * cache.HeadDim;
                Store(k.Floats(t).Slice(start, cache.HeadDim), cache.KeyScale, cache.Keys, row);
                Store(v.Floats(t).Slice(start, cache.HeadDim), cache.ValueScale, cache.Values, row);
            }
        }
    }

    public void Attention(Tensor q, KvLayer cache, AttentionBatch batch, AttentionRule rule, Tensor y) =>
        _attention.Run(q, cache, batch, rule, y);

    public void GatedMlp(Tensor x, WeightMatrix gate, WeightMatrix up, WeightMatrix down, Tensor y)
    {
        Check.That(x.Rows == y.Rows);
        var rows = _rows.Take(x.Rows);
        var ones = _ones.Take(x.Rows);
        for (var t = 0; t < x.Rows; t++)
        {
            rows[t] = t;
            ones[t] = 1;
        }

        _mlp.Add(x, rows, ones, new((ReferenceMatrix)gate, (ReferenceMatrix)up, (ReferenceMatrix)down), y);
    }

    public void Route(
        Tensor x, WeightMatrix gate, Tensor? correction, Router router, Routes routes, Tensor? liveRows = null)
    {
        Check.That(gate.Rows == router.Experts && gate.Columns == x.Columns && router.TopK <= router.Experts);
        Check.That(routes.Experts.Rows == x.Rows && routes.Experts.Columns == router.TopK);
        Check.That(routes.Weights.Rows == x.Rows && routes.Weights.Columns == router.TopK);
        var row = _weightRow.Take(gate.Columns);
        var logits = _logits.Take(router.Experts);
        var live = liveRows is { } count ? Math.Min(count.Integers(0)[0], x.Rows) : x.Rows;
        for (var t = 0; t < live; t++)
        {
            for (var expert = 0; expert < router.Experts; expert++)
            {
                ((ReferenceMatrix)gate).Row(expert, row);
                logits[expert] = (float)Numerics.Dot(x.Floats(t), row);
            }

            _choice.Run(
                logits,
                correction is { } tensor ? tensor.Floats(0) : [],
                router,
                routes.Experts.Integers(t),
                routes.Weights.Floats(t));
        }

        for (var t = live; t < x.Rows; t++)
        {
            routes.Experts.Integers(t).Fill(-1);
            routes.Weights.Floats(t).Clear();
        }
    }

    public void GatherRows(Tensor x, Tensor rows, Tensor y)
    {
        Check.That(rows.Columns == y.Rows && x.Columns == y.Columns);
        for (var i = 0; i < y.Rows; i++)
        {
            x.Floats(rows.Integers(0)[i]).CopyTo(y.Floats(i));
        }
    }

    private static void Store(ReadOnlySpan<float> source, float scale, Tensor cache, int row)
    {
        Span<float> divided = source.Length <= 1024 ? stackalloc float[source.Length] : new float[source.Length];
        for (var i = 0; i < divided.Length; i++)
        {
            divided[i] = source[i] / scale;
        }

        Numerics.Narrow(cache.Type, divided, cache.Bytes(row));
    }
}
