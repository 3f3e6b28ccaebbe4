using LsglangSharp.GpuPrefill.Interop;

namespace LsglangSharp.GpuPrefill.Launch;

/// <summary>A kernel that takes one struct of this type. <see cref="KernelSet.Get{TArgs}"/> makes it.</summary>
internal sealed class CudaKernel<TArgs>(CudaFunction function, int threadsMax, int dynamicSharedMax)
    where TArgs : unmanaged
{
    public nint Handle => function.Handle;

    public string Name => function.Name;

    /// <summary>The most threads of a block.</summary>
    public int ThreadsMax => threadsMax;

    /// <summary>The most bytes of dynamic shared memory that a launch may ask for.</summary>
    public int DynamicSharedMax => dynamicSharedMax;
}
