using System.Collections;
using System.Globalization;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli;

/// <summary>
/// One environment variable: its name, the other name that means the same, what it may be, its default and what it does. A variable with
/// a <paramref name="Missing"/> sentence can only keep its default yet; one with an <paramref name="Idle"/> sentence is taken and told to
/// change nothing yet.
/// </summary>
internal sealed record Variable(
    string Name, string? Alias, string Type, string Default, string Meaning, string? Missing = null, string? Idle = null);

/// <summary>
/// The environment variables, in one table: it gives the defaults, the rules, the documentation and the help text. Where both
/// names of a variable are set, the LK_ name wins.
/// </summary>
internal sealed class EnvironmentVariables
{
    private const string LaterPrefill = "weights are not streamed to the GPU yet; the CPUs compute their experts for prompts, too";

    public static IReadOnlyList<Variable> Table { get; } =
    [
        new("LVLLM_MOE_NUMA_ENABLED", "LK_MOE_HYBRID_ENABLED", "0/1", "0",
            "with a GPU: routed experts on the CPUs of the NUMA nodes, all else on the GPU; with --device cpu they always are"),
        new("LVLLM_GPU_RESIDENT_MOE_LAYERS", "LK_GPU_RESIDENT_MOE_LAYERS", "layers", "",
            "MoE layers whose experts are in the GPU's memory, where the others' are in RAM: 0, 0-5, 0,1,8-9"),
        new("LVLLM_GPU_PREFILL_MIN_BATCH_SIZE", "LK_GPU_PREFILL_MIN_BATCH_SIZE", "int", "0",
            "tokens in a step from which weights are streamed to the GPU; 0 is off", Idle: LaterPrefill),
        new("LVLLM_GPU_PREFETCH_WINDOW", "LK_GPU_PREFETCH_WINDOW", "int", "1",
            "layers whose weights are staged ahead", Idle: LaterPrefill),
        new("LVLLM_MOE_USE_WEIGHT", null, "TO_DTYPE|KEEP|INT8|INT4", "TO_DTYPE",
            "format of the experts' weights at run time",
            "experts run in the compute type only; quantised formats are not there yet"),
        new("LVLLM_ENABLE_NUMA_INTERLEAVE", "LK_NUMA_INTERLEAVE", "0/1", "0",
            "interleave weights over the nodes while loading instead of binding them: slower, smaller peaks"),
        new("LK_THREADS", null, "count", "auto", "threads that compute; auto is the physical cores less 4, at least 1"),
        new("LK_THREAD_BINDING", null, "CPU_CORE|NUMA_NODE", "CPU_CORE", "pin each thread to a core or to a node"),
        new("LK_POWER_SAVING", null, "0/1", "0", "yield while waiting instead of spinning"),
        new("LK_ROUND_PREFILL", null, "0/1", "0",
            "round activations to bf16 in long prompts: faster where the processor multiplies bf16; answers may vary with batching"),
        new("OMP_NUM_THREADS", null, "count", "auto", "threads that load weights, where LK_THREADS is not set"),
        new("SGLANG_CPU_OMP_THREADS_BIND", "VLLM_CPU_OMP_THREADS_BIND", "cores", "all",
            "cores to compute on: 0-42, or 0-15,32-47; parts for several ranks are joined by |"),
        new("VLLM_CPU_KVCACHE_SPACE", null, "GiB", "0", "memory for the KV cache on the CPU; 0 derives it"),
        new("MOE_QUANT_ONLY", null, "0/1", "0", "quantise routed experts only",
            "quantised formats are not there yet"),
        new("SGLANG_FORWARD_UNKNOWN_TOOLS", null, "0/1", "0", "pass on calls of tools that the request did not name"),
    ];

    private readonly Dictionary<string, (string Name, string Value)> _set = new(StringComparer.Ordinal);

    private EnvironmentVariables()
    {
    }

    public bool MoeNumaEnabled { get; private set; }

    /// <summary>Null where nothing is said, which means the same as an empty list: none.</summary>
    public LayerList? ResidentLayers { get; private set; }

    public int? Threads { get; private set; }

    public int? LoaderThreads { get; private set; }

    public bool BindToNode { get; private set; }

    public bool PowerSaving { get; private set; }

    public bool NumaInterleave { get; private set; }

    public bool RoundPrefill { get; private set; }

    /// <summary>Cores to compute on, such as 0-42 or, one part for each rank, 0-42|43-85; null for all that the process may use.</summary>
    public string? Cores { get; private set; }

    /// <summary>Bytes for the KV cache; null derives them.</summary>
    public long? KvCacheBytes { get; private set; }

    public bool ForwardUnknownTools { get; private set; }

    /// <summary>Lines worth telling the operator: legacy names that were overruled, unknown names of ours.</summary>
    public List<string> Warnings { get; } = [];

    public static EnvironmentVariables Read() =>
        Read(Environment.GetEnvironmentVariables().Cast<DictionaryEntry>()
            .ToDictionary(entry => (string)entry.Key, entry => (string?)entry.Value ?? ""));

    /// <summary>Throws <see cref="ConfigurationException"/> naming the variable, its value and what it may be.</summary>
    public static EnvironmentVariables Read(IReadOnlyDictionary<string, string> environment)
    {
        var read = new EnvironmentVariables();
        foreach (var variable in Table)
        {
            read.Take(variable, environment);
        }

        read.WarnAboutUnknownNames(environment);
        read.MoeNumaEnabled = read.Boolean("LVLLM_MOE_NUMA_ENABLED");
        read.NumaInterleave = read.Boolean("LVLLM_ENABLE_NUMA_INTERLEAVE");
        read.PowerSaving = read.Boolean("LK_POWER_SAVING");
        read.RoundPrefill = read.Boolean("LK_ROUND_PREFILL");
        read.ForwardUnknownTools = read.Boolean("SGLANG_FORWARD_UNKNOWN_TOOLS");
        read.Threads = read.Count("LK_THREADS");
        read.LoaderThreads = read.Threads ?? read.Count("OMP_NUM_THREADS");
        read.BindToNode = read.Choice("LK_THREAD_BINDING", "CPU_CORE", "NUMA_NODE") == "NUMA_NODE";
        read.Cores = read.CoreList("SGLANG_CPU_OMP_THREADS_BIND");
        read.KvCacheBytes = read.Gibibytes("VLLM_CPU_KVCACHE_SPACE");
        read.ResidentLayers = read._set.TryGetValue("LVLLM_GPU_RESIDENT_MOE_LAYERS", out var layers)
            ? LayerList.Parse(layers.Name, layers.Value) : null;
        read.RefuseWhatIsMissing();
        return read;
    }

    private void Take(Variable variable, IReadOnlyDictionary<string, string> environment)
    {
        var names = new[] { variable.Alias, variable.Name }.OfType<string>()
            .Where(environment.ContainsKey).ToList();
        if (names.Count == 0)
        {
            return;
        }

        _set[variable.Name] = (names[0], environment[names[0]].Trim());
        if (names.Count > 1 && environment[names[0]] != environment[names[1]])
        {
            Warnings.Add($"{names[0]} and {names[1]} mean the same and differ; {names[0]}={environment[names[0]]} counts.");
        }
    }

    private void WarnAboutUnknownNames(IReadOnlyDictionary<string, string> environment)
    {
        var known = Table.SelectMany(variable => new[] { variable.Name, variable.Alias }).OfType<string>().ToHashSet();
        known.UnionWith(["LK_ISA"]);
        foreach (var name in environment.Keys.Where(name =>
            (name.StartsWith("LK_", StringComparison.Ordinal) || name.StartsWith("LVLLM_", StringComparison.Ordinal))
            && !known.Contains(name)).Order(StringComparer.Ordinal))
        {
            var nearest = Spelling.Nearest(name, known);
            Warnings.Add($"{name} is not a variable that lsglang knows{(nearest is null ? "" : $"; did you mean {nearest}?")}");
        }
    }

    private void RefuseWhatIsMissing()
    {
        Count("LVLLM_GPU_PREFILL_MIN_BATCH_SIZE", least: 0);
        Count("LVLLM_GPU_PREFETCH_WINDOW");
        Choice("LVLLM_MOE_USE_WEIGHT", "TO_DTYPE", "KEEP", "INT8", "INT4");
        Boolean("MOE_QUANT_ONLY");
        foreach (var variable in Table.Where(variable => (variable.Missing ?? variable.Idle) is not null))
        {
            if (_set.TryGetValue(variable.Name, out var set) && !IsDefault(variable, set.Value))
            {
                if (variable.Idle is { } why)
                {
                    Warnings.Add($"{set.Name}={set.Value} has no effect yet: {why}.");
                    continue;
                }

                throw new ConfigurationException(
                    $"{set.Name}={set.Value} cannot apply: {variable.Missing}. Unset it, or set it to "
                    + $"{(variable.Default.Length == 0 ? "the empty string" : variable.Default)}.");
            }
        }
    }

    private static bool IsDefault(Variable variable, string value) =>
        variable.Type == "0/1" ? value.Length == 0 || !ParseBoolean(value)!.Value
            : value.Length == 0 || value.Equals(variable.Default, StringComparison.OrdinalIgnoreCase);

    private bool Boolean(string name)
    {
        if (!_set.TryGetValue(name, out var set) || set.Value.Length == 0)
        {
            return false;
        }

        return ParseBoolean(set.Value) ?? throw Bad(set, "1, true, yes, on or 0, false, no, off");
    }

    private static bool? ParseBoolean(string value) => value.ToUpperInvariant() switch
    {
        "1" or "TRUE" or "YES" or "ON" => true,
        "0" or "FALSE" or "NO" or "OFF" => false,
        _ => null,
    };

    private int? Count(string name, int least = 1)
    {
        if (!_set.TryGetValue(name, out var set) || set.Value.Length == 0
            || set.Value.Equals("auto", StringComparison.OrdinalIgnoreCase))
        {
            return null;
        }

        return int.TryParse(set.Value, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count >= least && count <= 65536
            ? count
            : throw Bad(set, $"a whole number of at least {least}");
    }

    private string Choice(string name, params string[] choices)
    {
        if (!_set.TryGetValue(name, out var set) || set.Value.Length == 0)
        {
            return choices[0];
        }

        var value = set.Value.ToUpperInvariant();
        return choices.Contains(value) ? value : throw Bad(set, string.Join(" or ", choices));
    }

    private long? Gibibytes(string name)
    {
        if (!_set.TryGetValue(name, out var set) || set.Value.Length == 0)
        {
            return null;
        }

        var valid = double.TryParse(set.Value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var gibibytes);
        return !valid || gibibytes > 1 << 20
            ? throw Bad(set, "a size in GiB, such as 40")
            : gibibytes == 0 ? null : (long)(gibibytes * (1L << 30));
    }

    private string? CoreList(string name)
    {
        if (!_set.TryGetValue(name, out var set) || set.Value.ToUpperInvariant() is "" or "ALL" or "AUTO" or "NOBIND")
        {
            return null;
        }

        foreach (var rank in set.Value.Split('|'))
        {
            Ranges((set.Name, set.Value), rank, "lists of cores such as 0-42 or 0-15,32-47, one for each rank, joined by |");
        }

        return set.Value.Replace(" ", "", StringComparison.Ordinal);
    }

    /// <summary>Numbers and inclusive ranges, separated by commas. A part that is neither is an error, never skipped.</summary>
    private static void Ranges((string Name, string Value) set, string list, string expected)
    {
        foreach (var part in list.Split(',', StringSplitOptions.TrimEntries))
        {
            var ends = part.Split('-');
            if (ends.Length > 2
                || !int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out var first)
                || !int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out var last)
                || last < first || last > 65535)
            {
                throw Bad(set, $"{expected}; \"{part}\" is not such a part");
            }
        }
    }

    private static ConfigurationException Bad((string Name, string Value) set, string expected) =>
        new($"{set.Name}={set.Value}: must be {expected}.");
}
