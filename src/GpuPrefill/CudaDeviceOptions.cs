namespace LsglangSharp.GpuPrefill;

/// <summary>How a GPU is used.</summary>
public sealed record CudaDeviceOptions
{
    /// <summary>Of the GPUs that CUDA_VISIBLE_DEVICES leaves visible, from 0.</summary>
    public int DeviceIndex { get; init; }

    /// <summary>
    /// Activations that meet 16-bit weights on tensor cores are taken as two 16-bit terms, about 16 significant bits;
    /// otherwise as one.
    /// </summary>
    public bool ExactActivations { get; init; } = true;

    /// <summary>The most bytes of device memory for tensors and weights. Null: what the device has.</summary>
    public long? MemoryLimit { get; init; }

    /// <summary>How long the device may take for what a step waits for; then it counts as lost.</summary>
    public TimeSpan PatienceMax { get; init; } = TimeSpan.FromSeconds(120);

    /// <summary>The most page-locked host memory for weights on their way to the device.</summary>
    public long StagingBytes { get; init; } = 128L << 20;
}
