using System.Collections.Immutable;
using LsglangSharp.Runtime.Layers;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;
using LsglangSharp.Runtime.Weights;

namespace LsglangSharp.Runtime.Execution;

/// <summary>Counts what a model will take by binding it to a device that only counts.</summary>
public static class FootprintCount
{
    /// <param name="spec">The model.</param>
    /// <param name="weights">What matrices are kept in.</param>
    /// <param name="cache">What keys and values are kept in.</param>
    /// <param name="sizes">Of the largest step.</param>
    /// <param name="shard">Which part of every layer the device has.</param>
    /// <param name="placement">Which layers' experts are on the device.</param>
    /// <param name="nodeThreads">Threads of each NUMA node; one number where there is one, or none is asked for.</param>
    public static Footprint Of(
        ModelSpec spec, DType weights, DType cache, StepSizes sizes, Shard shard, ExpertPlacement placement,
        IReadOnlyList<int> nodeThreads)
    {
        // All experts as the device would have them, to know what each layer takes wherever it is.
        using var all = new CountingDevice(nodeThreads);
        Bind(all, _ => all.Experts, new CountingDevice([1]));

        // And all else, with the experts where they are.
        using var device = new CountingDevice(nodeThreads);
        using var host = new CountingDevice(nodeThreads);
        using var pages = new CountingDevice([1]);
        var bound = Bind(device, layer => placement.IsOnDevice(layer) ? device.Experts : host.Experts, pages);
        var dense = device.Bytes;
        _ = new Activations(bound, device, sizes);
        var sparse = Enumerable.Range(0, spec.Layers.Length).Where(layer => spec.Layers[layer].Ffn is Moe);
        return new Footprint(
            dense,
            [.. device.BytesByNode],
            [.. sparse.Zip(all.Banks, (layer, bank) => new ExpertLayer(layer, bank.Sum(), [.. bank]))],
            Math.Max(1, pages.Bytes),
            device.Bytes - dense);

        BoundModel Bind(CountingDevice target, Func<int, IExperts> expertsOf, CountingDevice cachePages)
        {
            var onePage = new KvCacheMemory(cachePages.Memory, cache, pages: 1, pageSize: 1);
            return Binding.Bind(spec, target, weights, new WeightPlan(target.Memory), onePage.Allocate, shard, expertsOf);
        }
    }
}
