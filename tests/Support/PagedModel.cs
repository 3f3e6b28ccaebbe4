using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Layers;
using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Runtime.Weights;

namespace LsglangSharp.Support;

/// <summary>Tokens of one request, how many of them are in the cache, and the pages that hold them.</summary>
public sealed class PagedSequence(params ReadOnlySpan<int> tokens)
{
    public List<int> Tokens { get; } = [.. tokens];

    public List<int> Pages { get; } = [];

    public int Cached { get; set; }

    public int Remaining => Tokens.Count - Cached;
}

/// <summary>How a model is spread and run, beside its device.</summary>
public sealed record PagedSetting
{
    /// <summary>On a <see cref="HybridDevice"/>: the layers whose experts stay on the device.</summary>
    public Func<int, bool> IsResident { get; init; } = _ => false;

    /// <summary>Numbers of rows for which steps are recorded.</summary>
    public IReadOnlyList<int> Recorded { get; init; } = [];

    public MailboxOptions Mailbox { get; init; } = new();
}

/// <summary>
/// A loaded checkpoint that runs steps over sequences without an engine: pages come from a shuffled list.
/// </summary>
public sealed class PagedModel : IDisposable
{
    private readonly ICollective? _collective;
    private readonly StepBatch _batch;
    private readonly Queue<int> _free;
    private readonly int _pageSize;

    public PagedModel(
        IDevice device, string folder, DType weights, DType cache, int pageSize, int tokensMax = 256, PagedSetting? setting = null)
        : this([device], null, folder, weights, cache, pageSize, tokensMax, setting)
    {
    }

    /// <summary>
    /// Several devices that share every layer, and what puts their parts together, for a step's sizes and the hidden size.
    /// </summary>
    public PagedModel(
        IReadOnlyList<IDevice> devices, Func<StepSizes, int, ICollective>? collective, string folder, DType weights, DType cache,
        int pageSize, int tokensMax = 256, PagedSetting? setting = null)
    {
        setting ??= new PagedSetting();
        // Enough for every test here: a few sequences of about a hundred tokens.
        const int CacheTokens = 4096, SequencesMax = 24;
        var pages = (CacheTokens / pageSize) + SequencesMax;
        var sizes = new StepSizes(tokensMax, SequencesMax, pages, tokensMax);
        Sizes = sizes;
        var model = ModelFolder.Open(folder);
        Shard.Require(model.Spec, devices.Count);
        Hybrid = NewHybrid(devices[0], model.Spec, sizes, setting);
        var plans = devices.Select(device => new WeightPlan(device.Memory)).ToArray();
        var ranks = devices.Select((device, rank) =>
        {
            var kv = new KvCacheMemory(device.Memory, cache, pages, pageSize);
            var shard = new Shard(rank, devices.Count);
            var bound = Binding.Bind(
                model.Spec, device, weights, plans[rank], kv.Allocate, shard,
                layer => Hybrid is null || setting.IsResident(layer) ? device.Experts : Hybrid);
            return (bound, device);
        }).ToArray();
        using (var checkpoint = Checkpoint.Open(folder))
        {
            WeightLoader.Load(plans, checkpoint, new LoadOptions { Threads = 1 });
        }

        var order = Enumerable.Range(0, pages).ToArray();
        new Random(pages).Shuffle(order);
        _free = new Queue<int>(order);
        _pageSize = pageSize;
        _batch = sizes.NewBatch();
        _collective = collective?.Invoke(sizes, model.Spec.Embedding.Hidden);
        Coordinator = new Coordinator(ranks, _collective, sizes, Hybrid);
        Device = devices[0];
        Coordinator.Record(setting.Recorded);
        (Device as HybridDevice)?.DisposeFirst(this);
    }

    public StepSizes Sizes { get; }

    public IDevice Device { get; }

    public Coordinator Coordinator { get; }

    /// <summary>The experts on the host; null without.</summary>
    public HybridExperts? Hybrid { get; }

    public void Dispose()
    {
        Coordinator.Dispose();
        Hybrid?.Dispose();
        (_collective as IDisposable)?.Dispose();
    }

    private static HybridExperts? NewHybrid(IDevice device, ModelSpec spec, StepSizes sizes, PagedSetting setting)
    {
        var sparse = spec.Layers.Select(layer => layer.Ffn).OfType<Moe>().ToArray();
        if (sparse.Length == 0 || device is not HybridDevice { Host: { } host } hybrid)
        {
            return null;
        }

        var shape = new MailboxShape(1, sizes.TokensMax, spec.Embedding.Hidden, sparse.Max(moe => moe.Router.TopK));
        return new HybridExperts(hybrid.MailboxDevice.NewMailbox(shape, setting.Mailbox), host, setting.Mailbox);
    }

    /// <summary>
    /// Runs the next tokens of each sequence in one step. Returns the logits of all of them, in that order.
    /// </summary>
    public float[] Step(params ReadOnlySpan<(PagedSequence Sequence, int Count)> parts)
    {
        var row = 0;
        for (var i = 0; i < parts.Length; i++)
        {
            var (sequence, count) = parts[i];
            _batch.QueryStarts[i] = row;
            for (var n = 0; n < count; n++, row++)
            {
                var position = sequence.Cached + n;
                if (position / _pageSize == sequence.Pages.Count)
                {
                    sequence.Pages.Add(_free.Dequeue());
                }

                _batch.Tokens[row] = sequence.Tokens[position];
                _batch.Positions[row] = position;
                _batch.Slots[row] = (sequence.Pages[position / _pageSize] * _pageSize) + (position % _pageSize);
                _batch.LogitRows[row] = row;
            }

            sequence.Cached += count;
            _batch.ContextLengths[i] = sequence.Cached;
            sequence.Pages.CopyTo(_batch.PageTables, i * _batch.PagesPerSequenceMax);
        }

        _batch.QueryStarts[parts.Length] = row;
        (_batch.TokenCount, _batch.SequenceCount, _batch.LogitRowCount) = (row, parts.Length, row);
        return Coordinator.Run(_batch).ToArray();
    }

    /// <summary>Runs the last step once more.</summary>
    public void Again() => Coordinator.Run(_batch);

    /// <summary>
    /// The logits of all tokens that are not cached yet, in steps of at most <paramref name="chunk"/> tokens.
    /// </summary>
    public float[] Prefill(PagedSequence sequence, int chunk)
    {
        var logits = new List<float>();
        while (sequence.Remaining > 0)
        {
            logits.AddRange(Step((sequence, Math.Min(chunk, sequence.Remaining))));
        }

        return [.. logits];
    }

    /// <summary>Gives the pages back.</summary>
    public void Free(PagedSequence sequence)
    {
        sequence.Pages.ForEach(_free.Enqueue);
        sequence.Pages.Clear();
        sequence.Cached = 0;
    }
}
