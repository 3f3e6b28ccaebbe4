using System.Globalization;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Placement;

/// <summary>
/// Where a cache shall go: what is free there, what else must fit (<paramref name="WeightBytes"/> and
/// <paramref name="ScratchBytes"/>), the share that weights and cache may take, the variable that gives the cache's bytes
/// there (null for none), and the complaint if not even the smallest cache fits.
/// </summary>
internal sealed record CachePlace(
    long BytesAvailable, long WeightBytes, long ScratchBytes, long BytesPerToken, double StaticFraction, string? BytesOption,
    Func<CacheFault, ConfigurationException> TooSmall);

/// <summary>The smallest useful cache, which does not fit.</summary>
internal readonly record struct CacheFault(long Tokens, long CacheBytes);

/// <summary>How many tokens of cache a place takes.</summary>
internal static class CacheBudget
{
    /// <summary>
    /// A server whose cache holds less than this (or than its context, if that is shorter) is of no use.
    /// </summary>
    private const int CachedTokensMin = 1024;

    /// <summary>The fewest tokens that a cache must hold, whole pages.</summary>
    public static long Least(MemoryRequest request) =>
        RoundUp(Math.Min(CachedTokensMin, request.ContextLength), request.PageSize);

    public static int Tokens(MemoryRequest request, CachePlace place)
    {
        var needed = Least(request);
        var left = place.BytesAvailable - place.WeightBytes - place.ScratchBytes;
        var fitting = RoundDown(left / place.BytesPerToken);
        var asked = request.TotalTokens ?? int.MaxValue;
        var least = Math.Min(needed, RoundUp(asked, request.PageSize));
        if (left < 0 || fitting < least)
        {
            throw place.TooSmall(new CacheFault(needed, needed * place.BytesPerToken));
        }

        if (Asked() is (var tokens, { } option))
        {
            if (tokens == 0)
            {
                throw new ConfigurationException(
                    $"{option} leaves no room in the cache; a page of {request.PageSize} tokens takes " +
                    Units.Bytes(request.PageSize * place.BytesPerToken));
            }

            return tokens <= fitting
                ? Clamp(tokens)
                : throw new ConfigurationException(
                    $"{option} asks for {Units.Bytes(tokens * place.BytesPerToken)} of cache beside " +
                    $"{Units.Bytes(place.WeightBytes)} of weights and {Units.Bytes(place.ScratchBytes)} of " +
                    $"activations, {Units.Bytes(place.BytesAvailable)} are available; at most {fitting} tokens " +
                    $"({Units.Bytes(fitting * place.BytesPerToken)}) fit");
        }

        // Scratch is taken from the part that is not static; where that is too small, the cache gives way.
        var budget = (long)(place.BytesAvailable * place.StaticFraction) - place.WeightBytes;
        var useful = request.UsefulTokens is { } most ? RoundUp(most, request.PageSize) : long.MaxValue;
        var derived = Math.Min(Math.Min(RoundDown(budget / place.BytesPerToken), fitting), useful);
        return derived >= Math.Min(needed, useful)
            ? Clamp(derived)
            : throw new ConfigurationException(
                $"--mem-fraction-static {place.StaticFraction.ToString(CultureInfo.InvariantCulture)} of " +
                $"{Units.Bytes(place.BytesAvailable)} leaves no room for a cache beside " +
                $"{Units.Bytes(place.WeightBytes)} of weights; raise it, or set --max-total-tokens " +
                $"(at most {fitting} fit)");

        (long Tokens, string? Option) Asked() => (request.TotalTokens, place.BytesOption is null ? null : request.CacheBytes) switch
        {
            ({ } total, { } bytes) when bytes / place.BytesPerToken < total => FromBytes(bytes),
            ({ } total, _) => (RoundUp(total, request.PageSize), $"--max-total-tokens {total}"),
            (null, { } bytes) => FromBytes(bytes),
            _ => (0, null),
        };

        (long Tokens, string? Option) FromBytes(long bytes) =>
            (RoundDown(bytes / place.BytesPerToken), $"{place.BytesOption} ({Units.Bytes(bytes)})");

        long RoundDown(long tokens) => tokens / request.PageSize * request.PageSize;

        // Slots are numbered with ints.
        int Clamp(long tokens) => (int)Math.Min(tokens, RoundDown(int.MaxValue));
    }

    public static long RoundUp(long tokens, int pageSize) => (tokens + pageSize - 1) / pageSize * pageSize;
}
