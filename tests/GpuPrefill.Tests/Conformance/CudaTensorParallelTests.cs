using LsglangSharp.Conformance;
using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Ports;
using Xunit.Abstractions;

namespace LsglangSharp.GpuPrefill.Tests.Conformance;

/// <summary>GPUs that share every layer. Four are simulated; of real ones as many as there are take part.</summary>
internal sealed class Gpus : IDisposable
{
    private readonly ITestOutputHelper _output;
    private readonly IDisposable? _double;
    private readonly bool _reachEachOther;

    public Gpus(ITestOutputHelper output, bool reachEachOther)
    {
        _output = output;
        _reachEachOther = reachEachOther;
        if (CudaOnCpu.IsUsed)
        {
            _double = CudaOnCpu.With(
                ("CUDA_ON_CPU_DEVICES", "4"), ("CUDA_ON_CPU_MEMORY_MB", "512"), ("CUDA_ON_CPU_PEERS", reachEachOther ? "1" : "0"));
        }
    }

    public (IReadOnlyList<IDevice> Devices, Func<StepSizes, int, ICollective> Collective) Open(int ranks)
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

    public void Dispose()
    {
        if (CudaOnCpu.IsUsed)
        {
            _output.WriteLine(CudaOnCpu.LastFault);
        }

        _double?.Dispose();
    }
}

[Collection(Alone.Name)]
public sealed class CudaPeerTests(ITestOutputHelper output) : TensorParallelGoldens(output), IDisposable
{
    private readonly Gpus _gpus = new(output, reachEachOther: true);

    public void Dispose() => _gpus.Dispose();

    protected override (IReadOnlyList<IDevice> Devices, Func<StepSizes, int, ICollective> Collective) NewDevices(int ranks) =>
        _gpus.Open(ranks);
}

/// <summary>The same where parts travel through page-locked memory.</summary>
[Collection(Alone.Name)]
public sealed class CudaWithoutPeersTests(ITestOutputHelper output) : TensorParallelRuns(output), IDisposable
{
    private readonly Gpus _gpus = new(output, reachEachOther: false);

    public void Dispose() => _gpus.Dispose();

    [SkippableTheory]
    [InlineData("qwen3_moe", 4)]
    [InlineData("qwen3_moe_mixed", 2)]
    [InlineData("llama3", 4)]
    public void Greedy_continuation_is_the_references(string name, int ranks) => HoldsGreedy(name, ranks);

    protected override (IReadOnlyList<IDevice> Devices, Func<StepSizes, int, ICollective> Collective) NewDevices(int ranks) =>
        _gpus.Open(ranks);
}
