using System.Reflection;
using System.Runtime.CompilerServices;
using LsglangSharp.Api.Cli;

namespace LsglangSharp.Api.Tests.Placement;

/// <summary>
/// The ways to place a model, over the double of the CUDA driver: flags and variables of each. This process finds the double, so that
/// tests without a GPU say --device cpu.
/// </summary>
internal static class Placements
{
    public const string Variable = "LSGLANG_CUDA_LIBRARY";

    /// <summary>The double that this project was built with; tests that need it are skipped where there is none.</summary>
    public static string Library { get; } = typeof(Placements).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .Single(metadata => metadata.Key == "CudaOnCpu").Value!;

    public static string[] Names { get; } = ["cpu", "cuda", "hybrid", "hybrid with resident layers"];

    public static TheoryData<string> All => [.. Names];

    [ModuleInitializer]
    internal static void Load()
    {
        if (File.Exists(Library))
        {
            Environment.SetEnvironmentVariable(Variable, Library);
        }
    }

    public static string[] Flags(string placement) => ["--device", placement == "cpu" ? "cpu" : "cuda"];

    /// <param name="placement">One of <see cref="All"/>.</param>
    /// <param name="resident">The layers that the last of them keeps on the GPU.</param>
    public static (string Name, string Value)[] Variables(string placement, string resident = "1-2")
    {
        Skip.IfNot(placement == "cpu" || File.Exists(Library), "needs clang 19, which compiles the kernels");
        return placement switch
        {
            "hybrid" => [(Variable, Library), ("LVLLM_MOE_NUMA_ENABLED", "1")],
            "hybrid with resident layers" =>
                [(Variable, Library), ("LVLLM_MOE_NUMA_ENABLED", "1"), ("LVLLM_GPU_RESIDENT_MOE_LAYERS", resident)],
            _ => [(Variable, Library)],
        };
    }

    /// <summary>A loaded model in this process.</summary>
    public static ServingModel Load(string placement, string resident, params string[] arguments)
    {
        var variables = Variables(placement, resident).Where(pair => pair.Name != Variable)
            .ToDictionary(pair => pair.Name, pair => pair.Value);
        return ServingModel.Load(
            ServeSettings.Parse([.. arguments, .. Flags(placement)]),
            EnvironmentVariables.Read(variables),
            new LoadDisplay(TextWriter.Null));
    }
}
