using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace LsglangSharp.GpuPrefill.Tests;

/// <summary>
/// Tests that change what the double does, or that make a device fail: what they do reaches every device of the process,
/// so they run alone.
/// </summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}

/// <summary>
/// The double of the driver's library, tests/CudaOnCpu: makes the process use it, and what tests can make it do. With
/// LSGLANG_TEST_GPU=1 the machine's own driver is used instead, and tests that need the double are skipped.
/// </summary>
internal static unsafe partial class CudaOnCpu
{
    private const string Library = "cuda_on_cpu";

    public static bool IsUsed => Environment.GetEnvironmentVariable("LSGLANG_TEST_GPU") != "1";

    /// <summary>The shared library that this project was built with.</summary>
    public static string Path { get; } = typeof(CudaOnCpu).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .Single(metadata => metadata.Key == "CudaOnCpu").Value!;

    /// <summary>What went wrong on a device since the last restart; empty if nothing did.</summary>
    public static string LastFault => Marshal.PtrToStringUTF8((nint)Fault())!;

    [ModuleInitializer]
    internal static void Load()
    {
        if (IsUsed)
        {
            Environment.SetEnvironmentVariable("LSGLANG_CUDA_LIBRARY", Path);
            NativeLibrary.SetDllImportResolver(
                typeof(CudaOnCpu).Assembly, (name, _, _) => name == Library ? NativeLibrary.Load(Path) : 0);
        }
    }

    /// <summary>
    /// The double as if its process had begun with these variables (tests/CudaOnCpu/README.md), until it is disposed of.
    /// </summary>
    public static IDisposable With(params (string Name, string Value)[] variables)
    {
        Skip.IfNot(IsUsed, "needs the double of the driver");
        return new Changed(variables);
    }

    [LibraryImport(Library, EntryPoint = "cuda_on_cpu_fail_allocation")]
    public static partial void FailAllocation(ulong nth);

    [LibraryImport(Library, EntryPoint = "cuda_on_cpu_limit_memory")]
    public static partial void LimitMemory(ulong bytes);

    [LibraryImport(Library, EntryPoint = "cuda_on_cpu_fail_launch")]
    public static partial void FailLaunch(ulong nth, LaunchFailure kind);

    [LibraryImport(Library, EntryPoint = "cuda_on_cpu_lose_device")]
    public static partial void LoseDevice(int device);

    [LibraryImport(Library, EntryPoint = "cuda_on_cpu_wedge")]
    public static partial void Wedge(nint stream);

    [LibraryImport(Library, EntryPoint = "cuda_on_cpu_used")]
    public static partial ulong Used(int device);

    [LibraryImport(Library, EntryPoint = "cuda_on_cpu_fault")]
    private static partial byte* Fault();

    [LibraryImport(Library, EntryPoint = "cuda_on_cpu_set", StringMarshalling = StringMarshalling.Utf8)]
    private static partial void Set(string name, string? value);

    [LibraryImport(Library, EntryPoint = "cuda_on_cpu_restart")]
    private static partial void Restart();

    private sealed class Changed : IDisposable
    {
        private readonly (string Name, string Value)[] _variables;

        public Changed((string Name, string Value)[] variables)
        {
            _variables = variables;
            Array.ForEach(variables, variable => Set(variable.Name, variable.Value));
            Restart();
        }

        public void Dispose()
        {
            Array.ForEach(_variables, variable => Set(variable.Name, null));
            Restart();
        }
    }
}

/// <summary>How a kernel fails.</summary>
internal enum LaunchFailure
{
    /// <summary>It is never started.</summary>
    Refused = 0,

    /// <summary>It stops on the way.</summary>
    Faulted = 1,

    /// <summary>It touches memory that is not there.</summary>
    IllegalAddress = 2,
}
