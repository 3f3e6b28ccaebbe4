using System.Text.Json;
using LsglangSharp.Runtime.Models;
using LsglangSharp.Runtime.Placement;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli.Commands;

/// <summary>lsglang plan: what serve would put where, from config.json alone.</summary>
internal static class PlanCommand
{
    private static readonly JsonSerializerOptions _indented = new() { WriteIndented = true };

    public static Task<int> RunAsync(IReadOnlyList<string> arguments)
    {
        var (options, others) = PlanOptions.Take(arguments);
        var settings = ServeSettings.Parse(others);
        var environment = EnvironmentVariables.Read();
        var folder = ServingModel.Open(settings);
        ServingBudget budget;
        string? whyNoGpu;
        try
        {
            (var machine, whyNoGpu) = MachineFor(options, settings.Device, environment);
            budget = MemoryBudget.Make(folder, settings, environment, machine);
        }
        catch (ConfigurationException fault)
        {
            Console.Error.WriteLine($"lsglang: {fault.Message}");
            return Task.FromResult(1);
        }

        if (options.Json)
        {
            Console.WriteLine(PlanTable.Json(budget).ToJsonString(_indented));
            return Task.FromResult(0);
        }

        var counts = ModelCounts.Of(folder.Spec);
        Console.WriteLine($"{Path.GetFileName(folder.Path.TrimEnd('/'))}: {folder.Spec.Architecture}, "
            + $"{Units.Parameters(counts.Total)} parameters, {Units.Parameters(counts.Active)} active, "
            + $"{budget.WeightType.ToString().ToLowerInvariant()}; {budget.Placement}");
        Console.WriteLine();
        if (whyNoGpu is not null)
        {
            Console.WriteLine($"device      cpu. {whyNoGpu}");
        }

        var warnings = settings.Warnings.Concat(environment.Warnings).Concat(budget.Warnings);
        foreach (var line in PlanTable.Lines(budget).Concat(warnings.Select(warning => $"warning     {warning}")))
        {
            Console.WriteLine(line);
        }

        return Task.FromResult(0);
    }

    private static (Machine Machine, string? WhyNoGpu) MachineFor(PlanOptions options, DeviceFlags flags, EnvironmentVariables environment)
    {
        // Assumed GPUs need no driver; only the CPUs are looked at then.
        using var devices = ServingDevices.Open(
            options.Gpus is null ? flags : new DeviceFlags { Kind = DeviceKind.Cpu }, environment);
        return (Hardware.Assume(devices.Machine, options, flags), devices.WhyNoGpu);
    }
}
