namespace LsglangSharp.Runtime.Scheduling;

/// <summary>
/// Which share of their output limit running requests are expected to use: most stop early. Starts careful, decays
/// while all goes well, and is measured anew when the cache was full after all. Constants as sglang's.
/// </summary>
public sealed class GrowthEstimate(double conservativeness)
{
    private const double Start = 0.7;
    private const double End = 0.1;
    private const int DecaySteps = 600;

    /// <summary>Steps for which a request is sure of its place after others were sent back.</summary>
    private const int StepsAfterRetraction = 20;

    /// <summary>Limits beyond this are not believed: clients that want no limit name a large one.</summary>
    private const int NewTokensBelieved = 4096;

    private readonly double _least = Math.Min(1, Start * End * conservativeness);
    private double _share = Math.Min(1, Start * conservativeness);

    /// <summary>Tokens that the sequence is expected to add.</summary>
    public int TokensOf(Sequence sequence) =>
        (int)(_share * Math.Min(sequence.NewTokensMax - sequence.OutputLength, NewTokensBelieved));

    public void AfterStep() => _share = Math.Max(_least, _share - ((Start - (Start * End)) / DecaySteps));

    public void AfterRetraction(IReadOnlyList<Sequence> running)
    {
        long generated = 0;
        long limit = 0;
        foreach (var sequence in running)
        {
            generated += sequence.OutputLength;
            limit += sequence.NewTokensMax;
        }

        var measured = (generated + ((double)StepsAfterRetraction * running.Count)) / (limit + 1);
        _share = Math.Clamp(Math.Max(_share, measured), _least, 1);
    }
}
