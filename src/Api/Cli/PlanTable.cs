using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli;

/// <summary>A plan as people and programs read it.</summary>
internal static class PlanTable
{
    private static readonly string[] _columns = ["weights", "experts", "KV cache", "activations", "buffers", "driver", "sum", "free"];

    /// <summary>One row a place, then what the sizes mean.</summary>
    public static IEnumerable<string> Lines(ServingBudget budget)
    {
        var memory = budget.Plan.Memory;
        List<string[]> rows = [["", .. _columns]];
        rows.AddRange(memory.Gpus.Select(GpuRow));
        rows.Add(HostRow(memory.Host));
        if (memory.Nodes.Length > 1)
        {
            rows.AddRange(memory.Nodes.Select(NodeRow));
        }

        var widths = Enumerable.Range(0, rows[0].Length).Select(column => rows.Max(row => row[column].Length)).ToArray();
        foreach (var row in rows)
        {
            yield return string.Join("  ", row.Select((cell, column) =>
                column == 0 ? cell.PadRight(widths[0]) : cell.PadLeft(widths[column]))).TrimEnd();
        }

        yield return "";
        foreach (var (name, value) in Facts(budget))
        {
            yield return $"{name,-11} {value}";
        }
    }

    /// <summary>The places in a line each, for the start of serve.</summary>
    public static IEnumerable<(string Name, string Value)> Brief(ServingBudget budget)
    {
        var memory = budget.Plan.Memory;
        foreach (var gpu in memory.Gpus)
        {
            yield return ($"GPU {gpu.Gpu.Index}",
                $"{gpu.Gpu.Name}: {Units.Bytes(gpu.WeightBytes)} weights, {Units.Bytes(gpu.CacheBytes)} cache, "
                + $"{Units.Bytes(gpu.ActivationBytes + gpu.WorkspaceBytes)} activations; {Units.Bytes(gpu.Gpu.BytesFree)} were free");
        }

        var host = memory.Host;
        yield return ("memory", $"{Units.Bytes(host.WeightBytes)} weights, "
            + (host.CacheBytes == 0 ? "" : $"{Units.Bytes(host.CacheBytes)} cache, ")
            + $"{Units.Bytes(host.Bytes - host.WeightBytes - host.CacheBytes)} activations at most; "
            + $"{Units.Bytes(host.BytesFree)} were available");
        if (Placement(budget) is { } experts)
        {
            yield return ("experts", experts);
        }
    }

    public static JsonObject Json(ServingBudget budget)
    {
        var (memory, limits) = (budget.Plan.Memory, budget.Plan.Limits);
        return new JsonObject
        {
            ["placement"] = budget.Placement,
            ["dtype"] = Name(budget.WeightType),
            ["kv_cache_dtype"] = Name(budget.CacheType),
            ["context_length"] = limits.ContextLength,
            ["kv_tokens"] = memory.CachedTokens,
            ["kv_bytes_per_token"] = memory.CacheBytesPerToken,
            ["page_size"] = limits.PageSize,
            ["step_tokens"] = limits.Steps.StepTokensMax,
            ["running_requests"] = limits.Steps.RunningMax,
            ["graph_rows"] = new JsonArray([.. budget.GraphRows.Select(rows => (JsonNode)rows)]),
            ["resident_moe_layers"] = LayerList.Format(memory.ResidentLayers),
            ["host_moe_layers"] = LayerList.Format(memory.HostLayers),
            ["further_layers_that_fit"] = memory.FittingLayers,
            ["gpus"] = new JsonArray([.. memory.Gpus.Select(Json)]),
            ["host"] = Json(memory.Host),
            ["nodes"] = new JsonArray([.. memory.Nodes.Select(Json)]),
            ["warnings"] = new JsonArray([.. budget.Warnings.Select(line => (JsonNode)line)]),
        };
    }

    private static IEnumerable<(string Name, string Value)> Facts(ServingBudget budget)
    {
        var (memory, limits) = (budget.Plan.Memory, budget.Plan.Limits);
        if (Placement(budget) is { } experts)
        {
            yield return ("experts", experts);
        }

        yield return ("KV cache", $"{Units.Count(memory.CachedTokens)} tokens as {Name(budget.CacheType)}, "
            + $"{Units.Count(memory.CacheBytesPerToken)} bytes each, in pages of {limits.PageSize}; "
            + $"context {Units.Count(limits.ContextLength)}");
        yield return ("steps", $"{Units.Count(limits.Steps.StepTokensMax)} tokens at most, "
            + $"{Units.Count(limits.Steps.RunningMax)} requests at once"
            + (budget.GraphRows.IsEmpty ? "" : $"; graphs for {Shown(budget.GraphRows)} rows"));
        if (budget.Machine.Nodes.Sum(node => node.Threads) is > 0 and var threads)
        {
            yield return ("threads", $"{threads} on {budget.Machine.Nodes.Length} node{(budget.Machine.Nodes.Length == 1 ? "" : "s")}");
        }

        if (memory.Host.PinnedBytes > 0)
        {
            yield return ("staging", $"{Units.Bytes(memory.Host.PinnedBytes)} of page-locked RAM, among the buffers");
        }
    }

    /// <summary>Which layers' experts are where; null where there is no choice.</summary>
    private static string? Placement(ServingBudget budget)
    {
        var memory = budget.Plan.Memory;
        if (!budget.Experts.IsHybrid)
        {
            return null;
        }

        var resident = memory.ResidentLayers.IsEmpty
            ? "no layer's on the GPU" : $"layers {LayerList.Format(memory.ResidentLayers)} on the GPU";
        return $"{resident}, {memory.HostLayers.Length} layers' in RAM" + (memory.FittingLayers switch
        {
            null => "",
            0 => "; the GPU has room for no more beside a cache of one context",
            var count => $"; {count} more would fit beside a cache of one context: LVLLM_GPU_RESIDENT_MOE_LAYERS="
                + LayerList.Format(memory.ResidentLayers.Concat(memory.HostLayers[..count.Value]).Order()),
        });
    }

    private static string[] GpuRow(GpuShare gpu) =>
    [
        $"GPU {gpu.Gpu.Index} ({gpu.Gpu.Name})", .. Cells(
            gpu.DenseBytes, gpu.ExpertBytes, gpu.CacheBytes, gpu.ActivationBytes, gpu.WorkspaceBytes,
            gpu.GraphBytes + gpu.Gpu.ReserveBytes, gpu.Bytes, gpu.Gpu.BytesFree),
    ];

    private static string[] HostRow(HostShare host) =>
    [
        "RAM", .. Cells(
            host.DenseBytes, host.ExpertBytes, host.CacheBytes, host.ActivationBytes, host.WorkspaceBytes + host.PinnedBytes, 0,
            host.Bytes, host.BytesFree),
    ];

    private static string[] NodeRow(NodeShare node) =>
    [
        $"  of it node {node.Node.Id}",
        .. Cells(node.DenseBytes, node.ExpertBytes, 0, 0, 0, 0, node.Bytes, node.Node.BytesFree ?? 0),
    ];

    private static IEnumerable<string> Cells(params ReadOnlySpan<long> bytes)
    {
        var cells = new string[bytes.Length];
        for (var i = 0; i < bytes.Length; i++)
        {
            cells[i] = bytes[i] == 0 ? "-" : Units.Bytes(bytes[i]);
        }

        return cells;
    }

    private static JsonNode Json(GpuShare gpu) => new JsonObject
    {
        ["index"] = gpu.Gpu.Index,
        ["name"] = gpu.Gpu.Name,
        ["bytes_free"] = gpu.Gpu.BytesFree,
        ["dense_weights"] = gpu.DenseBytes,
        ["expert_weights"] = gpu.ExpertBytes,
        ["kv_cache"] = gpu.CacheBytes,
        ["activations"] = gpu.ActivationBytes,
        ["workspace"] = gpu.WorkspaceBytes,
        ["allocated"] = gpu.AllocatedBytes,
        ["driver"] = gpu.GraphBytes + gpu.Gpu.ReserveBytes,
    };

    private static JsonNode Json(HostShare host) => new JsonObject
    {
        ["bytes_free"] = host.BytesFree,
        ["dense_weights"] = host.DenseBytes,
        ["expert_weights"] = host.ExpertBytes,
        ["kv_cache"] = host.CacheBytes,
        ["activations"] = host.ActivationBytes,
        ["workspace"] = host.WorkspaceBytes,
        ["pinned"] = host.PinnedBytes,
    };

    private static JsonNode Json(NodeShare node) => new JsonObject
    {
        ["node"] = node.Node.Id,
        ["threads"] = node.Node.Threads,
        ["bytes_free"] = node.Node.BytesFree,
        ["dense_weights"] = node.DenseBytes,
        ["expert_weights"] = node.ExpertBytes,
    };

    private static string Shown(IReadOnlyList<int> rows) =>
        rows.Count <= 8 ? string.Join(", ", rows) : $"{string.Join(", ", rows.Take(5))}, ..., {rows[^1]}";

    private static string Name(DType type) => type.ToString().ToLowerInvariant();
}
