using System.Globalization;
using System.Runtime.CompilerServices;

namespace LsglangSharp.Runtime.Text.Patterns;

/// <summary>A set of code points as sorted ranges, with a bitmap of the basic plane once that is needed.</summary>
internal sealed class CodePointSet
{
    public const int Last = 0x10FFFF;

    private readonly (int First, int Last)[] _ranges;
    private ulong[]? _basic;

    private CodePointSet((int First, int Last)[] ranges) => _ranges = ranges;

    public static CodePointSet Empty { get; } = new([]);

    public static CodePointSet All { get; } = new([(0, Last)]);

    public IReadOnlyList<(int First, int Last)> Ranges => _ranges;

    public static CodePointSet Of(params ReadOnlySpan<int> codes)
    {
        var ranges = new List<(int, int)>();
        foreach (var code in codes)
        {
            ranges.Add((code, code));
        }

        return From(ranges);
    }

    public static CodePointSet Range(int first, int last) => new([(first, last)]);

    /// <summary>Any ranges, in any order, overlapping or not.</summary>
    public static CodePointSet From(List<(int First, int Last)> ranges)
    {
        ranges.Sort();
        var merged = new List<(int First, int Last)>();
        foreach (var (first, last) in ranges)
        {
            if (merged.Count > 0 && first <= merged[^1].Last + 1)
            {
                merged[^1] = (merged[^1].First, Math.Max(merged[^1].Last, last));
            }
            else
            {
                merged.Add((first, last));
            }
        }

        return new CodePointSet([.. merged]);
    }

    /// <summary>Reads "41-5A 61-7A 5F".</summary>
    public static CodePointSet Parse(string ranges) => From([.. ranges.Split(' ').Select(range =>
    {
        var ends = range.Split('-');
        return (Hex(ends[0]), Hex(ends[^1]));
    })]);

    public CodePointSet Union(CodePointSet other) => From([.. _ranges, .. other._ranges]);

    public CodePointSet Complement()
    {
        var ranges = new List<(int, int)>();
        var next = 0;
        foreach (var (first, last) in _ranges)
        {
            if (first > next)
            {
                ranges.Add((next, first - 1));
            }

            next = last + 1;
        }

        if (next <= Last)
        {
            ranges.Add((next, Last));
        }

        return new CodePointSet([.. ranges]);
    }

    public CodePointSet Intersect(CodePointSet other) => Complement().Union(other.Complement()).Complement();

    /// <summary>Whether the character at a place belongs to the set, and how many units it takes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool ContainsAt(ReadOnlySpan<char> text, int index, out int length)
    {
        var unit = text[index];
        if (char.IsHighSurrogate(unit) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1]))
        {
            length = 2;
            return Contains(char.ConvertToUtf32(unit, text[index + 1]));
        }

        length = 1;
        var basic = _basic ?? Freeze();
        return (basic[unit >> 6] >> unit & 1) != 0;
    }

    public bool Contains(int code)
    {
        var low = 0;
        var high = _ranges.Length - 1;
        while (low <= high)
        {
            var middle = (low + high) / 2;
            if (code < _ranges[middle].First)
            {
                high = middle - 1;
            }
            else if (code > _ranges[middle].Last)
            {
                low = middle + 1;
            }
            else
            {
                return true;
            }
        }

        return false;
    }

    private static int Hex(string text) => int.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private ulong[] Freeze()
    {
        var basic = new ulong[(char.MaxValue + 1) / 64];
        foreach (var (first, last) in _ranges)
        {
            for (var code = first; code <= Math.Min(last, char.MaxValue); code++)
            {
                basic[code >> 6] |= 1UL << (code & 63);
            }
        }

        return _basic = basic;
    }
}
