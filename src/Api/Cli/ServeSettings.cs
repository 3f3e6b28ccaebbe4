using System.Globalization;
using System.Text.Json.Nodes;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Scheduling;

namespace LsglangSharp.Api.Cli;

/// <summary>
/// What the flags of lsglang serve (and bench, and chat) say, as far as they apply. Names and defaults are sglang's; those that
/// differ say so.
/// </summary>
internal sealed record ServeSettings
{
    /// <summary>Null for the built-in demo model.</summary>
    public string? ModelPath { get; init; }

    public string? TokenizerPath { get; init; }

    public bool SkipTokenizer { get; init; }

    /// <summary>auto, safetensors or dummy.</summary>
    public string LoadFormat { get; init; } = "auto";

    public string Dtype { get; init; } = "auto";

    public string KvCacheDtype { get; init; } = "auto";

    public int? ContextLength { get; init; }

    public DeviceFlags Device { get; init; } = new();

    public JsonObject ModelOverrides { get; init; } = [];

    public string Host { get; init; } = "127.0.0.1";

    public int Port { get; init; } = 30000;

    public string? ApiKey { get; init; }

    public string? AdminApiKey { get; init; }

    public string? SslKeyFile { get; init; }

    public string? SslCertFile { get; init; }

    public string? SslKeyPassword { get; init; }

    public IReadOnlyList<string> ServedModelNames { get; init; } = [];

    public string WeightVersion { get; init; } = "default";

    public string? ChatTemplate { get; init; }

    public JsonObject ChatTemplateDefaults { get; init; } = [];

    public string? ToolCallParser { get; init; }

    public string? ReasoningParser { get; init; }

    /// <summary>"model": generation_config.json gives the defaults of chat; "openai": fixed ones.</summary>
    public string SamplingDefaults { get; init; } = "model";

    public bool EnableCacheReport { get; init; }

    public bool AllowAutoTruncate { get; init; }

    public bool IncludeUsageByDefault { get; init; }

    public bool IncrementalStreaming { get; init; }

    public int StreamInterval { get; init; } = 1;

    public int? MaxRunningRequests { get; init; }

    public int? MaxQueuedRequests { get; init; }

    public int? MaxTotalTokens { get; init; }

    public int? ChunkedPrefillSize { get; init; }

    public int MaxPrefillTokens { get; init; } = 16384;

    public double? MemFractionStatic { get; init; }

    public SchedulerOptions Scheduling { get; init; } = new();

    public bool LowPriorityValuesFirst { get; init; }

    public double? WatchdogSeconds { get; init; }

    public int? PageSize { get; init; }

    public int? RandomSeed { get; init; }

    public bool SkipWarmup { get; init; }

    public string LogLevel { get; init; } = "info";

    /// <summary>Flags that were given, are known, and change nothing here: one line each.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];

    /// <summary>The flags as given, for /get_server_info. Keys are not among them.</summary>
    public IReadOnlyDictionary<string, string> Given { get; init; } = new Dictionary<string, string>();

    /// <summary>Reads and checks the arguments after the command's name.</summary>
    public static ServeSettings Parse(IReadOnlyList<string> arguments)
    {
        var (values, positional) = FlagTable.Known.Parse(arguments);
        var flags = new FlagReader(values);
        if (positional.Count > 1 || (positional.Count == 1 && flags.Has("--model-path")))
        {
            throw new ConfigurationException(
                $"There is one model, but {(positional.Count > 1 ? $"{positional.Count} were named" : "--model-path was given too")}: "
                + $"{string.Join(", ", positional)}.");
        }

        var settings = new ServeSettings
        {
            ModelPath = positional.Count == 1 ? positional[0] : flags.Text("--model-path"),
            TokenizerPath = flags.Text("--tokenizer-path"),
            SkipTokenizer = flags.IsSet("--skip-tokenizer-init"),
            LoadFormat = flags.Text("--load-format") ?? "auto",
            Dtype = flags.Text("--dtype") ?? "auto",
            KvCacheDtype = flags.Text("--kv-cache-dtype") ?? "auto",
            ContextLength = flags.Count("--context-length", 1),
            Device = DeviceFlags.Read(flags),
            ModelOverrides = flags.Object("--json-model-override-args"),
            Host = flags.Text("--host") ?? "127.0.0.1",
            Port = flags.Count("--port", 0, 65535) ?? 30000,
            ApiKey = flags.Text("--api-key"),
            AdminApiKey = flags.Text("--admin-api-key"),
            SslKeyFile = flags.Text("--ssl-keyfile"),
            SslCertFile = flags.Text("--ssl-certfile"),
            SslKeyPassword = flags.Text("--ssl-keyfile-password"),
            ServedModelNames = flags.List("--served-model-name"),
            WeightVersion = flags.Text("--weight-version") ?? "default",
            ChatTemplate = flags.Text("--chat-template"),
            ChatTemplateDefaults = flags.Object("--default-chat-template-kwargs"),
            ToolCallParser = flags.Text("--tool-call-parser"),
            ReasoningParser = flags.Text("--reasoning-parser"),
            SamplingDefaults = flags.Text("--sampling-defaults") ?? "model",
            EnableCacheReport = flags.IsSet("--enable-cache-report"),
            AllowAutoTruncate = flags.IsSet("--allow-auto-truncate"),
            IncludeUsageByDefault = flags.IsSet("--stream-response-default-include-usage"),
            IncrementalStreaming = flags.IsSet("--incremental-streaming-output") || flags.IsSet("--stream-output"),
            StreamInterval = flags.Count("--stream-interval", 1) ?? 1,
            MaxRunningRequests = flags.Count("--max-running-requests", 1),
            MaxQueuedRequests = flags.Count("--max-queued-requests", 0),
            MaxTotalTokens = flags.Count("--max-total-tokens", 1),
            ChunkedPrefillSize = flags.Count("--chunked-prefill-size", -1),
            MaxPrefillTokens = flags.Count("--max-prefill-tokens", 1) ?? 16384,
            MemFractionStatic = flags.Fraction("--mem-fraction-static"),
            Scheduling = SchedulingFlags.Read(flags),
            LowPriorityValuesFirst = flags.IsSet("--schedule-low-priority-values-first"),
            WatchdogSeconds = flags.Number("--watchdog-timeout", 0),
            PageSize = flags.Count("--page-size", 1, 1024),
            RandomSeed = flags.Count("--random-seed", 0),
            SkipWarmup = flags.IsSet("--skip-server-warmup"),
            LogLevel = flags.Text("--log-level") ?? "info",
            Given = flags.Given,
        };
        settings = settings with { Warnings = AppliedFlags.Warnings(flags) };
        settings.Check();
        return settings;
    }

    private void Check()
    {
        foreach (var name in ServedModelNames)
        {
            Require(!name.Contains(':', StringComparison.Ordinal) && name.Length > 0,
                $"--served-model-name {name}: a name must not be empty or contain a colon, which separates model and adapter.");
        }

        Require(LoadFormat is "auto" or "safetensors" or "dummy",
            $"--load-format {LoadFormat} is not supported; auto, safetensors and dummy are.");
        ComputeType.OfCache(KvCacheDtype, DType.F32, onCuda: Device.Kind != DeviceKind.Cpu);
        Require(ChunkedPrefillSize != 0, "--chunked-prefill-size must be at least 1, or -1 for no chunking, got 0.");
        Require(SslKeyFile is null == SslCertFile is null,
            "--ssl-keyfile and --ssl-certfile go together; only one of them was given.");
        Require(!SkipTokenizer || (ToolCallParser is null && ReasoningParser is null),
            "--skip-tokenizer-init serves token ids only, so --tool-call-parser and --reasoning-parser cannot apply.");
    }

    private static void Require(bool holds, string otherwise)
    {
        if (!holds)
        {
            throw new ConfigurationException(otherwise);
        }
    }
}

/// <summary>Typed access to parsed flags.</summary>
internal sealed class FlagReader(Dictionary<string, IReadOnlyList<string>> values)
{
    private static readonly HashSet<string> _secret = ["--api-key", "--admin-api-key", "--ssl-keyfile-password"];

    public IReadOnlyDictionary<string, string> Given =>
        values.Where(pair => !_secret.Contains(pair.Key))
            .ToDictionary(pair => pair.Key[2..].Replace('-', '_'), pair => string.Join(' ', pair.Value));

    public IEnumerable<string> Names => values.Keys;

    public bool Has(string name) => values.ContainsKey(name);

    public bool IsSet(string name) => values.TryGetValue(name, out var value) && value[0] == "true";

    public string? Text(string name) => values.TryGetValue(name, out var value) ? value[0] : null;

    public IReadOnlyList<string> List(string name) => values.TryGetValue(name, out var value) ? value : [];

    public int? Count(string name, int least, int most = int.MaxValue)
    {
        if (Text(name) is not { } text)
        {
            return null;
        }

        var number = FlagTable.HumanNumber(text);
        return number >= least && number <= most
            ? (int)number
            : throw new ConfigurationException(
                $"{name} must be {(most == int.MaxValue ? $"at least {least}" : $"from {least} to {most}")}, got {text}.");
    }

    public double? Number(string name, double least)
    {
        if (Text(name) is not { } text)
        {
            return null;
        }

        var number = double.Parse(text, CultureInfo.InvariantCulture);
        return double.IsFinite(number) && number >= least
            ? number
            : throw new ConfigurationException($"{name} must be a finite number of at least {least}, got {text}.");
    }

    public double? Fraction(string name)
    {
        if (Text(name) is not { } text)
        {
            return null;
        }

        var number = double.Parse(text, CultureInfo.InvariantCulture);
        return number is > 0 and <= 1
            ? number
            : throw new ConfigurationException($"{name} must be above 0 and at most 1, got {text}.");
    }

    public JsonObject Object(string name)
    {
        if (Text(name) is not { } text)
        {
            return [];
        }

        try
        {
            return JsonNode.Parse(text) as JsonObject
                ?? throw new ConfigurationException($"{name} must be a JSON object such as {{\"key\": 1}}, got {text}.");
        }
        catch (System.Text.Json.JsonException fault)
        {
            throw new ConfigurationException($"{name} is not valid JSON: {fault.Message}", fault);
        }
    }
}
