using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>All kernels of this build for one device, compiled by its driver when the device is opened.</summary>
internal sealed class KernelSet : IDisposable
{
    /// <summary>Static shared memory is limited to this; more is asked for at the launch.</summary>
    private const int SharedBytesByDefault = 48 << 10;

    /// <summary>PTX ISA 8.3, which the Hopper texts are written in, came with CUDA 12.3.</summary>
    private const int HopperVersion = 12_030;

    /// <summary>What to say of a build without kernels.</summary>
    public const string NotBuilt =
        "This build of lsglang has no GPU kernels, because clang++ 19 was missing when it was built: install clang-19 and "
        + "build again, or use --device cpu.";

    private readonly CudaContext _context;
    private readonly List<CudaModule> _modules = [];
    private readonly Dictionary<string, (CudaModule Module, int ParameterBytes)> _kernels = [];

    public KernelSet(CudaContext context)
    {
        _context = context;
        var major = context.Attribute(DeviceAttribute.ComputeCapabilityMajor);
        var minor = context.Attribute(DeviceAttribute.ComputeCapabilityMinor);
        Family = FamilyFor(major, minor, CudaLibrary.Version)
            ?? throw new ConfigurationException(
                $"GPU {context.Index} has compute capability {major}.{minor}, and 8.0 (Ampere) or later is required: use --device cpu.");
        var texts = PtxText.Embedded(Family);
        if (texts.IsEmpty)
        {
            throw new ConfigurationException(NotBuilt);
        }

        Load(texts);
    }

    /// <summary>Whether this build has any.</summary>
    public static bool IsBuilt => PtxText.IsBuilt;

    /// <summary>"sm_80" or "sm_90a": which of the embedded texts were taken.</summary>
    public string Family { get; }

    public bool IsHopper => Family == "sm_90a";

    /// <summary>Which family of texts a device takes; null where it is too old.</summary>
    public static string? FamilyFor(int major, int minor, int driverVersion) => (major, minor) switch
    {
        ( < 8, _) => null,
        (9, 0) when driverVersion >= HopperVersion => "sm_90a",
        _ => "sm_80",
    };

    public bool Has(string name) => _kernels.ContainsKey(name);

    /// <summary>
    /// The kernel of this name. Its parameter must be as large as the struct. Launches may ask for up to
    /// <paramref name="dynamicSharedMax"/> bytes of dynamic shared memory.
    /// </summary>
    public CudaKernel<TArgs> Get<TArgs>(string name, int dynamicSharedMax = 0)
        where TArgs : unmanaged
    {
        if (!_kernels.TryGetValue(name, out var kernel))
        {
            throw new InvariantException($"there is no kernel {name} among those for {Family}");
        }

        if (kernel.ParameterBytes != Unsafe.SizeOf<TArgs>())
        {
            throw new InvariantException(
                $"{typeof(TArgs).Name} has {Unsafe.SizeOf<TArgs>()} bytes and the kernel {name} takes {kernel.ParameterBytes}");
        }

        _context.Bind();
        var function = kernel.Module.Function(name);
        // With lazy loading this also puts the code on the device, before serving.
        var threadsMax = function.Attribute(FunctionAttribute.ThreadsMax);
        if (dynamicSharedMax + function.Attribute(FunctionAttribute.StaticSharedBytes) > SharedBytesByDefault)
        {
            function.Set(FunctionAttribute.DynamicSharedBytesMax, dynamicSharedMax);
        }

        return new CudaKernel<TArgs>(function, threadsMax, dynamicSharedMax);
    }

    public void Dispose()
    {
        foreach (var module in _modules)
        {
            module.Dispose();
        }

        _modules.Clear();
        _kernels.Clear();
    }

    /// <summary>The driver compiles each text on the thread that loads it, which takes most of opening a device.</summary>
    private void Load(ImmutableArray<PtxText> texts)
    {
        var modules = new CudaModule?[texts.Length];
        try
        {
            Parallel.For(0, texts.Length, i => modules[i] = new CudaModule(_context, texts[i].Name, texts[i].Image));
        }
        catch (AggregateException failures)
        {
            Array.ForEach(modules, module => module?.Dispose());
            ExceptionDispatchInfo.Throw(failures.InnerExceptions[0]);
        }

        foreach (var (text, module) in texts.Zip(modules))
        {
            _modules.Add(module!);
            foreach (var (kernel, parameterBytes) in text.Kernels)
            {
                Check.That(_kernels.TryAdd(kernel, (module!, parameterBytes)));
            }
        }
    }
}
