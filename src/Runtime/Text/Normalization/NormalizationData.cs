using System.Globalization;

namespace LsglangSharp.Runtime.Text.Normalization;

/// <summary>
/// The character properties behind the Unicode normal forms, read from an embedded table on first use. The base
/// library cannot be asked: with invariant globalization its Normalize returns the text unchanged.
/// </summary>
internal sealed class NormalizationData
{
    private const int CodePoints = 0x110000;
    private readonly Dictionary<int, int[]> _canonical = [];
    private readonly Dictionary<int, int[]> _compatible = [];
    private readonly Dictionary<long, int> _composed = [];
    private readonly Dictionary<int, byte> _classes = [];
    private readonly ulong[] _active = new ulong[CodePoints / 64];

    private NormalizationData(TextReader lines)
    {
        var composites = new HashSet<int>();
        while (lines.ReadLine() is { } line)
        {
            if (!line.StartsWith('#'))
            {
                Add(line, composites);
            }
        }

        foreach (var code in _canonical.Keys.Where(code => !composites.Contains(code)))
        {
            Activate(code);
        }

        for (var jamo = Hangul.VowelBase; jamo < Hangul.VowelBase + Hangul.VowelCount; jamo++)
        {
            Activate(jamo);
        }

        for (var jamo = Hangul.TailBase + 1; jamo < Hangul.TailBase + Hangul.TailCount; jamo++)
        {
            Activate(jamo);
        }
    }

    public static NormalizationData Instance => Lazily.Data;

    /// <summary>False for starters that NFC keeps and that compose with nothing before them.</summary>
    public bool IsActive(int code) => (_active[code >> 6] >> code & 1) != 0;

    public byte CombiningClass(int code) => _classes.GetValueOrDefault(code);

    /// <summary>The full decomposition, or null where the character is its own.</summary>
    public int[]? Decomposition(int code, bool compatible) =>
        compatible && _compatible.TryGetValue(code, out var full) ? full : _canonical.GetValueOrDefault(code);

    /// <summary>The character that a pair composes to, or -1.</summary>
    public int Compose(int first, int second)
    {
        var hangul = Hangul.Compose(first, second);
        return hangul >= 0 ? hangul : _composed.GetValueOrDefault((long)first << 32 | (uint)second, -1);
    }

    private void Add(string line, HashSet<int> composites)
    {
        var parts = line.Split(' ');
        var codes = parts.Skip(1).Select(part => int.Parse(part, NumberStyles.HexNumber, CultureInfo.InvariantCulture));
        switch (parts[0])
        {
            case "D":
                _canonical.Add(codes.First(), codes.Skip(1).ToArray());
                break;
            case "K":
                _compatible.Add(codes.First(), codes.Skip(1).ToArray());
                break;
            case "P":
                var pair = codes.ToArray();
                _composed.Add((long)pair[0] << 32 | (uint)pair[1], pair[2]);
                composites.Add(pair[2]);
                Activate(pair[1]);
                break;
            default:
                var range = codes.Take(2).ToArray();
                for (var code = range[0]; code <= range[1]; code++)
                {
                    _classes.Add(code, byte.Parse(parts[3], CultureInfo.InvariantCulture));
                    Activate(code);
                }

                break;
        }
    }

    private void Activate(int code) => _active[code >> 6] |= 1UL << (code & 63);

    private static class Lazily
    {
        public static readonly NormalizationData Data = Read();

        private static NormalizationData Read()
        {
            using var stream = typeof(NormalizationData).Assembly.GetManifestResourceStream("UnicodeNormalization.txt");
            using var reader = new StreamReader(stream!);
            return new NormalizationData(reader);
        }
    }
}
