using System.Collections.Immutable;
using System.Globalization;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Placement;

/// <summary>Layers as an operator lists them: 0, 0-5 or 0,1,8-9; ranges include both ends.</summary>
public sealed record LayerList(string Name, string Text, ImmutableArray<(int First, int Last)> Ranges)
{
    /// <summary>An empty text lists nothing. A part that is no layer and no range is an error, never skipped.</summary>
    public static LayerList Parse(string name, string text)
    {
        var ranges = ImmutableArray.CreateBuilder<(int, int)>();
        foreach (var part in text.Length == 0 ? [] : text.Split(',', StringSplitOptions.TrimEntries))
        {
            var ends = part.Split('-', StringSplitOptions.TrimEntries);
            if (ends.Length > 2 || !IsLayer(ends[0], out var first) || !IsLayer(ends[^1], out var last))
            {
                throw new ConfigurationException(
                    $"{name}={text}: must be a list of layers such as 0, 0-5 or 0,1,8-9; \"{part}\" is not such a part.");
            }

            ranges.Add(first <= last ? (first, last) : throw new ConfigurationException(
                $"{name}={text}: the range {part} ends before it begins; write {last}-{first}."));
        }

        return new LayerList(name, text, ranges.ToImmutable());

        static bool IsLayer(string text, out int layer) =>
            int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out layer) && layer <= 65535;
    }

    /// <summary>0-2, 5</summary>
    public static string Format(IEnumerable<int> ascending)
    {
        var ranges = new List<(int First, int Last)>();
        foreach (var layer in ascending)
        {
            if (ranges.Count > 0 && ranges[^1].Last == layer - 1)
            {
                ranges[^1] = (ranges[^1].First, layer);
            }
            else
            {
                ranges.Add((layer, layer));
            }
        }

        return string.Join(',', ranges.Select(range => range.First == range.Last ? $"{range.First}" : $"{range.First}-{range.Last}"));
    }

    /// <summary>
    /// The listed layers that have experts, ascending. A layer that the model has not is an error; one without experts is
    /// told in a warning, as there is nothing of it to place.
    /// </summary>
    public ImmutableArray<int> Resolve(ModelSpec spec, ICollection<string> warnings)
    {
        if (Ranges.Any(range => range.Last >= spec.Layers.Length))
        {
            throw new ConfigurationException(
                $"{Name}={Text}: there is no layer {Ranges.Max(range => range.Last)}; the model has layers 0-{spec.Layers.Length - 1}.");
        }

        var named = Ranges.SelectMany(range => Enumerable.Range(range.First, range.Last - range.First + 1)).Distinct().Order().ToList();
        var dense = named.Where(layer => spec.Layers[layer].Ffn is not Moe).ToList();
        if (dense.Count > 0)
        {
            warnings.Add($"{Name}={Text}: layers without experts are on the GPU anyway: {Format(dense)}.");
        }

        return [.. named.Except(dense)];
    }
}
