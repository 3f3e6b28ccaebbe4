namespace LsglangSharp.Api.Tests.Serving;

/// <summary>A clock that stands still at one second of 2023, for answers that are compared byte by byte.</summary>
internal sealed class FixedClock : TimeProvider
{
    public const long UnixSeconds = 1_700_000_000;

    public override DateTimeOffset GetUtcNow() => DateTimeOffset.FromUnixTimeSeconds(UnixSeconds);
}
