using LsglangSharp.Conformance;
using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Ports;
using Xunit.Abstractions;

namespace LsglangSharp.GpuPrefill.Tests.Conformance;

/// <summary>GPUs that share every layer. Four are simulated; of real ones as many as there are take part.</summary>
public abstract class CudaTensorParallelGoldens : TensorParallelGoldens, IDisposable
{
    private readonly ITestOutputHelper _output;
    private readonly IDisposable? _double;
    private readonly bool _reachEachOther;

    protected CudaTensorParallelGoldens(ITestOutputHelper output, bool reachEachOther)
        : base(output)
    {
        _output = output;
        _reachEachOther = reachEachOther;
        if (CudaOnCpu.IsUsed)
        {
            _double = CudaOnCpu.With(
                ("CUDA_ON_CPU_DEVICES", "4"), ("CUDA_ON_CPU_MEMORY_MB", "512"), ("CUDA_ON_CPU_PEERS", reachEachOther ? "1" : "0"));
        }
    }

    public void Dispose()
    {
        if (CudaOnCpu.IsUsed)
        {
            _output.WriteLine(CudaOnCpu.LastFault);
        }

        _double?.Dispose();
        GC.SuppressFinalize(this);
    }

    protected override (IReadOnlyList<IDevice> Devices, Func<StepSizes, int, ICollective> Collective) NewDevices(int ranks)
    {
        CudaLibrary.Ensure();
        Skip.If(CudaLibrary.DeviceCount < ranks, $"needs {ranks} GPUs, {CudaLibrary.DeviceCount} are here");
        CudaDevice[] devices =
            [.. Enumerable.Range(0, ranks).Select(index => new CudaDevice(new CudaDeviceOptions { DeviceIndex = index }))];
        return (devices, (sizes, hidden) =>
        {
            var collective = new CudaCollective(devices, sizes.TokensMax, hidden);
            Assert.True(!CudaOnCpu.IsUsed || collective.UsesPeerMemory == _reachEachOther);
            return collective;
        });
    }
}

[Collection(Alone.Name)]
public sealed class CudaPeerTests(ITestOutputHelper output) : CudaTensorParallelGoldens(output, reachEachOther: true);

[Collection(Alone.Name)]
public sealed class CudaWithoutPeersTests(ITestOutputHelper output) : CudaTensorParallelGoldens(output, reachEachOther: false);
