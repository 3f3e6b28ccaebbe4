using System.Text.Json.Nodes;
using LsglangSharp.Api.Cli.Commands;
using LsglangSharp.Api.Http;
using LsglangSharp.NumaExperts;
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
    private readonly CpuDevice _device;
    private readonly Engine _engine;
    private readonly Tokenizer? _tokenizer;
    private readonly DType _cacheType;
    private readonly MemoryPlan _memory;

    private ServingModel(
        ModelFolder folder, ServeSettings settings, EnvironmentVariables environment, CpuDevice device, Tokenizer? tokenizer,
        LoadDisplay display)
    {
        _folder = folder;
        _settings = settings;
        _device = device;
        _tokenizer = tokenizer;
        Counts = ModelCounts.Of(folder.Spec);
        WeightType = ComputeType.Of(settings.Dtype, folder.Spec.CheckpointType);
        _cacheType = ComputeType.OfCache(settings.KvCacheDtype, onCuda: false);

        (var limits, _memory) = MemoryBudget.Make(
            folder.Spec, Counts, WeightType, _cacheType, settings, environment, device.Memory.BytesFree);
        var forward = Bind(limits, environment, display);
        _engine = new Engine(
            new AttachedForward(forward, device),
            limits,
            MemoryBudget.EngineOptions(settings),
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

    public ServedModel Served { get; }

    public ModelCounts Counts { get; }

    public DType WeightType { get; }

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

    /// <summary>Opens, plans, loads and starts. Every complaint comes from here as a <see cref="ConfigurationException"/>.</summary>
    public static ServingModel Load(ServeSettings settings, EnvironmentVariables environment, LoadDisplay display)
    {
        var folder = ModelFolder.Open(
            settings.ModelPath ?? DemoModel.Folder(),
            settings.ModelOverrides.Count == 0 ? null : settings.ModelOverrides.ToJsonString());
        if (settings.LoadFormat != "dummy")
        {
            folder.RequireLoadable();
        }


        // Unknown parsers are an error now, not after the weights were loaded.
        Parsers.ToolCalls(settings.ToolCallParser, template: null);
        Parsers.Reasoning(settings.ReasoningParser, template: null);
        var tokenizer = settings.SkipTokenizer ? null : OpenTokenizer(settings, folder);
        var device = new CpuDevice(DeviceOptions(environment));
        try
        {
            return new ServingModel(folder, settings, environment, device, tokenizer, display);
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    public static CpuDeviceOptions DeviceOptions(EnvironmentVariables environment) => new()
    {
        Threads = environment.Threads,
        Binding = environment.BindToNode ? ThreadBinding.NumaNode : ThreadBinding.CpuCore,
        PowerSaving = environment.PowerSaving,
        NumaInterleave = environment.NumaInterleave,
        CoresPerRank = environment.Cores,
        ExactActivations = !environment.RoundPrefill,
    };

    /// <summary>What was chosen, in a few lines.</summary>
    public void Describe(TextWriter screen)
    {
        var facts = _engine.Facts;
        screen.WriteLine($"  model       {Name}: {_folder.Spec.Architecture}, {Units.Parameters(Counts.Total)} parameters, "
            + $"{Units.Parameters(Counts.Active)} active, {WeightType.ToString().ToLowerInvariant()}");
        screen.WriteLine($"  processor   {_device.Description.Isa}, {_device.Description.Threads} threads on "
            + string.Join(", ", _device.Description.Ranks.Select(rank => $"node {rank.Node} (cores {rank.Cpus})")));
        screen.WriteLine($"  context     {Units.Count(facts.ContextLength)} tokens; {Units.Count(facts.KvTokens)} in the cache, as "
            + $"{_cacheType.ToString().ToLowerInvariant()} in pages of {facts.PageSize}");
        screen.WriteLine($"  memory      {Units.Bytes(_memory.WeightBytes)} weights, {Units.Bytes(_memory.CacheBytes)} cache, "
            + $"{Units.Bytes(_memory.ScratchBytes)} activations at most; {Units.Bytes(_memory.BytesAvailable)} were available");
        foreach (var warning in _device.Description.Warnings)
        {
            screen.WriteLine($"  warning     {warning}");
        }
    }

    /// <summary>Bytes a second that plain reads reach on the device's threads; null where it cannot be measured.</summary>
    public double? ReadBandwidth() => _device.MeasureBandwidth(TimeSpan.FromSeconds(1)).Sum() is > 0 and var rate ? rate : null;

    public void Dispose()
    {
        _engine.Dispose();
        _device.Dispose();
    }

    private Coordinator Bind(EngineLimits limits, EnvironmentVariables environment, LoadDisplay display)
    {
        var plan = new WeightPlan(_device.Memory);
        var cache = new KvCacheMemory(_device.Memory, _cacheType, limits.KvPages, limits.PageSize);
        var bound = Binding.Bind(_folder.Spec, _device, WeightType, plan, cache.Allocate);
        using var checkpoint = _settings.LoadFormat == "dummy" ? null : Checkpoint.Open(_folder.Path);
        IWeightSource source = checkpoint is null ? new DummyWeights((ulong)(_settings.RandomSeed ?? 0)) : checkpoint;
        WeightLoader.Load(plan, source, new LoadOptions
        {
            Threads = environment.LoaderThreads ?? Environment.ProcessorCount,
            Progress = display,
        });
        display.Finish(plan.Bytes);
        var steps = limits.Steps;
        return new Coordinator(
            bound, _device,
            new StepSizes(steps.StepTokensMax, steps.RunningMax, steps.PagesPerSequenceMax, steps.StepLogitRowsMax));
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
        arguments["device"] = _device.Name;
        return arguments;
    }
}
