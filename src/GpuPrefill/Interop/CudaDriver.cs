using System.Runtime.InteropServices;

namespace LsglangSharp.GpuPrefill.Interop;

/// <summary>
/// The part of cuda.h (12.0) that we call. Only declarations, handles and device addresses as nint; the classes beside
/// it are the way in, and <see cref="CudaLibrary"/> finds the library before the first call.
/// </summary>
internal static unsafe partial class CudaDriver
{
    public const string Library = "cuda";

    [LibraryImport(Library, EntryPoint = "cuInit")]
    public static partial CudaStatus Init(uint flags);

    [LibraryImport(Library, EntryPoint = "cuDriverGetVersion")]
    public static partial CudaStatus DriverGetVersion(out int version);

    [LibraryImport(Library, EntryPoint = "cuGetErrorName")]
    public static partial CudaStatus GetErrorName(CudaStatus status, out byte* text);

    [LibraryImport(Library, EntryPoint = "cuGetErrorString")]
    public static partial CudaStatus GetErrorString(CudaStatus status, out byte* text);

    // Devices and contexts.
    [LibraryImport(Library, EntryPoint = "cuDeviceGetCount")]
    public static partial CudaStatus DeviceGetCount(out int count);

    [LibraryImport(Library, EntryPoint = "cuDeviceGet")]
    public static partial CudaStatus DeviceGet(out int device, int ordinal);

    [LibraryImport(Library, EntryPoint = "cuDeviceGetName")]
    public static partial CudaStatus DeviceGetName(byte* name, int capacity, int device);

    [LibraryImport(Library, EntryPoint = "cuDeviceTotalMem_v2")]
    public static partial CudaStatus DeviceTotalMem(out nuint bytes, int device);

    [LibraryImport(Library, EntryPoint = "cuDeviceGetAttribute")]
    public static partial CudaStatus DeviceGetAttribute(out int value, DeviceAttribute attribute, int device);

    [LibraryImport(Library, EntryPoint = "cuDeviceGetPCIBusId")]
    public static partial CudaStatus DeviceGetPciBusId(byte* text, int capacity, int device);

    [LibraryImport(Library, EntryPoint = "cuDeviceCanAccessPeer")]
    public static partial CudaStatus DeviceCanAccessPeer(out int can, int device, int peer);

    [LibraryImport(Library, EntryPoint = "cuDevicePrimaryCtxRetain")]
    public static partial CudaStatus DevicePrimaryContextRetain(out nint context, int device);

    [LibraryImport(Library, EntryPoint = "cuDevicePrimaryCtxRelease_v2")]
    public static partial CudaStatus DevicePrimaryContextRelease(int device);

    [LibraryImport(Library, EntryPoint = "cuCtxSetCurrent")]
    public static partial CudaStatus ContextSetCurrent(nint context);

    [LibraryImport(Library, EntryPoint = "cuCtxSynchronize")]
    public static partial CudaStatus ContextSynchronize();

    [LibraryImport(Library, EntryPoint = "cuCtxGetStreamPriorityRange")]
    public static partial CudaStatus ContextGetStreamPriorityRange(out int least, out int greatest);

    [LibraryImport(Library, EntryPoint = "cuCtxEnablePeerAccess")]
    public static partial CudaStatus ContextEnablePeerAccess(nint peer, uint flags);

    // Memory.
    [LibraryImport(Library, EntryPoint = "cuMemGetInfo_v2")]
    public static partial CudaStatus MemoryGetInfo(out nuint free, out nuint total);

    [LibraryImport(Library, EntryPoint = "cuMemAlloc_v2")]
    public static partial CudaStatus MemoryAllocate(out nint address, nuint bytes);

    [LibraryImport(Library, EntryPoint = "cuMemFree_v2")]
    public static partial CudaStatus MemoryFree(nint address);

    [LibraryImport(Library, EntryPoint = "cuMemHostAlloc")]
    public static partial CudaStatus MemoryHostAllocate(out nint address, nuint bytes, HostMemoryFlags flags);

    [LibraryImport(Library, EntryPoint = "cuMemFreeHost")]
    public static partial CudaStatus MemoryFreeHost(nint address);

    [LibraryImport(Library, EntryPoint = "cuMemHostGetDevicePointer_v2")]
    public static partial CudaStatus MemoryHostGetDevicePointer(out nint deviceAddress, nint address, uint flags);

    [LibraryImport(Library, EntryPoint = "cuMemHostRegister_v2")]
    public static partial CudaStatus MemoryHostRegister(nint address, nuint bytes, HostMemoryFlags flags);

    [LibraryImport(Library, EntryPoint = "cuMemHostUnregister")]
    public static partial CudaStatus MemoryHostUnregister(nint address);

    [LibraryImport(Library, EntryPoint = "cuMemcpyHtoDAsync_v2")]
    public static partial CudaStatus CopyToDevice(nint target, nint source, nuint bytes, nint stream);

    [LibraryImport(Library, EntryPoint = "cuMemcpyDtoHAsync_v2")]
    public static partial CudaStatus CopyToHost(nint target, nint source, nuint bytes, nint stream);

    [LibraryImport(Library, EntryPoint = "cuMemcpyDtoDAsync_v2")]
    public static partial CudaStatus CopyOnDevice(nint target, nint source, nuint bytes, nint stream);

    [LibraryImport(Library, EntryPoint = "cuMemcpyPeerAsync")]
    public static partial CudaStatus CopyToPeer(
        nint target, nint targetContext, nint source, nint sourceContext, nuint bytes, nint stream);

    [LibraryImport(Library, EntryPoint = "cuMemsetD8Async")]
    public static partial CudaStatus SetBytes(nint target, byte value, nuint count, nint stream);

    [LibraryImport(Library, EntryPoint = "cuMemsetD32Async")]
    public static partial CudaStatus SetWords(nint target, uint value, nuint count, nint stream);

    // Modules and kernels.
    [LibraryImport(Library, EntryPoint = "cuModuleLoadDataEx")]
    public static partial CudaStatus ModuleLoadData(
        out nint module, byte* image, uint optionCount, JitOption* options, nint* values);

    [LibraryImport(Library, EntryPoint = "cuModuleUnload")]
    public static partial CudaStatus ModuleUnload(nint module);

    [LibraryImport(Library, EntryPoint = "cuModuleGetFunction")]
    public static partial CudaStatus ModuleGetFunction(out nint function, nint module, byte* name);

    [LibraryImport(Library, EntryPoint = "cuFuncGetAttribute")]
    public static partial CudaStatus FunctionGetAttribute(out int value, FunctionAttribute attribute, nint function);

    [LibraryImport(Library, EntryPoint = "cuFuncSetAttribute")]
    public static partial CudaStatus FunctionSetAttribute(nint function, FunctionAttribute attribute, int value);

    [LibraryImport(Library, EntryPoint = "cuLaunchKernel")]
    public static partial CudaStatus LaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint threadsX, uint threadsY, uint threadsZ, uint sharedBytes,
        nint stream, void** parameters, void** extra);

    // Streams and events.
    [LibraryImport(Library, EntryPoint = "cuStreamCreateWithPriority")]
    public static partial CudaStatus StreamCreate(out nint stream, StreamFlags flags, int priority);

    [LibraryImport(Library, EntryPoint = "cuStreamDestroy_v2")]
    public static partial CudaStatus StreamDestroy(nint stream);

    [LibraryImport(Library, EntryPoint = "cuStreamSynchronize")]
    public static partial CudaStatus StreamSynchronize(nint stream);

    [LibraryImport(Library, EntryPoint = "cuStreamQuery")]
    public static partial CudaStatus StreamQuery(nint stream);

    [LibraryImport(Library, EntryPoint = "cuStreamWaitEvent")]
    public static partial CudaStatus StreamWaitEvent(nint stream, nint waitedFor, uint flags);

    [LibraryImport(Library, EntryPoint = "cuStreamWaitValue32_v2")]
    public static partial CudaStatus StreamWaitValue(nint stream, nint address, uint value, uint flags);

    [LibraryImport(Library, EntryPoint = "cuStreamWriteValue32_v2")]
    public static partial CudaStatus StreamWriteValue(nint stream, nint address, uint value, uint flags);

    [LibraryImport(Library, EntryPoint = "cuEventCreate")]
    public static partial CudaStatus EventCreate(out nint handle, EventFlags flags);

    [LibraryImport(Library, EntryPoint = "cuEventDestroy_v2")]
    public static partial CudaStatus EventDestroy(nint handle);

    [LibraryImport(Library, EntryPoint = "cuEventRecord")]
    public static partial CudaStatus EventRecord(nint handle, nint stream);

    [LibraryImport(Library, EntryPoint = "cuEventQuery")]
    public static partial CudaStatus EventQuery(nint handle);

    [LibraryImport(Library, EntryPoint = "cuEventSynchronize")]
    public static partial CudaStatus EventSynchronize(nint handle);

    [LibraryImport(Library, EntryPoint = "cuEventElapsedTime")]
    public static partial CudaStatus EventElapsedTime(out float milliseconds, nint start, nint end);

    // Graphs.
    [LibraryImport(Library, EntryPoint = "cuStreamBeginCapture_v2")]
    public static partial CudaStatus StreamBeginCapture(nint stream, CaptureMode mode);

    [LibraryImport(Library, EntryPoint = "cuStreamEndCapture")]
    public static partial CudaStatus StreamEndCapture(nint stream, out nint graph);

    [LibraryImport(Library, EntryPoint = "cuStreamIsCapturing")]
    public static partial CudaStatus StreamIsCapturing(nint stream, out int status);

    [LibraryImport(Library, EntryPoint = "cuGraphGetNodes")]
    public static partial CudaStatus GraphGetNodes(nint graph, nint* nodes, ref nuint count);

    [LibraryImport(Library, EntryPoint = "cuGraphInstantiateWithFlags")]
    public static partial CudaStatus GraphInstantiate(out nint executable, nint graph, ulong flags);

    [LibraryImport(Library, EntryPoint = "cuGraphUpload")]
    public static partial CudaStatus GraphUpload(nint executable, nint stream);

    [LibraryImport(Library, EntryPoint = "cuGraphLaunch")]
    public static partial CudaStatus GraphLaunch(nint executable, nint stream);

    [LibraryImport(Library, EntryPoint = "cuGraphExecDestroy")]
    public static partial CudaStatus GraphExecDestroy(nint executable);

    [LibraryImport(Library, EntryPoint = "cuGraphDestroy")]
    public static partial CudaStatus GraphDestroy(nint graph);
}
