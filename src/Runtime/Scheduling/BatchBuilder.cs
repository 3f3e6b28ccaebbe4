using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Scheduling;

/// <summary>Writes the sequences of a step into the arrays of its batch.</summary>
public sealed class BatchBuilder(SchedulerLimits limits)
{
    private readonly List<Sequence> _sequences = new(limits.RunningMax);
    private int _promptLogitRows;

    public StepBatch Batch { get; } =
        new(limits.StepTokensMax, limits.RunningMax, limits.PagesPerSequenceMax, limits.StepLogitRowsMax);

    /// <summary>In the order of their rows.</summary>
    public ReadOnlySpan<Sequence> Sequences => CollectionsMarshal.AsSpan(_sequences);

    public void Clear()
    {
        _sequences.Clear();
        _promptLogitRows = 0;
        Batch.TokenCount = Batch.SequenceCount = Batch.LogitRowCount = 0;
        Batch.QueryStarts[0] = Batch.PagesMax = 0;
        Batch.HasTokenSources = false;
    }

    /// <summary>
    /// How many of the next tokens' logits can still be had in this step: a chunk ends where they run out.
    /// </summary>
    public int LimitByLogits(Sequence sequence, int tokens)
    {
        var first = Math.Max(sequence.Computed, Math.Max(sequence.LogitsFrom, sequence.LogitsDone));
        if (first >= sequence.PromptLength - 1)
        {
            return tokens;
        }

        var left = limits.PromptLogitRowsMax - _promptLogitRows;
        return sequence.PromptLength - 1 - first <= left ? tokens : Math.Min(tokens, first + left - sequence.Computed);
    }

    /// <summary>Adds the next tokens of a sequence, whose pages are there.</summary>
    public void Add(Sequence sequence, int tokens)
    {
        Check.That(tokens > 0 && tokens <= sequence.Pending && _sequences.Count < limits.RunningMax);
        Check.That(Batch.TokenCount + tokens <= Batch.TokensMax);
        var row = Batch.TokenCount;
        var start = sequence.Computed;
        sequence.StepTokens = tokens;
        sequence.StepIsPrefill = sequence.Pending > 1 || start < sequence.PromptLength;
        AddRows(sequence, row, start, tokens);
        AddLogitRows(sequence, row, start, tokens);
        var index = Batch.SequenceCount++;
        sequence.Pages.Span.CopyTo(Batch.PageTables.AsSpan(index * Batch.PagesPerSequenceMax));
        Batch.PagesMax = Math.Max(Batch.PagesMax, sequence.Pages.Count);
        Batch.ContextLengths[index] = start + tokens;
        Batch.TokenCount += tokens;
        Batch.QueryStarts[index + 1] = Batch.TokenCount;
        _sequences.Add(sequence);
    }

    private void AddRows(Sequence sequence, int row, int start, int tokens)
    {
        sequence.Tokens.Slice(start, tokens).CopyTo(Batch.Tokens.AsSpan(row));
        for (var i = 0; i < tokens; i++)
        {
            var position = start + i;
            var page = Math.DivRem(position, limits.PageSize, out var offset);
            Batch.Positions[row + i] = position;
            Batch.Slots[row + i] = (sequence.Pages[page] * limits.PageSize) + offset;
        }
    }

    private void AddLogitRows(Sequence sequence, int row, int start, int tokens)
    {
        sequence.LogitRow = Batch.LogitRowCount;
        var first = Math.Max(start, Math.Max(sequence.LogitsFrom, sequence.LogitsDone));
        var end = Math.Min(start + tokens, sequence.PromptLength - 1);
        sequence.LogitPosition = first;
        for (var position = first; position < end; position++)
        {
            Batch.LogitRows[Batch.LogitRowCount++] = row + position - start;
            _promptLogitRows++;
        }

        if (start + tokens == sequence.Length)
        {
            Batch.LogitRows[Batch.LogitRowCount++] = row + tokens - 1;
        }

        sequence.LogitRowCount = Batch.LogitRowCount - sequence.LogitRow;
    }
}
