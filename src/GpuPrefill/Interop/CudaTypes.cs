namespace LsglangSharp.GpuPrefill.Interop;

/// <summary>CUdevice_attribute.</summary>
internal enum DeviceAttribute
{
    SharedMemoryPerMultiprocessor = 81,
    MultiprocessorCount = 16,
    Integrated = 18,
    CanMapHostMemory = 19,
    ComputeCapabilityMajor = 75,
    ComputeCapabilityMinor = 76,
    CanUseHostPointerForRegisteredMemory = 91,
    CanUseStreamMemoryOperations = 94,
    SharedMemoryPerBlockOptin = 97,
}

/// <summary>CUfunction_attribute.</summary>
internal enum FunctionAttribute
{
    ThreadsMax = 0,
    StaticSharedBytes = 1,
    LocalBytes = 3,
    Registers = 4,
    DynamicSharedBytesMax = 8,
}

/// <summary>CUjit_option.</summary>
internal enum JitOption
{
    ErrorLogBuffer = 5,
    ErrorLogBufferBytes = 6,
}

/// <summary>CU_STREAM_*.</summary>
internal enum StreamFlags
{
    /// <summary>Does not wait for the legacy default stream, which nothing here uses.</summary>
    NonBlocking = 1,
}

/// <summary>CU_EVENT_*.</summary>
[Flags]
internal enum EventFlags
{
    None = 0,

    /// <summary>A thread that waits sleeps instead of spinning.</summary>
    BlockingSync = 1,
    DisableTiming = 2,
}

/// <summary>CU_MEMHOSTALLOC_* and CU_MEMHOSTREGISTER_*, which have the same numbers.</summary>
[Flags]
internal enum HostMemoryFlags
{
    Portable = 1,
    DeviceMap = 2,
}

/// <summary>CUstreamCaptureMode.</summary>
internal enum CaptureMode
{
    Global = 0,
    ThreadLocal = 1,
    Relaxed = 2,
}
