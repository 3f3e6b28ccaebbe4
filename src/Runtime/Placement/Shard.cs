using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Placement;

/// <summary>
/// One device's share of every layer, when <paramref name="Ranks"/> devices run a model together (tensor parallelism,
/// Shoeybi et al. 2019): whole attention heads, and ranges of the inner width of MLPs and experts. Each rank's result
/// of a layer is a part of a sum. Embedding, norms and routers are on every rank, the head is on the first.
/// </summary>
public sealed record Shard(int Rank, int Ranks)
{
    /// <summary>Inner widths are cut at multiples of this, so that rows of a slice stay aligned.</summary>
    private const int WidthUnit = 16;

    public static Shard Whole { get; } = new(0, 1);

    public bool IsFirst => Rank == 0;

    /// <summary>Throws a <see cref="ConfigurationException"/> if a model cannot be shared by so many.</summary>
    public static void Require(ModelSpec spec, int ranks)
    {
        foreach (var (name, width) in spec.Layers.Select(layer => layer.Ffn).SelectMany(Widths))
        {
            if (width < ranks)
            {
                throw new ConfigurationException($"--tp-size {ranks}: {name} has an inner width of only {width}");
            }
        }
    }

    /// <summary>
    /// What this rank computes of an attention layer: whole groups of heads with their key-value head, or, where ranks
    /// outnumber these, a part of the heads of a group, whose key-value head is then on several ranks. No head at all
    /// where ranks outnumber heads.
    /// </summary>
    public Gqa Local(Gqa gqa)
    {
        var heads = HeadsOf(gqa);
        return gqa with { Heads = heads.Count, KvHeads = heads.KvCount };
    }

    public TensorSpec Query(Gqa gqa, TensorSpec tensor)
    {
        var heads = HeadsOf(gqa);
        return tensor.SliceRows((long)heads.Start * gqa.HeadDim, (long)heads.Count * gqa.HeadDim);
    }

    public TensorSpec KeyValue(Gqa gqa, TensorSpec tensor)
    {
        var heads = HeadsOf(gqa);
        return tensor.SliceRows((long)heads.KvStart * gqa.HeadDim, (long)heads.KvCount * gqa.HeadDim);
    }

    /// <summary>The scores of this rank's heads that have no value.</summary>
    public TensorSpec Sinks(Gqa gqa, TensorSpec tensor)
    {
        var heads = HeadsOf(gqa);
        return tensor.SliceRows(heads.Start, heads.Count);
    }

    /// <summary>The columns of the output projection that meet this rank's heads.</summary>
    public TensorSpec Output(Gqa gqa)
    {
        var heads = HeadsOf(gqa);
        return gqa.Output.SliceColumns((long)heads.Start * gqa.HeadDim, (long)heads.Count * gqa.HeadDim);
    }

    /// <summary>This rank's part of an MLP's or an expert's inner width.</summary>
    public (int Start, int Count) Inner(int width)
    {
        var unit = width % WidthUnit == 0 && width / WidthUnit >= Ranks ? WidthUnit : 1;
        var start = width / unit * Rank / Ranks * unit;
        var end = width / unit * (Rank + 1) / Ranks * unit;
        return (start, end - start);
    }

    /// <summary>Rows of a gate or up projection [inner, hidden].</summary>
    public TensorSpec InnerRows(TensorSpec tensor)
    {
        var (start, count) = Inner((int)tensor.Rows);
        return tensor.SliceRows(start, count);
    }

    /// <summary>Columns of a down projection [hidden, inner].</summary>
    public TensorSpec InnerColumns(TensorSpec tensor)
    {
        var (start, count) = Inner((int)tensor.Columns);
        return tensor.SliceColumns(start, count);
    }

    public ExpertTensors Expert(Moe moe, int index)
    {
        var (gate, up, down) = moe.Expert(index);
        return new ExpertTensors(InnerRows(gate), InnerRows(up), InnerColumns(down));
    }

    private HeadRange HeadsOf(Gqa gqa)
    {
        var group = gqa.Heads / gqa.KvHeads;
        if (gqa.KvHeads >= Ranks)
        {
            var (first, end) = (gqa.KvHeads * Rank / Ranks, gqa.KvHeads * (Rank + 1) / Ranks);
            return new HeadRange(first * group, (end - first) * group, first, end - first);
        }

        var kvHead = Rank * gqa.KvHeads / Ranks;
        var firstRank = FirstRankOf(kvHead);
        var sharers = FirstRankOf(kvHead + 1) - firstRank;
        var start = group * (Rank - firstRank) / sharers;
        var count = (group * (Rank - firstRank + 1) / sharers) - start;
        return new HeadRange((kvHead * group) + start, count, kvHead, 1);

        int FirstRankOf(int head) => ((head * Ranks) + gqa.KvHeads - 1) / gqa.KvHeads;
    }

    private static IEnumerable<(string Name, int Width)> Widths(Ffn ffn) => ffn switch
    {
        Mlp mlp => [(mlp.Name, mlp.Intermediate)],
        Moe { Shared: { } shared } moe => [(moe.Name, moe.Intermediate), (shared.Name, shared.Intermediate)],
        Moe moe => [(moe.Name, moe.Intermediate)],
        _ => [],
    };

    private readonly record struct HeadRange(int Start, int Count, int KvStart, int KvCount);
}
