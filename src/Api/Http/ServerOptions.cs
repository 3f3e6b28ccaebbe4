using System.Text.Json.Nodes;

namespace LsglangSharp.Api.Http;

/// <summary>Everything about the HTTP server that an operator can choose.</summary>
public sealed record ServerOptions
{
    public string Host { get; init; } = "127.0.0.1";

    /// <summary>0 takes a free one.</summary>
    public int Port { get; init; } = 30000;

    /// <summary>Demanded as a bearer token of every request but the health and metrics ones.</summary>
    public string? ApiKey { get; init; }

    /// <summary>Demanded, instead of <see cref="ApiKey"/>, where the server itself is operated.</summary>
    public string? AdminApiKey { get; init; }

    /// <summary>The first is the name that the server gives itself; none: the model's path.</summary>
    public IReadOnlyList<string> ServedModelNames { get; init; } = [];

    /// <summary>"*" for all; none switches CORS off.</summary>
    public IReadOnlyList<string> CorsOrigins { get; init; } = ["*"];

    /// <summary>A request body beyond this many bytes is refused with 413.</summary>
    public long RequestBytesMax { get; init; } = 32L << 20;

    /// <summary>A client that reads slower than this many bytes a second for longer than the grace is disconnected.</summary>
    public double ResponseBytesPerSecondMin { get; init; } = 240;

    public TimeSpan ResponseGrace { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How much of an answer may wait for a client that does not read, in bytes.</summary>
    public long ResponseBufferBytesMax { get; init; } = 64 << 10;

    /// <summary>How long running requests may go on once the server has been asked to stop.</summary>
    public TimeSpan DrainLimit { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Say in the usage how many prompt tokens came from the cache.</summary>
    public bool CacheReport { get; init; }

    /// <summary>Streams end with the usage also where a request does not ask for it.</summary>
    public bool IncludesUsage { get; init; }

    /// <summary>Streams of /generate send what is new and not everything each time.</summary>
    public bool StreamsIncrements { get; init; }

    /// <summary>Prompts and token limits beyond the context are cut and not refused.</summary>
    public bool TruncatesPrompts { get; init; }

    /// <summary>Generate a token at the start, before the server says that it is ready.</summary>
    public bool WarmsUp { get; init; } = true;

    /// <summary>PEM files; with them the server speaks HTTPS.</summary>
    public string? CertificateFile { get; init; }

    public string? CertificateKeyFile { get; init; }

    public string? CertificateKeyPassword { get; init; }

    /// <summary>Whether /health has the engine generate a token, or only says that the server is up.</summary>
    public bool HealthGenerates { get; init; } = true;

    public TimeSpan HealthLimit { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>What the model's generation_config.json recommends; used by chat where a request says nothing.</summary>
    public SamplingDefaults SamplingDefaults { get; init; } = new();

    /// <summary>Template variables that requests need not name.</summary>
    public JsonObject? ChatTemplateDefaults { get; init; }

    public string? ToolCallParser { get; init; }

    public string? ReasoningParser { get; init; }

    /// <summary>Shown by /server_info beside what the server knows itself; never holds keys.</summary>
    public JsonObject? Arguments { get; init; }

    public string Version { get; init; } = "";

    /// <summary>Where one line a message goes: start, stop, failures.</summary>
    public Action<string> Log { get; init; } = Console.Error.WriteLine;

    /// <summary>Where times come from, so that tests can own them.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;
}

/// <summary>Sampling values for requests that leave them open; null: the API's own default.</summary>
public sealed record SamplingDefaults(
    double? Temperature = null,
    double? TopP = null,
    int? TopK = null,
    double? MinP = null,
    double? RepetitionPenalty = null);
