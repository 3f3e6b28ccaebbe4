using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Ports;

/// <summary>
/// The operations that a forward pass is written in. T is the number of rows (tokens) of a step. Each is enqueued
/// behind those before it; none waits. x and y may be views with a row stride; y may be x where it says so. Reference
/// defines what each computes.
/// </summary>
public interface IDeviceOps
{
    /// <summary>y[t] = table[ids[t]]. ids: I32 [1, T].</summary>
    void Embed(WeightMatrix table, Tensor ids, Tensor y);

    /// <summary>
    /// Each group of weight.Columns elements of a row is divided by its root mean square (epsilon added to the mean
    /// square) and multiplied by the weight (F32 [1, width]). More than one group a row is a norm per head. y may be x.
    /// </summary>
    void RmsNorm(Tensor x, Tensor weight, float epsilon, Tensor y);

    /// <summary>
    /// y = x · wᵀ + bias, or y += … when accumulating. x: [T, columns of w]; y: [T, rows of w]; bias: F32 [1, rows].
    /// </summary>
    void Linear(Tensor x, WeightMatrix w, Tensor? bias, Tensor y, bool accumulate = false);

    /// <summary>
    /// cosSin[t] = cosines then sines of positions[t] * frequencies, times scale. positions: I32 [1, T]; frequencies:
    /// F32 [1, D/2]; cosSin: F32 [T, D]. The product is taken in float32, as the reference implementations do.
    /// </summary>
    void RotaryAngles(Tensor positions, Tensor frequencies, float scale, Tensor cosSin);

    /// <summary>
    /// Rotates, in place, the first cosSin.Columns elements of each head of headDim elements of x: pairs (2i, 2i + 1)
    /// when interleaved, else (i, i + D/2).
    /// </summary>
    void Rotate(Tensor x, int headDim, Tensor cosSin, bool interleaved);

    /// <summary>
    /// Stores k[t] and v[t] ([T, kvHeads * headDim]), divided by the cache's scales and rounded to its type, at slots[t]
    /// of the cache. slots: I32 [1, T]; slot -1 stores nothing.
    /// </summary>
    void WriteKv(Tensor k, Tensor v, KvLayer cache, Tensor slots);

    /// <summary>
    /// Causal softmax attention of every sequence of the batch over its own pages: y[t] = softmax(scale · q · kᵀ) · v, by
    /// the rule. q and y: [T, heads * headDim]. The rows of a sequence whose context length is 0 become zeros.
    /// </summary>
    void Attention(Tensor q, KvLayer cache, AttentionBatch batch, AttentionRule rule, Tensor y);

    /// <summary>
    /// Takes what attention of this many query heads over this cache needs for itself, for steps of up to so many sequences:
    /// before serving, so that no step takes memory. Without it, steps take what they need.
    /// </summary>
    void ReserveAttention(KvLayer cache, int heads, int sequences)
    {
    }

    /// <summary>y += down(silu(gate · x) * (up · x)).</summary>
    void GatedMlp(Tensor x, WeightMatrix gate, WeightMatrix up, WeightMatrix down, Tensor y);

    /// <summary>
    /// Scores x [T, hidden] against gate [experts, hidden] and keeps the best; ties go to the lower expert. The correction
    /// (F32 [1, experts]; null for none) is added to the scores for choosing, not for the weights. A row that holds a NaN
    /// gets experts that exist and, with softmax, weights of NaN. Rows from liveRows (I32 [1, 1]; null: all are alive) on
    /// get experts -1 and weights 0.
    /// </summary>
    void Route(Tensor x, WeightMatrix gate, Tensor? correction, Router router, Routes routes, Tensor? liveRows = null);

    /// <summary>y[i] = x[rows[i]]. rows: I32 [1, y.Rows].</summary>
    void GatherRows(Tensor x, Tensor rows, Tensor y);
}

/// <summary>
/// What the router chose: experts I32 [T, k], the best first, and their weights F32 [T, k]. An expert of -1 is none.
/// </summary>
public readonly record struct Routes(Tensor Experts, Tensor Weights)
{
    /// <summary>How many of the rows are alive, I32 [1, 1]; the others name no expert. Null: all are.</summary>
    public Tensor? LiveRows { get; init; }

    public Routes SliceRows(int start, int count)
    {
        Check.That(LiveRows is null);
        return new(Experts.SliceRows(start, count), Weights.SliceRows(start, count));
    }
}

/// <summary>
/// How queries see keys. Scores are q · k * Scale. A window w lets a query at position p see positions p - w + 1 … p; null
/// sees all. Sinks, F32 [1, heads], add e^sinks[head] to the softmax's denominator: a score without a value, which a head
/// gives its attention to when no key deserves it.
/// </summary>
public readonly record struct AttentionRule(float Scale, int? Window = null, Tensor? Sinks = null);

/// <summary>
/// Keys and values of one layer in pages. Element order: [page][kv head][slot in page][head dimension]; token slot s
/// lies in page s / PageSize. Both tensors have pages * KvHeads * PageSize rows of HeadDim columns.
/// </summary>
public sealed record KvLayer(Tensor Keys, Tensor Values, int PageSize, int KvHeads, int HeadDim)
{
    /// <summary>What stored keys are multiplied by to be keys: fits them into a narrow type.</summary>
    public float KeyScale { get; init; } = 1;

    /// <summary>What stored values are multiplied by to be values.</summary>
    public float ValueScale { get; init; } = 1;
}

/// <summary>
/// Which rows of a step belong to which sequence, and where that sequence's past lies. Sequence i owns rows
/// [QueryStarts[i], QueryStarts[i + 1]) and its last row is at position ContextLengths[i] - 1; a context length of 0 marks
/// rows that only fill up a batch. All I32: QueryStarts [1,
/// S + 1], ContextLengths [1, S], PageTables [S, pages a sequence can have]. Tensors are sized for the largest step;
/// Sequences says how much counts.
/// </summary>
public sealed record AttentionBatch(Tensor QueryStarts, Tensor ContextLengths, Tensor PageTables)
{
    public Tensor QueryStarts { get; set; } = QueryStarts;

    public Tensor ContextLengths { get; set; } = ContextLengths;

    public Tensor PageTables { get; set; } = PageTables;

    public int Sequences { get; set; }

    /// <summary>The most rows that one sequence has in this step.</summary>
    public int QueryRowsMax { get; set; }

    /// <summary>The longest context in this step, or a bound on it when the step is recorded.</summary>
    public int ContextLengthMax { get; set; }
}
