using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Execution;

/// <summary>
/// What the operations of a step are sized to. A padded step has more rows than its batch: each of them is a sequence of its
/// own, and those behind the batch's write nothing, attend to nothing and ask no expert.
/// </summary>
internal readonly record struct StepShape(
    int Rows, int Sequences, int LogitRows, int QueryRowsMax, int ContextLengthMax, bool IsPadded)
{
    public static StepShape Of(StepBatch batch)
    {
        var (queries, context) = (0, 0);
        for (var i = 0; i < batch.SequenceCount; i++)
        {
            queries = Math.Max(queries, batch.QueryStarts[i + 1] - batch.QueryStarts[i]);
            context = Math.Max(context, batch.ContextLengths[i]);
        }

        return new StepShape(batch.TokenCount, batch.SequenceCount, batch.LogitRowCount, queries, context, false);
    }

    /// <summary>So many sequences of one row, with contexts of any length up to the bound.</summary>
    public static StepShape Padded(int rows, int contextLengthMax) => new(rows, rows, rows, 1, contextLengthMax, true);
}

/// <summary>The numbers of a step in one block of device memory, so that they go over in one copy.</summary>
internal sealed class StepArrays
{
    // Each array begins at a multiple of so many numbers.
    private const int Grain = 4;

    private readonly IDeviceMemory _memory;
    private readonly Tensor _device;
    private readonly int[] _host;
    private readonly int _pagesPerSequence;

    public StepArrays(IDeviceMemory memory, StepSizes sizes)
    {
        _memory = memory;
        _pagesPerSequence = sizes.PagesPerSequenceMax;
        var numbers = checked(Grain + (3 * Grained(sizes.TokensMax)) + Grained(sizes.LogitRowsMax)
            + Grained(sizes.SequencesMax + 1) + Grained(sizes.SequencesMax) + (sizes.SequencesMax * _pagesPerSequence));
        _device = memory.Allocate(DType.I32, 1, numbers);
        _host = new int[numbers];
        var none = _device.SliceColumns(0, 0);
        Attention = new AttentionBatch(none, none, none);
        LiveRows = _device.SliceColumns(0, 1);
    }

    /// <summary>How many rows of a padded step are the batch's.</summary>
    public Tensor LiveRows { get; }

    public Tensor Tokens { get; private set; }

    public Tensor Positions { get; private set; }

    public Tensor Slots { get; private set; }

    public Tensor LogitRows { get; private set; }

    public AttentionBatch Attention { get; }

    /// <summary>Lays the views out for a step: the same for each step of a shape.</summary>
    public void Lay(in StepShape shape)
    {
        var at = Grain;
        Tokens = Take(ref at, shape.Rows);
        Positions = Take(ref at, shape.Rows);
        Slots = Take(ref at, shape.Rows);
        LogitRows = Take(ref at, shape.LogitRows);
        Attention.QueryStarts = Take(ref at, shape.Sequences + 1);
        Attention.ContextLengths = Take(ref at, shape.Sequences);
        Attention.PageTables = _device with
        {
            Offset = _device.Offset + at,
            Rows = shape.Sequences,
            Columns = _pagesPerSequence,
            RowStride = _pagesPerSequence,
        };
        Attention.Sequences = shape.Sequences;
        Attention.QueryRowsMax = shape.QueryRowsMax;
        Attention.ContextLengthMax = shape.ContextLengthMax;
    }

    /// <summary>Enqueues the copy of the batch's numbers to where a step of this shape looks for them.</summary>
    public void Send(StepBatch batch, in StepShape shape)
    {
        Check.That(batch.PagesPerSequenceMax == _pagesPerSequence && batch.PagesMax <= _pagesPerSequence);
        Check.That(batch.TokenCount <= shape.Rows && batch.SequenceCount <= shape.Sequences);
        Check.That(batch.LogitRowCount <= shape.LogitRows);
        var at = Grain;
        _host[0] = batch.TokenCount;
        Put(ref at, batch.Tokens, batch.TokenCount, shape.Rows, 0);
        Put(ref at, batch.Positions, batch.TokenCount, shape.Rows, 0);
        Put(ref at, batch.Slots, batch.TokenCount, shape.Rows, -1);
        Put(ref at, batch.LogitRows, batch.LogitRowCount, shape.LogitRows, 0);
        PutQueryStarts(ref at, batch, shape.Sequences);
        Put(ref at, batch.ContextLengths, batch.SequenceCount, shape.Sequences, 0);
        for (var i = 0; i < batch.SequenceCount; i++)
        {
            var row = i * _pagesPerSequence;
            batch.PageTables.AsSpan(row, batch.PagesMax).CopyTo(_host.AsSpan(at + row));
        }

        // What lies behind the last page that counts need not go over.
        var end = batch.SequenceCount == 0 ? at : at + ((batch.SequenceCount - 1) * _pagesPerSequence) + batch.PagesMax;
        _memory.Upload<int>(_host.AsSpan(0, end), _device.SliceColumns(0, end));
    }

    private static int Grained(int count) => (count + Grain - 1) / Grain * Grain;

    private Tensor Take(ref int at, int count)
    {
        var start = at;
        at += Grained(count);
        return _device.SliceColumns(start, count);
    }

    private void Put(ref int at, int[] source, int count, int room, int filling)
    {
        source.AsSpan(0, count).CopyTo(_host.AsSpan(at));
        _host.AsSpan(at + count, room - count).Fill(filling);
        at += Grained(room);
    }

    /// <summary>Rows that only fill up are sequences of one row each.</summary>
    private void PutQueryStarts(ref int at, StepBatch batch, int room)
    {
        batch.QueryStarts.AsSpan(0, batch.SequenceCount + 1).CopyTo(_host.AsSpan(at));
        for (var i = batch.SequenceCount + 1; i <= room; i++)
        {
            _host[at + i] = _host[at + i - 1] + 1;
        }

        at += Grained(room + 1);
    }
}
