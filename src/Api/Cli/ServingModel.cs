using System.Text.Json.Nodes;
using LsglangSharp.Api.Cli.Commands;
using LsglangSharp.Api.Http;
using LsglangSharp.Runtime;
using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Generation;
using LsglangSharp.Runtime.Layers;
using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Scheduling;
using LsglangSharp.Runtime.Text;
using LsglangSharp.Runtime.Text.Templates;
using LsglangSharp.Runtime.Weights;

namespace LsglangSharp.Api.Cli;

/// <summary>
/// A loaded model behind an engine, with everything that serves it: the one place where the adapters are chosen and put together.
/// </summary>
internal sealed class ServingModel : IDisposable
{
    private readonly ModelFolder _folder;
    private readonly ServeSettings _settings;
    private readonly ServingDevices _devices;
    private readonly Engine _engine;
    private readonly Tokenizer? _tokenizer;
    private readonly ServingBudget _budget;
    private readonly Coordinator _coordinator;

    private ServingModel(
        ModelFolder folder, ServeSettings settings, EnvironmentVariables environment, ServingDevices devices, Tokenizer? tokenizer,
        LoadDisplay display)
    {
        _folder = folder;
        _settings = settings;
        _devices = devices;
        _tokenizer = tokenizer;
        Counts = ModelCounts.Of(folder.Spec);
        _budget = MemoryBudget.Make(folder, settings, environment, devices.Machine);
        _coordinator = Bind(environment, display);
        _engine = new Engine(
            new AttachedForward(_coordinator, devices),
            _budget.Plan.Limits,
            MemoryBudget.EngineOptions(settings) with { IsHangFatal = _budget.UsesGpus },
            folder.EosTokenIds,
            tokenizer is null ? null : skip => TextOf(new StreamingDetokenizer(tokenizer, skip)));
        Served = new ServedModel
        {
            Path = settings.ModelPath ?? DemoModel.Name,
            TokenizerPath = settings.TokenizerPath ?? settings.ModelPath ?? DemoModel.Name,
            Architectures = [folder.Spec.Architecture],
            ModelType = folder.Spec.ModelType,
            WeightVersion = settings.WeightVersion,
            LoadFormat = settings.LoadFormat,
            Text = tokenizer is null ? null : new TokenizerText(tokenizer),
            ChatTemplate = tokenizer is null ? null : ServedChatTemplate.Open(settings, tokenizer),
            TemplateVariables = tokenizer is null ? null : ServedText.TemplateVariables(tokenizer),
        };
    }

    public string Name => _settings.ServedModelNames.Count > 0 ? _settings.ServedModelNames[0] : Served.Path;

    public IEngine Engine => _engine;

    /// <summary>Completes with the reason when a device can serve no more.</summary>
    public Task<string> DeviceLost => _engine.DeviceLost;

    public ServedModel Served { get; }

    public ModelCounts Counts { get; }

    public DType WeightType => _budget.WeightType;

    /// <summary>What was decided to go where.</summary>
    public MemoryPlan Plan => _budget.Plan.Memory;

    /// <summary>What is there now, in bytes: on each GPU, in RAM beside the CPUs' workspace, page-locked.</summary>
    public (IReadOnlyList<long> Gpus, long Host, long Pinned) Allocated => _devices.Allocated;

    public ServerOptions ServerOptions
    {
        get
        {
            // The demo model is there to show what the server can do, so its parsers are on unless others were named.
            var isDemo = _settings.ModelPath is null && !_settings.SkipTokenizer;
            var generation = _folder.Generation;
            return new ServerOptions
            {
                Host = _settings.Host,
                Port = _settings.Port,
                ApiKey = _settings.ApiKey,
                AdminApiKey = _settings.AdminApiKey,
                ServedModelNames = _settings.ServedModelNames,
                CacheReport = _settings.EnableCacheReport,
                WarmsUp = !_settings.SkipWarmup,
                StreamsIncrements = _settings.IncrementalStreaming,
                IncludesUsage = _settings.IncludeUsageByDefault,
                TruncatesPrompts = _settings.AllowAutoTruncate,
                CertificateFile = _settings.SslCertFile,
                CertificateKeyFile = _settings.SslKeyFile,
                CertificateKeyPassword = _settings.SslKeyPassword,
                SamplingDefaults = _settings.SamplingDefaults == "model"
                    ? new SamplingDefaults(
                        generation.Temperature, generation.TopP, generation.TopK, generation.MinP, generation.RepetitionPenalty)
                    : new SamplingDefaults(),
                ChatTemplateDefaults = _settings.ChatTemplateDefaults,
                ToolCallParser = _settings.ToolCallParser ?? (isDemo ? "qwen25" : null),
                ReasoningParser = _settings.ReasoningParser ?? (isDemo ? "qwen3" : null),
                Arguments = Arguments(),
                Version = VersionCommand.Version,
            };
        }
    }

    /// <summary>The model's configuration, with the flags' overrides.</summary>
    public static ModelFolder Open(ServeSettings settings)
    {
        var folder = ModelFolder.Open(
            settings.ModelPath ?? DemoModel.Folder(),
            settings.ModelOverrides.Count == 0 ? null : settings.ModelOverrides.ToJsonString());
        if (settings.LoadFormat != "dummy")
        {
            folder.RequireLoadable();
        }

        return folder;
    }

    /// <summary>Opens, plans, loads and starts. Every complaint comes from here as a <see cref="ConfigurationException"/>.</summary>
    public static ServingModel Load(ServeSettings settings, EnvironmentVariables environment, LoadDisplay display)
    {
        var folder = Open(settings);

        // Unknown parsers are an error now, not after the weights were loaded.
        Parsers.ToolCalls(settings.ToolCallParser, template: null);
        Parsers.Reasoning(settings.ReasoningParser, template: null);
        var tokenizer = settings.SkipTokenizer ? null : OpenTokenizer(settings, folder);
        var devices = ServingDevices.Open(settings.Device, environment);
        try
        {
            return new ServingModel(folder, settings, environment, devices, tokenizer, display);
        }
        catch
        {
            devices.Dispose();
            throw;
        }
    }

    /// <summary>What was chosen, in a few lines.</summary>
    public void Describe(TextWriter screen)
    {
        var facts = _engine.Facts;
        Row("model", $"{Name}: {_folder.Spec.Architecture}, {Units.Parameters(Counts.Total)} parameters, "
            + $"{Units.Parameters(Counts.Active)} active, {WeightType.ToString().ToLowerInvariant()}");
        foreach (var (name, value) in _devices.Describe())
        {
            Row(name, value);
        }

        Row("context", $"{Units.Count(facts.ContextLength)} tokens; {Units.Count(facts.KvTokens)} in the cache, as "
            + $"{_budget.CacheType.ToString().ToLowerInvariant()} in pages of {facts.PageSize}");
        foreach (var (name, value) in PlanTable.Brief(_budget))
        {
            Row(name, value);
        }

        foreach (var warning in _devices.Warnings.Concat(_budget.Warnings))
        {
            Row("warning", warning);
        }

        void Row(string name, string value) => screen.WriteLine($"  {name,-11} {value}");
    }

    /// <summary>Bytes a second that plain reads reach where the weights are; null where it cannot be measured.</summary>
    public double? ReadBandwidth() => _devices.ReadBandwidth();

    public void Dispose()
    {
        _engine.Dispose();
        _coordinator.Dispose();
        _devices.Dispose();
    }

    private Coordinator Bind(EnvironmentVariables environment, LoadDisplay display)
    {
        var (spec, limits, sizes) = (_folder.Spec, _budget.Plan.Limits, _budget.Plan.Sizes);
        var hybrid = _devices.HostExperts(spec, _budget.Experts, sizes);
        var plans = _devices.Ranks.Select(device => new WeightPlan(device.Memory)).ToArray();
        var ranks = _devices.Ranks.Select((device, rank) =>
        {
            var cache = new KvCacheMemory(device.Memory, _budget.CacheType, limits.KvPages, limits.PageSize);
            var bound = Binding.Bind(
                spec, device, WeightType, plans[rank], cache.Allocate, new Shard(rank, plans.Length),
                layer => _budget.Experts.IsOnDevice(layer) ? device.Experts : hybrid!);
            return (bound, device);
        }).ToArray();
        using var checkpoint = _settings.LoadFormat == "dummy" ? null : Checkpoint.Open(_folder.Path);
        IWeightSource source = checkpoint is null ? new DummyWeights((ulong)(_settings.RandomSeed ?? 0)) : checkpoint;
        WeightLoader.Load(plans, source, new LoadOptions
        {
            Threads = environment.LoaderThreads ?? Environment.ProcessorCount,
            Progress = display,
        });
        display.Finish(plans.Sum(plan => plan.Bytes));
        var coordinator = new Coordinator(ranks, _devices.Collective(sizes, spec.Embedding.Hidden), sizes, hybrid);
        _devices.FinishLoading(spec, _budget);
        if (!_budget.GraphRows.IsEmpty)
        {
            coordinator.Record(_budget.GraphRows, display.Recorded);
        }

        return coordinator;
    }

    private static Tokenizer OpenTokenizer(ServeSettings settings, ModelFolder folder)
    {
        var path = settings.TokenizerPath ?? folder.Path;
        return Directory.Exists(path)
            ? Tokenizer.Load(path)
            : throw new ConfigurationException($"--tokenizer-path {path}: there is no such folder.");
    }

    private static TextStream TextOf(StreamingDetokenizer detokenizer) => new(detokenizer.Push, detokenizer.Flush);

    private JsonObject Arguments()
    {
        var arguments = new JsonObject();
        foreach (var (name, value) in _settings.Given)
        {
            arguments[name] = value;
        }

        arguments["dtype"] = WeightType.ToString().ToLowerInvariant();
        arguments["device"] = _devices.Name;
        return arguments;
    }
}
