using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace LsglangSharp.Runtime.Ports;

/// <summary>Chooses tokens where the logits lie, so that these need not travel. Results may be read a step later.</summary>
public interface IChooser : IDisposable
{
    /// <summary>The most rows of a step.</summary>
    int RowsMax { get; }

    /// <summary>The most edits of a step.</summary>
    int EditsMax { get; }

    /// <summary>
    /// Enqueues the choice of a token for each rule, from logits F32 [rows, vocabulary], which the rules' edits change. The
    /// results go to one of two places, 0 or 1; what was there before must have been taken.
    /// </summary>
    void Start(Tensor logits, ChoiceRules rules, int place);

    /// <summary>
    /// Waits for what was started into that place, and for nothing that was enqueued later. Valid until the next start into
    /// it. Throws <see cref="Primitives.DeviceFaultException"/> if something before it has failed.
    /// </summary>
    ReadOnlySpan<ChosenToken> Finish(int place);

    /// <summary>
    /// Enqueues, before the host knows them, that tokens (I32 [1, rows]) become what was chosen: tokens[t] by rule sources[t]
    /// of that place, where sources[t] is not -1. A row without a choice gives token 0.
    /// </summary>
    void TakeTokens(int place, ReadOnlySpan<int> sources, Tensor tokens);
}

/// <summary>The rules of one step, in memory that is used again.</summary>
public sealed class ChoiceRules(int rowsMax, int editsMax)
{
    private readonly ChoiceRule[] _rows = new ChoiceRule[rowsMax];
    private readonly TokenEdit[] _edits = new TokenEdit[editsMax];
    private int _rowCount;
    private int _editCount;

    public ReadOnlySpan<ChoiceRule> Rows => _rows.AsSpan(0, _rowCount);

    public ReadOnlySpan<TokenEdit> Edits => _edits.AsSpan(0, _editCount);

    /// <summary>How many edits there is room for.</summary>
    public int EditsLeft => editsMax - _editCount;

    public void Clear() => _rowCount = _editCount = 0;

    /// <summary>Adds a rule, whose edits are those that are added from now on. Returns its place among the rules.</summary>
    public int Add(ChoiceRule rule)
    {
        rule.EditStart = _editCount;
        _rows[_rowCount] = rule;
        return _rowCount++;
    }

    /// <summary>Adds edits of the rule that was added last.</summary>
    public void Add(TokenEdit edit) => _edits[_editCount++] = edit;
}

[Flags]
public enum ChoiceFlags
{
    None = 0,

    /// <summary>The rule counts; without, its row is left alone.</summary>
    Chooses = 1,

    /// <summary>The largest score, the lower token of equal ones.</summary>
    Greedy = 2,

    /// <summary>Top-k, top-p or min-p leave something out.</summary>
    Filters = 4,

    /// <summary>The sum of all weights is needed: to draw, or for log-probabilities.</summary>
    Sums = 8,
}

/// <summary>How the token of one row of logits is chosen: a request's sampling options at one moment. As the device reads it.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ChoiceRule
{
    /// <summary>In [0, 1): which of what is left, in the order of tokens, weighted.</summary>
    public required double Uniform;

    public required double TopP;

    /// <summary>Scores are logits divided by it; above 0.</summary>
    public required float Temperature;

    /// <summary>Relative to the most probable token.</summary>
    public required float MinP;

    public required float Repetition;
    public required float Frequency;
    public required float Presence;

    /// <summary>int.MaxValue for all.</summary>
    public required int TopK;

    /// <summary>Among the step's rows of logits.</summary>
    public required int LogitRow;

    public required ChoiceFlags Flags;

    /// <summary>How many of the best tokens are wanted, at most <see cref="ChosenToken.TopMax"/>.</summary>
    public required int TopCount;

    /// <summary>The first of its edits: penalties (value: how often the token was generated), then masks, then biases.</summary>
    public int EditStart;

    public required int Penalties;
    public required int Masks;
    public required int Biases;
    public int Reserved;
}

/// <summary>A change of one logit.</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct TokenEdit(int Token, float Value);

/// <summary>What was chosen from one row. As the device writes it.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ChosenToken
{
    public const int TopMax = 20;

    /// <summary>-1 if there is a fault.</summary>
    public int Token;

    /// <summary>0 none, 1 a NaN, 2 an infinite logit, 3 nothing but minus infinity.</summary>
    public int Fault;

    /// <summary>The token's, after edits; not divided by the temperature.</summary>
    public float Score;

    /// <summary>The largest of all.</summary>
    public float Max;

    /// <summary>Sum of exp((score - Max) / temperature) over all tokens; 0 where no sums were asked for.</summary>
    public double Total;

    public TopTokens Tokens;
    public TopScores Scores;

    [InlineArray(TopMax)]
    public struct TopTokens
    {
        private int _first;
    }

    [InlineArray(TopMax)]
    public struct TopScores
    {
        private float _first;
    }
}
