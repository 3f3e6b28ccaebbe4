using System.Collections.Immutable;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Placement;

/// <summary>How many layers' experts a GPU has room for, and what to say when they are too many.</summary>
internal static class ResidentBudget
{
    /// <summary>Layers whose experts are on the host and would fit on the GPUs beside a cache of one context.</summary>
    public static int? FurtherLayers(MemoryRequest request, ImmutableArray<GpuShare> gpus, long perToken)
    {
        var layers = request.Experts.Layers(request.Spec, onDevice: false);
        if (layers.IsEmpty)
        {
            return null;
        }

        var cache = CacheBudget.RoundUp(request.TotalTokens ?? request.ContextLength, request.PageSize) * perToken;
        return gpus.Zip(request.Footprints, (gpu, model) =>
            Fitting(model, layers, gpu.Gpu.BytesFree - gpu.Bytes + gpu.CacheBytes - cache)).Min();
    }

    /// <summary>The complaint about a GPU that cannot hold what it shall beside the smallest cache.</summary>
    public static ConfigurationException TooLarge(MemoryRequest request, GpuShare gpu, CacheFault fault)
    {
        var name = $"GPU {gpu.Gpu.Index} ({gpu.Gpu.Name})";
        var withoutExperts = gpu.Bytes - gpu.ExpertBytes + fault.CacheBytes;
        var left = gpu.Gpu.BytesFree - withoutExperts;
        if (left < 0)
        {
            return new ConfigurationException(
                $"not enough memory on {name}: {Units.Bytes(withoutExperts)} are needed without any experts (weights "
                + $"{Units.Bytes(gpu.DenseBytes)}, activations {Units.Bytes(gpu.ActivationBytes + gpu.WorkspaceBytes)}, cache for "
                + $"{fault.Tokens} tokens {Units.Bytes(fault.CacheBytes)}, driver {Units.Bytes(gpu.GraphBytes + gpu.Gpu.ReserveBytes)}), "
                + $"{Units.Bytes(gpu.Gpu.BytesFree)} are free; options: free memory, a smaller --chunked-prefill-size, "
                + "--max-running-requests or --context-length, --kv-cache-dtype fp8_e4m3, more GPUs with --tp-size, or --device cpu");
        }

        var layers = request.Experts.Layers(request.Spec, onDevice: true);
        var slice = request.Footprints[request.Machine.Gpus.IndexOf(gpu.Gpu)];
        var fitting = layers[..Fitting(slice, layers, left)];
        return new ConfigurationException(request.Experts.IsHybrid
            ? $"{request.ResidentName}={LayerList.Format(layers)} needs {Units.Bytes(gpu.ExpertBytes)} on {name}, "
                + $"{Units.Bytes(left)} are left beside {Units.Bytes(withoutExperts)} for all else with the smallest cache: "
                + (fitting.IsEmpty ? "no layer fits" : $"at most {LayerList.Format(fitting)} fit")
            : $"not enough memory on {name}: the model needs {Units.Bytes(withoutExperts + gpu.ExpertBytes)} (experts "
                + $"{Units.Bytes(gpu.ExpertBytes)}, all else {Units.Bytes(withoutExperts)}), {Units.Bytes(gpu.Gpu.BytesFree)} are free; "
                + "options: LVLLM_MOE_NUMA_ENABLED=1 keeps experts in RAM"
                + (fitting.IsEmpty ? "" : $" (layers {LayerList.Format(fitting)} could stay: {request.ResidentName})")
                + ", more GPUs with --tp-size, a smaller model, or --device cpu");
    }

    /// <summary>
    /// The complaint about RAM that cannot hold the experts; <paramref name="further"/>: layers that the GPUs could take.
    /// </summary>
    public static ConfigurationException TooMuchOnHost(MemoryRequest request, HostShare host, int further)
    {
        var layers = request.Experts.Layers(request.Spec, onDevice: false);
        var layer = host.ExpertBytes / Math.Max(1, layers.Length);
        var moving = layer == 0 ? 0 : (int)((host.Bytes - host.BytesFree + layer - 1) / layer);
        var resident = request.Experts.Layers(request.Spec, onDevice: true);
        var named = layers.IsEmpty ? "" : moving <= further
            ? $"{request.ResidentName}={LayerList.Format(resident.Concat(layers[..moving]).Order())}, which fits on the GPU, "
            : $"more RAM, more or larger GPUs (experts of {moving} more layers, {Units.Bytes(moving * layer)}, would have to be on GPUs, "
                + $"which have room for {further}: {request.ResidentName}, --tp-size), ";
        return new ConfigurationException(
            $"not enough memory: {Units.Bytes(host.Bytes)} of RAM are needed (experts of {layers.Length} layers "
            + $"{Units.Bytes(host.ExpertBytes)}, buffers {Units.Bytes(host.WorkspaceBytes)}, page-locked "
            + $"{Units.Bytes(host.PinnedBytes)}), {Units.Bytes(host.BytesFree)} are available; "
            + $"options: {named}free memory, or a smaller model");
    }

    /// <summary>How many of the layers fit into so many bytes, the first ones first.</summary>
    private static int Fitting(Footprint model, ImmutableArray<int> layers, long bytes)
    {
        var byIndex = model.Experts.ToDictionary(layer => layer.Index, layer => layer.Bytes);
        var count = 0;
        foreach (var layer in layers)
        {
            bytes -= byIndex[layer];
            if (bytes < 0)
            {
                break;
            }

            count++;
        }

        return count;
    }
}
