using System.Collections.Immutable;
using LsglangSharp.NumaExperts;
using LsglangSharp.Runtime;
using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli;

/// <summary>
/// What the flags, the variables and the machine make of a model, before anything is loaded. <paramref name="GraphRows"/>: the numbers of
/// rows for which decode steps are recorded; <paramref name="Warnings"/>: what the operator should know of it.
/// </summary>
internal sealed record ServingBudget(
    ServingPlan Plan, Machine Machine, DType WeightType, DType CacheType, ExpertPlacement Experts, ImmutableArray<int> GraphRows,
    ImmutableArray<string> Warnings)
{
    public bool UsesGpus => !Machine.Gpus.IsEmpty;

    /// <summary>"cpu", "cuda" or "hybrid".</summary>
    public string Placement => !UsesGpus ? "cpu" : Experts.IsHybrid ? "hybrid" : "cuda";
}

/// <summary>What the flags and the memory allow, before anything is loaded.</summary>
internal static class MemoryBudget
{
    public static EngineOptions EngineOptions(ServeSettings settings) => new()
    {
        ContextLength = settings.ContextLength,
        KvTokens = settings.MaxTotalTokens,
        PageSize = settings.PageSize ?? new EngineOptions().PageSize,
        RunningRequestsMax = settings.MaxRunningRequests ?? new EngineOptions().RunningRequestsMax,
        QueuedRequestsMax = settings.MaxQueuedRequests ?? new EngineOptions().QueuedRequestsMax,
        PrefillTokensMax = settings.ChunkedPrefillSize switch
        {
            null => new EngineOptions().PrefillTokensMax,
            -1 => Math.Max(settings.MaxPrefillTokens, settings.ContextLength ?? 0),
            var size => size.Value,
        },
        StreamInterval = settings.StreamInterval,
        Scheduling = settings.Scheduling,
        LowPriorityValuesFirst = settings.LowPriorityValuesFirst,
        StepSecondsMax = settings.WatchdogSeconds ?? new EngineOptions().StepSecondsMax,
    };

    /// <summary>The engine's limits and what goes where, or the complaint that the model does not fit.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="settings">The flags.</param>
    /// <param name="environment">The variables.</param>
    /// <param name="machine">The machine, with the GPUs that are to be used; none: the CPUs.</param>
    public static ServingBudget Make(ModelFolder folder, ServeSettings settings, EnvironmentVariables environment, Machine machine)
    {
        var spec = folder.Spec;
        var warnings = new List<string>();
        var weights = ComputeType.Of(settings.Dtype, spec.CheckpointType);
        var usesGpus = !machine.Gpus.IsEmpty;
        var cache = ComputeType.OfCache(settings.KvCacheDtype, usesGpus ? weights : DType.F32, usesGpus);
        var experts = ExpertsOf();
        var options = EngineOptions(settings);
        var rows = usesGpus
            ? settings.Device.GraphBuckets(machine.Gpus.Min(gpu => gpu.BytesTotal), options.RunningRequestsMax) : [];
        var plan = Planner.Plan(new PlanRequest
        {
            Spec = spec,
            Weights = weights,
            Cache = cache,
            Options = options,
            Machine = machine,
            Costs = DeviceCostsOf.Model(spec, experts, machine),
            Experts = experts,
            StaticFraction = settings.MemFractionStatic,
            CacheBytes = environment.KvCacheBytes,
            Interleaved = environment.NumaInterleave,
        });
        return new ServingBudget(plan, machine, weights, cache, experts, rows, [.. warnings]);

        ExpertPlacement ExpertsOf()
        {
            var resident = environment.ResidentLayers?.Resolve(spec, warnings) ?? [];
            if (usesGpus && environment.MoeNumaEnabled)
            {
                return new ExpertPlacement(resident);
            }

            if (!resident.IsEmpty)
            {
                warnings.Add(usesGpus
                    ? $"{environment.ResidentLayers!.Name} has no effect without LVLLM_MOE_NUMA_ENABLED=1: all experts are on the GPU."
                    : $"{environment.ResidentLayers!.Name} has no effect on the CPU.");
            }

            return ExpertPlacement.AllOnDevice;
        }
    }
}
