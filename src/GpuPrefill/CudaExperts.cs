using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill;

/// <summary>Routed experts whose weights lie in the GPU's memory, on the stream of the other operations.</summary>
internal sealed class CudaExperts(CudaDevice device) : IExperts
{
    public ExpertBank Allocate(DType type, int experts, int topK, int hidden, int intermediate) =>
        new CudaExpertBank(device.DeviceMemory, type, experts, topK, hidden, intermediate);

    public ExpertRun Start(ExpertBank bank, Tensor x, Routes routes) =>
        throw new InvariantException("there is no CUDA kernel for experts yet");

    public void Join(in ExpertRun run, Tensor y) =>
        throw new InvariantException("there is no CUDA kernel for experts yet");
}
