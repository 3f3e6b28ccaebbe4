using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli;

/// <summary>Which of the known flags do something here, which need nothing done, and what to say of the rest.</summary>
internal static class AppliedFlags
{
    /// <summary>Flags with an effect; <see cref="ServeSettings"/> reads them.</summary>
    public static IReadOnlySet<string> Effective { get; } = new HashSet<string>(StringComparer.Ordinal)
    {
        "--model-path", "--tokenizer-path", "--skip-tokenizer-init", "--load-format", "--dtype", "--kv-cache-dtype",
        "--context-length", "--device", "--json-model-override-args", "--host", "--port", "--api-key", "--admin-api-key",
        "--ssl-keyfile", "--ssl-certfile", "--ssl-keyfile-password", "--served-model-name", "--weight-version", "--chat-template",
        "--default-chat-template-kwargs", "--tool-call-parser", "--reasoning-parser", "--sampling-defaults",
        "--enable-cache-report", "--allow-auto-truncate", "--stream-response-default-include-usage",
        "--incremental-streaming-output", "--stream-output", "--stream-interval", "--max-running-requests",
        "--max-queued-requests", "--max-total-tokens", "--chunked-prefill-size", "--max-prefill-tokens", "--mem-fraction-static",
        "--schedule-policy", "--enable-priority-scheduling", "--page-size", "--disable-radix-cache", "--random-seed",
        "--skip-server-warmup", "--log-level", "--retraction-policy", "--schedule-conservativeness",
        "--disable-priority-preemption", "--priority-scheduling-preemption-threshold",
        "--schedule-low-priority-values-first", "--watchdog-timeout", "--base-gpu-id", "--gpu-id-step", "--tp-size",
        "--cuda-graph-max-bs", "--cuda-graph-max-bs-decode", "--cuda-graph-bs", "--cuda-graph-bs-decode", "--disable-cuda-graph",
        "--disable-decode-cuda-graph",
    };

    /// <summary>Flags whose effect is how it works here anyway.</summary>
    private static readonly Dictionary<string, Func<string, bool>> _natural = new(StringComparer.Ordinal)
    {
        ["--trust-remote-code"] = _ => true,
        ["--enable-metrics"] = _ => true,
        ["--enable-mixed-chunk"] = _ => true,
        ["--disable-prefill-cuda-graph"] = _ => true,
        ["--enable-deterministic-inference"] = _ => true,
        ["--tokenizer-mode"] = value => value == "auto",
        ["--pp-size"] = value => value == "1",
        ["--dp-size"] = value => value == "1",
        ["--ep-size"] = value => value == "1",
        ["--nnodes"] = value => value == "1",
        ["--node-rank"] = value => value == "0",
        ["--model-impl"] = value => value is "auto" or "sglang",
        ["--model-type"] = value => value is "auto" or "llm",
        ["--attention-backend"] = value => value is "intel_amx" or "torch_native",
        ["--sampling-backend"] = value => value == "pytorch",
        ["--radix-eviction-policy"] = value => value == "lru",
        ["--quantization"] = value => value == "unquant",
        ["--num-continuous-decode-steps"] = value => value == "1",
    };

    /// <summary>Flags that would change what is served, so that to go on without them would be wrong.</summary>
    private static readonly Dictionary<string, string> _refused = new(StringComparer.Ordinal)
    {
        ["--quantization"] = "quantised formats are not there yet",
        ["--lora-paths"] = "LoRA adapters are not there yet",
        ["--enable-lora"] = "LoRA adapters are not there yet",
        ["--speculative-algorithm"] = "speculative decoding is not there yet",
        ["--is-embedding"] = "embedding models are not there yet",
        ["--disaggregation-mode"] = "prefill and decode run in one server",
        ["--config"] = "configuration files are not read; give the flags on the command line",
        ["--pp-size"] = "one process runs the whole model",
        ["--nnodes"] = "one machine runs the whole model; put replicas behind a router instead",
        ["--dp-size"] = "one process runs one replica; put replicas behind a router instead",
    };

    /// <summary>One line for each given flag that changes nothing. Throws for those that must not be ignored.</summary>
    public static IReadOnlyList<string> Warnings(FlagReader flags)
    {
        var warnings = new List<string>();
        foreach (var name in flags.Names.Where(name => !Effective.Contains(name)).Order(StringComparer.Ordinal))
        {
            var value = flags.Text(name)!;
            if (_natural.TryGetValue(name, out var natural) && natural(value))
            {
                continue;
            }

            var shown = FlagTable.Known[name].Kind is FlagKind.Flag or FlagKind.Tristate ? name : $"{name} {value}";
            if (_refused.TryGetValue(name, out var why))
            {
                throw new ConfigurationException($"{shown} cannot apply: {why}. Leave the flag out.");
            }

            warnings.Add($"{shown} is accepted and has no effect here (in sglang: {FlagTable.Known[name].Meaning})");
        }

        return warnings;
    }
}
