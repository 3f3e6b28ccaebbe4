using System.Text;

namespace LsglangSharp.Runtime.Sampling;

/// <summary>
/// Finds stop strings in text that comes in pieces and lets out only what cannot become a part of one. The match that
/// is complete first wins, the longer of two that end together; so the result does not depend on where the pieces end.
/// </summary>
public sealed class StopMatcher
{
    private readonly string[] _stops;
    private readonly int[][] _fallbacks;
    private readonly int[] _matched;
    private readonly StringBuilder _held = new();

    public StopMatcher(IEnumerable<string> stops)
    {
        _stops = [.. stops.Where(stop => stop.Length > 0).Distinct(StringComparer.Ordinal)];
        _fallbacks = [.. _stops.Select(Fallbacks)];
        _matched = new int[_stops.Length];
    }

    public bool IsEmpty => _stops.Length == 0;

    /// <summary>The stop string that was found; nothing may be pushed after it.</summary>
    public string? Matched { get; private set; }

    /// <summary>Text that came in and has not been let out: the beginning of what may become a stop string.</summary>
    public string Held => _held.ToString();

    /// <summary>
    /// Text that may be shown now. When a stop string is found: all before it, with itself if <paramref
    /// name="keepStop"/>.
    /// </summary>
    public string Push(string piece, bool keepStop = false)
    {
        if (IsEmpty || piece.Length == 0)
        {
            return piece;
        }

        for (var i = 0; i < piece.Length; i++)
        {
            _held.Append(piece[i]);
            if (Advance(piece[i]) is { } stop)
            {
                Matched = stop;
                return Take(_held.Length - (keepStop ? 0 : stop.Length));
            }
        }

        var longest = 0;
        foreach (var length in _matched)
        {
            longest = Math.Max(longest, length);
        }

        return Take(_held.Length - longest);
    }

    /// <summary>The rest, when no more text comes.</summary>
    public string Flush() => Matched is null ? Take(_held.Length) : "";

    /// <summary>
    /// One character on for every stop string (Knuth, Morris and Pratt); the longest that is complete now.
    /// </summary>
    private string? Advance(char c)
    {
        string? found = null;
        for (var s = 0; s < _stops.Length; s++)
        {
            var stop = _stops[s];
            var length = _matched[s];
            while (length > 0 && stop[length] != c)
            {
                length = _fallbacks[s][length - 1];
            }

            _matched[s] = length = stop[length] == c ? length + 1 : 0;
            if (length == stop.Length && (found is null || length > found.Length))
            {
                found = stop;
            }
        }

        return found;
    }

    private string Take(int length)
    {
        if (length == 0)
        {
            return "";
        }

        var text = _held.ToString(0, length);
        _held.Remove(0, length);
        return text;
    }

    /// <summary>For each beginning of the stop string the longest proper beginning that it also ends with.</summary>
    private static int[] Fallbacks(string stop)
    {
        var fallbacks = new int[stop.Length];
        for (var i = 1; i < stop.Length; i++)
        {
            var length = fallbacks[i - 1];
            while (length > 0 && stop[length] != stop[i])
            {
                length = fallbacks[length - 1];
            }

            fallbacks[i] = stop[length] == stop[i] ? length + 1 : 0;
        }

        return fallbacks;
    }
}
