using System.Globalization;
using System.Text;
using LsglangSharp.Api.Http;
using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.Native;

/// <summary>/metrics, in Prometheus' text format.</summary>
internal sealed class PrometheusText(ServerContext server)
{
    public Task HandleAsync(HttpContext context) =>
        JsonResponse.WriteTextAsync(
            context,
            StatusCodes.Status200OK,
            Render(),
            "text/plain; version=0.0.4; charset=utf-8");

    private string Render()
    {
        var model = $"model_name=\"{Escape(server.Names.First)}\"";
        var edge = $"engine_type=\"unified\",{model}";
        var rank = $"{edge},moe_ep_rank=\"0\",pp_rank=\"0\",tp_rank=\"0\"";
        var text = new StringBuilder(16 << 10);
        WriteCounters(text, edge, rank);
        WriteGauges(text, rank);
        foreach (var histogram in (ReadOnlySpan<Histogram>)
            [
                server.Metrics.TimeToFirstToken, server.Metrics.InterToken, server.Metrics.EndToEnd, server.Metrics.PromptTokens,
                server.Metrics.UncachedPromptTokens, server.Metrics.GeneratedTokens,
            ])
        {
            histogram.Write(text, edge);
        }

        return text.ToString();
    }

    private void WriteCounters(StringBuilder text, string edge, string rank)
    {
        var metrics = server.Metrics;
        var load = server.Engine.Load;
        WriteByKind("prompt_tokens_total", "Number of prefill tokens processed.", metrics.PromptTokensTotal);
        WriteByKind("generation_tokens_total", "Number of generation tokens processed.", metrics.GeneratedTokensTotal);
        WriteByKind("num_requests_total", "Number of requests processed.", metrics.RequestsTotal);
        Write(text, "cached_tokens_total", "counter", "Number of cached prompt tokens.",
            ($"cache_source=\"device\",{edge}", metrics.CachedTokensTotal));
        Write(
            text,
            "num_aborted_requests_total",
            "counter",
            "Number of requests aborted.",
            (edge, metrics.AbortedTotal));
        Write(
            text,
            "num_retracted_requests_total",
            "counter",
            "Number of times that a request was retracted.",
            (rank, load.Retractions));
        Write(text, "num_steps_total", "counter", "Number of steps that the engine has run.", (rank, load.Steps));

        void WriteByKind(string name, string help, Func<bool, long> count) => Write(
            text, name, "counter", help,
            ($"{edge},is_streaming=\"False\"", count(false)),
            ($"{edge},is_streaming=\"True\"", count(true)));
    }

    private void WriteGauges(StringBuilder text, string labels)
    {
        var facts = server.Engine.Facts;
        var load = server.Engine.Load;
        Gauge("num_running_reqs", "The number of running requests.", load.RunningRequests);
        Gauge("num_queue_reqs", "The number of requests in the waiting queue.", load.QueuedRequests);
        Gauge("num_used_tokens", "The number of used tokens.", load.UsedKvTokens);
        Gauge("token_usage", "The token usage.", Info.Ratio(load.UsedKvTokens, facts.KvTokens));
        Gauge("full_token_usage", "The token usage of full attention.", Info.Ratio(load.UsedKvTokens, facts.KvTokens));
        Gauge("gen_throughput", "The generation throughput in tokens a second.", load.GenerationThroughput);
        Gauge(
            "cache_hit_rate",
            "The share of prompt tokens found in the prefix cache.",
            Info.Ratio(load.CachedTokens, load.PromptTokens));
        Gauge(
            "utilization",
            "Running requests of those that can run.",
            Info.Ratio(load.RunningRequests, facts.RunningRequestsMax));
        Gauge("max_total_num_tokens", "The number of tokens that the KV cache holds.", facts.KvTokens);
        Gauge("kv_used_tokens", "Tokens of the KV cache that requests hold.", load.UsedKvTokens);
        Gauge(
            "kv_evictable_tokens",
            "Tokens of the KV cache that only the prefix cache holds.",
            load.EvictableKvTokens);
        Gauge(
            "kv_available_tokens",
            "Free tokens of the KV cache.",
            facts.KvTokens - load.UsedKvTokens - load.EvictableKvTokens);
        Gauge("page_size", "Tokens in a page of the KV cache.", facts.PageSize);
        Gauge("num_pages", "Pages of the KV cache.", facts.KvTokens / facts.PageSize);
        Gauge("context_len", "The context length.", facts.ContextLength);

        void Gauge(string name, string help, double value) => Write(text, name, "gauge", help, (labels, value));
    }

    private static void Write(
        StringBuilder text, string name, string type, string help, params ReadOnlySpan<(string Labels, double Value)> rows)
    {
        text.Append(CultureInfo.InvariantCulture, $"# HELP sglang:{name} {help}\n# TYPE sglang:{name} {type}\n");
        foreach (var (labels, value) in rows)
        {
            text.Append(CultureInfo.InvariantCulture, $"sglang:{name}{{{labels}}} {value}\n");
        }
    }

    private static string Escape(string label) =>
        label.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)
            .Replace("\n", "\\n", StringComparison.Ordinal);
}
