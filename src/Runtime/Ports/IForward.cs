namespace LsglangSharp.Runtime.Ports;

/// <summary>One forward pass over a batch: what the engine asks of a model. Tests answer it without one.</summary>
public interface IForward
{
    int Vocabulary { get; }

    /// <summary>
    /// Runs the step and returns its logits, row by row for <see cref="StepBatch.LogitRows"/>: [LogitRowCount *
    /// Vocabulary] floats, valid until the next call. Throws <see cref="Primitives.DeviceFaultException"/> when a machine has
    /// failed; then none of the step's keys and values count, and unless it is fatal the next step can run.
    /// </summary>
    ReadOnlySpan<float> Run(StepBatch batch);

    /// <summary>
    /// The same with tokens that are chosen where the logits lie; null where that is the host. Asked for on the step thread.
    /// </summary>
    IChoosingForward? Choosing => null;
}

/// <summary>
/// Forward passes that end with chosen tokens. Either these or <see cref="IForward.Run"/> are used, never both.
/// </summary>
public interface IChoosingForward
{
    /// <summary>The most edits of a step's rules.</summary>
    int EditsMax { get; }

    /// <summary>
    /// A step may be started before the one before is finished: its batch says by <see cref="StepBatch.TokenSources"/> which
    /// tokens come from there.
    /// </summary>
    bool RunsAhead { get; }

    /// <summary>Starts a step. Batch and rules are free afterwards.</summary>
    void Start(StepBatch batch, ChoiceRules rules);

    /// <summary>
    /// Waits for the earliest step that was started and not finished. What each of its rules chose, valid until the next
    /// start. Throws as <see cref="IForward.Run"/> does; then no step is open.
    /// </summary>
    ReadOnlySpan<ChosenToken> Finish();

    /// <summary>
    /// A row of logits of the step that was finished last, if none is open: for rows without a rule. Valid until the next call.
    /// </summary>
    ReadOnlySpan<float> Logits(int row);
}

/// <summary>
/// What one step runs, as flat arrays sized once for the largest step. Sequence i owns the rows [QueryStarts[i],
/// QueryStarts[i + 1]); row t is token Tokens[t] at position Positions[t], whose keys and values go to cache slot
/// Slots[t].
/// </summary>
public sealed class StepBatch(int tokensMax, int sequencesMax, int pagesPerSequenceMax, int logitRowsMax)
{
    public int TokensMax { get; } = tokensMax;

    public int SequencesMax { get; } = sequencesMax;

    public int PagesPerSequenceMax { get; } = pagesPerSequenceMax;

    /// <summary>
    /// The most rows whose logits one step asks for: far fewer than its tokens, because a row of logits is as long as
    /// the vocabulary.
    /// </summary>
    public int LogitRowsMax { get; } = logitRowsMax;

    public int TokenCount { get; set; }

    public int[] Tokens { get; } = new int[tokensMax];

    /// <summary>
    /// Where <see cref="HasTokenSources"/>: for each row the rule of the step before by which its token is chosen, or -1: it
    /// stands in <see cref="Tokens"/>.
    /// </summary>
    public int[] TokenSources { get; } = new int[tokensMax];

    public bool HasTokenSources { get; set; }

    public int[] Positions { get; } = new int[tokensMax];

    /// <summary>page * page size + slot in the page.</summary>
    public int[] Slots { get; } = new int[tokensMax];

    public int SequenceCount { get; set; }

    public int[] QueryStarts { get; } = new int[sequencesMax + 1];

    /// <summary>Tokens of the sequence that are in the cache after this step.</summary>
    public int[] ContextLengths { get; } = new int[sequencesMax];

    /// <summary>[sequencesMax, pagesPerSequenceMax], row-major.</summary>
    public int[] PageTables { get; } = new int[sequencesMax * pagesPerSequenceMax];

    /// <summary>The most pages of a row of <see cref="PageTables"/> that this step looks at, or more.</summary>
    public int PagesMax { get; set; } = pagesPerSequenceMax;

    public int LogitRowCount { get; set; }

    /// <summary>Rows whose logits are wanted, ascending.</summary>
    public int[] LogitRows { get; } = new int[logitRowsMax];
}
