namespace LsglangSharp.Api.Http;

/// <summary>Where the server is in its life. Phases only go forward.</summary>
internal sealed class ServerPhase
{
    private volatile Phase _now = Phase.Ready;

    private enum Phase
    {
        Starting,
        Ready,
        Draining,
    }

    public bool IsReady => _now == Phase.Ready;

    /// <summary>Why no work is taken now; null if it is.</summary>
    public Failure? Refusal => _now switch
    {
        Phase.Starting => new Failure(503, "The server is still starting. Try again in a moment.", null, "starting"),
        Phase.Draining => new Failure(
            503,
            "The server is shutting down and takes no more requests.",
            null,
            "shutting_down"),
        _ => null,
    };

    public void BeginStart() => _now = Phase.Starting;

    public void BecomeReady()
    {
        if (_now == Phase.Starting)
        {
            _now = Phase.Ready;
        }
    }

    public void BeginDrain() => _now = Phase.Draining;
}
