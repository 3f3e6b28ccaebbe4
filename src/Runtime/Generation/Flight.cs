using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Scheduling;

namespace LsglangSharp.Runtime.Generation;

/// <summary>
/// What a request takes part with in a step: <paramref name="PromptRows"/> rows of logits of prompt tokens from
/// <paramref name="LogitRow"/> on, the first at <paramref name="LogitPosition"/>, and, at its end, one more for its next token,
/// which a rule chooses or, without one (-1), the host.
/// </summary>
internal readonly record struct FlightRow(
    LiveRequest Request, int LogitRow, int PromptRows, int LogitPosition, bool IsAtEnd, int Rule)
{
    /// <summary>Its logits have to come to the host.</summary>
    public bool NeedsLogits => PromptRows > 0 || (IsAtEnd && Rule < 0 && Request.Sequence.NewTokensMax > 0);
}

/// <summary>A step on its way: who is in it, as the sequences were when it was planned.</summary>
internal sealed class Flight
{
    private readonly List<FlightRow> _rows = [];

    public ReadOnlySpan<FlightRow> Rows => CollectionsMarshal.AsSpan(_rows);

    /// <summary>
    /// What it computes counts already, and behind each sequence stands a token that is still to be known: the next step has
    /// been started.
    /// </summary>
    public bool IsFollowed { get; set; }

    /// <summary>Takes the planned sequences and writes the rules for their tokens.</summary>
    /// <param name="planned">Before their step is committed.</param>
    /// <param name="rules">Empty.</param>
    /// <param name="ahead">How many tokens of each are not known yet.</param>
    public void Fill(ReadOnlySpan<Sequence> planned, ChoiceRules rules, int ahead)
    {
        _rows.Clear();
        IsFollowed = false;
        foreach (var sequence in planned)
        {
            var request = (LiveRequest)sequence.Owner!;
            var isAtEnd = sequence.Computed + sequence.StepTokens == sequence.Length;
            var promptRows = sequence.LogitRowCount - (isAtEnd ? 1 : 0);
            request.Rule = isAtEnd && sequence.NewTokensMax > 0
                ? RuleOf(request, sequence.LogitRow + promptRows, rules, ahead)
                : -1;
            _rows.Add(new(request, sequence.LogitRow, promptRows, sequence.LogitPosition, isAtEnd, request.Rule));
        }
    }

    /// <summary>
    /// Whether the next step can be started before this one's tokens are known: none of them ends a request for certain, and
    /// none is needed to choose the next.
    /// </summary>
    public bool MayBeFollowed()
    {
        foreach (var row in _rows)
        {
            if (row.Request.IsEnded)
            {
                continue;
            }

            var sequence = row.Request.Sequence;
            if (row.Rule < 0 || row.PromptRows > 0 || row.Request.Sampling.Penalizes
                || sequence.OutputLength + 1 >= sequence.NewTokensMax)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The place of a new rule; -1 if the host must choose, from more than the device can say.</summary>
    private static int RuleOf(LiveRequest request, int logitRow, ChoiceRules rules, int ahead)
    {
        var state = request.Sampling;
        var masked = state.Masked(ahead);
        var wantsLogprobs = request.Request.ReturnLogprobs;
        var topCount = wantsLogprobs ? request.Request.TopLogprobs : 0;
        if (topCount > ChosenToken.TopMax
            || (state.Counts?.Count ?? 0) + masked.Length + state.Biases.Length > rules.EditsLeft)
        {
            return -1;
        }

        var rule = rules.Add(new ChoiceRule
        {
            Uniform = state.IsGreedy ? 0 : state.Uniform(ahead),
            TopP = state.TopP,
            Temperature = state.Temperature,
            MinP = state.MinP,
            Repetition = state.Repetition,
            Frequency = state.Frequency,
            Presence = state.Presence,
            TopK = state.TopK,
            LogitRow = logitRow,
            Flags = ChoiceFlags.Chooses
                | (state.IsGreedy ? ChoiceFlags.Greedy : state.Filters ? ChoiceFlags.Filters : ChoiceFlags.None)
                | (state.IsGreedy && !wantsLogprobs ? ChoiceFlags.None : ChoiceFlags.Sums),
            TopCount = topCount,
            Penalties = state.Counts?.Count ?? 0,
            Masks = masked.Length,
            Biases = state.Biases.Length,
        });
        if (state.Counts is { } counts)
        {
            foreach (var (token, count) in counts)
            {
                rules.Add(new TokenEdit(token, count));
            }
        }

        foreach (var token in masked)
        {
            rules.Add(new TokenEdit(token, 0));
        }

        foreach (var (token, bias) in state.Biases)
        {
            rules.Add(new TokenEdit(token, bias));
        }

        return rule;
    }
}
