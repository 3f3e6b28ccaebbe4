using System.Collections.Immutable;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Placement;

/// <summary>
/// Where the memory goes, decided before a byte is loaded. <paramref name="CachedTokens"/>: slots of the cache, whole
/// pages; <paramref name="CacheBytesPerToken"/>: of one token, on each GPU or on the CPUs;
/// <paramref name="ResidentLayers"/> and <paramref name="HostLayers"/>: MoE layers by where their experts are, the former
/// with the attention; <paramref name="FittingLayers"/>: how many more would fit on the GPUs beside a cache of one
/// context, null where nothing could move.
/// </summary>
public sealed record MemoryPlan(
    ImmutableArray<GpuShare> Gpus,
    HostShare Host,
    ImmutableArray<NodeShare> Nodes,
    ImmutableArray<int> ResidentLayers,
    ImmutableArray<int> HostLayers,
    long CacheBytesPerToken,
    int CachedTokens,
    int? FittingLayers)
{
    /// <summary>Weights, wherever they are.</summary>
    public long WeightBytes => Host.WeightBytes + Gpus.Sum(gpu => gpu.WeightBytes);

    /// <summary>Room for keys and values on one GPU, or on the CPUs.</summary>
    public long CacheBytes => CachedTokens * CacheBytesPerToken;

    /// <summary>
    /// Throws <see cref="ConfigurationException"/> with the numbers and the ways out when the request cannot be met.
    /// </summary>
    public static MemoryPlan Make(MemoryRequest request)
    {
        Check.That(request.PageSize > 0 && request.StaticFraction is null or (>= 0 and <= 1));
        return request.Machine.Gpus.IsEmpty ? OnHost(request) : OnGpus(request);
    }

    private static MemoryPlan OnHost(MemoryRequest request)
    {
        var model = request.Footprints[0];
        var host = new HostShare(
            request.Machine.BytesFree, model.DenseBytes, model.ExpertBytes(_ => true), 0, model.ActivationBytes,
            request.HostWorkspaceBytes, request.PinnedBytes);
        var place = new CachePlace(
            host.BytesFree, host.WeightBytes, host.Bytes - host.WeightBytes, model.CacheBytesPerToken,
            request.StaticFraction ?? MemoryRequest.HostFractionByDefault, "VLLM_CPU_KVCACHE_SPACE",
            fault => new ConfigurationException(
                $"not enough memory: the model needs {Units.Bytes(host.Bytes + fault.CacheBytes)} (weights " +
                $"{Units.Bytes(host.WeightBytes)}, activations {Units.Bytes(host.Bytes - host.WeightBytes)}, cache for " +
                $"{fault.Tokens} tokens {Units.Bytes(fault.CacheBytes)}), {Units.Bytes(host.BytesFree)} are available; options: " +
                "free memory, a smaller --chunked-prefill-size, --dtype bfloat16 where it is float32, or a smaller model"));
        var tokens = CacheBudget.Tokens(request, place);
        return new MemoryPlan(
            [],
            host with { CacheBytes = tokens * model.CacheBytesPerToken },
            NodeShares(request, model, _ => true, withDense: true),
            request.Experts.Layers(request.Spec, onDevice: true),
            [],
            model.CacheBytesPerToken,
            tokens,
            null);
    }

    private static MemoryPlan OnGpus(MemoryRequest request)
    {
        Check.That(request.Footprints.Length == request.Machine.Gpus.Length);
        Check.That(request.GpuWorkspaceBytes.Length == request.Machine.Gpus.Length);
        var gpus = request.Machine.Gpus.Zip(request.Footprints, request.GpuWorkspaceBytes).Select(gpu => new GpuShare(
            gpu.First, gpu.Second.DenseBytes, gpu.Second.ExpertBytes(request.Experts.IsOnDevice), 0, gpu.Second.ActivationBytes,
            gpu.Third, request.GraphBytes)).ToImmutableArray();
        var perToken = request.Footprints.Max(model => model.CacheBytesPerToken);
        var tokens = gpus.Min(gpu => CacheBudget.Tokens(request, PlaceOf(request, gpu, perToken)));

        var onHost = (int layer) => !request.Experts.IsOnDevice(layer);
        var host = new HostShare(
            request.Machine.BytesFree, 0, request.Footprints.Sum(model => model.ExpertBytes(onHost)), 0, 0,
            request.Experts.IsHybrid ? request.HostWorkspaceBytes : 0, request.PinnedBytes);
        var further = ResidentBudget.FurtherLayers(request, gpus, perToken);
        if (host.Bytes > host.BytesFree)
        {
            throw ResidentBudget.TooMuchOnHost(request, host, further ?? 0);
        }

        return new MemoryPlan(
            [.. gpus.Select(gpu => gpu with { CacheBytes = tokens * perToken })],
            host,
            request.Experts.IsHybrid ? NodeShares(request, Whole(request.Footprints), onHost, withDense: false) : [],
            request.Experts.Layers(request.Spec, onDevice: true),
            request.Experts.Layers(request.Spec, onDevice: false),
            perToken,
            tokens,
            further);
    }

    private static CachePlace PlaceOf(MemoryRequest request, GpuShare gpu, long perToken) => new(
        gpu.Gpu.BytesFree, gpu.WeightBytes, gpu.Bytes - gpu.WeightBytes, perToken, request.StaticFraction ?? 1, null,
        fault => ResidentBudget.TooLarge(request, gpu, fault));

    /// <summary>The slices that several GPUs' processes would hold, put together again: the host holds them all.</summary>
    private static Footprint Whole(ImmutableArray<Footprint> slices) => slices.Length == 1 ? slices[0] : slices[0] with
    {
        Experts =
        [
            .. slices[0].Experts.Select((layer, i) => new ExpertLayer(
                layer.Index,
                slices.Sum(slice => slice.Experts[i].Bytes),
                [.. layer.BytesByNode.Select((_, node) => slices.Sum(slice => slice.Experts[i].BytesByNode[node]))])),
        ],
    };

    /// <summary>Each node's share, refused where it is more than the node has free and pages are bound to it.</summary>
    private static ImmutableArray<NodeShare> NodeShares(
        MemoryRequest request, Footprint model, Func<int, bool> takes, bool withDense)
    {
        var nodes = request.Machine.Nodes;
        var shares = nodes.Select((node, index) => new NodeShare(
            node,
            withDense ? model.DenseBytesByNode[index] : 0,
            model.Experts.Where(layer => takes(layer.Index)).Sum(layer => layer.BytesByNode[index]))).ToImmutableArray();
        var tight = shares.FirstOrDefault(share => share.Bytes > share.Node.BytesFree);
        return tight is null || request.Interleaved || nodes.Length < 2
            ? shares
            : throw new ConfigurationException(
                $"not enough memory on NUMA node {tight.Node.Id}: its share of the weights is {Units.Bytes(tight.Bytes)}, "
                + $"{Units.Bytes(tight.Node.BytesFree!.Value)} are free there; options: LVLLM_ENABLE_NUMA_INTERLEAVE=1 spreads pages "
                + "over all nodes, SGLANG_CPU_OMP_THREADS_BIND gives nodes other shares (they follow the threads)");
    }
}

/// <summary>
/// What one GPU holds. <paramref name="GraphBytes"/> is what the driver is expected to take for recorded steps;
/// everything else is allocated by this program.
/// </summary>
public sealed record GpuShare(
    Gpu Gpu, long DenseBytes, long ExpertBytes, long CacheBytes, long ActivationBytes, long WorkspaceBytes, long GraphBytes)
{
    public long WeightBytes => DenseBytes + ExpertBytes;

    /// <summary>What this program allocates.</summary>
    public long AllocatedBytes => WeightBytes + CacheBytes + ActivationBytes + WorkspaceBytes;

    /// <summary>With what the driver takes and what is left to it.</summary>
    public long Bytes => AllocatedBytes + GraphBytes + Gpu.ReserveBytes;
}

/// <summary>What lies in RAM. <paramref name="WorkspaceBytes"/>: the CPUs' kernels' own buffers, at most.</summary>
public sealed record HostShare(
    long BytesFree, long DenseBytes, long ExpertBytes, long CacheBytes, long ActivationBytes, long WorkspaceBytes, long PinnedBytes)
{
    public long WeightBytes => DenseBytes + ExpertBytes;

    public long Bytes => WeightBytes + CacheBytes + ActivationBytes + WorkspaceBytes + PinnedBytes;
}

/// <summary>What of the weights is bound to a NUMA node.</summary>
public sealed record NodeShare(NumaNode Node, long DenseBytes, long ExpertBytes)
{
    public long Bytes => DenseBytes + ExpertBytes;
}
