namespace LsglangSharp.Runtime.Generation;

/// <summary>Totals that the step thread keeps. Others read them a little late, which is fine for a display.</summary>
internal sealed class EngineCounters
{
    public long PromptTokens { get; set; }

    public long CachedTokens { get; set; }

    public long GeneratedTokens { get; set; }

    public long FinishedRequests { get; set; }

    public long AbortedRequests { get; set; }
}
