// Devices, contexts, errors, and what only tests call.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "api.h"
#include "observer.h"

namespace cuda_on_cpu::driver {

thread_local std::uint64_t current_context = 0;

namespace {

std::atomic<World*> the_world{nullptr};
std::mutex world_mutex;

struct Named {
    CUresult code;
    const char* name;
    const char* text;
};
constexpr Named kErrors[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {CUDA_ERROR_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {CUDA_ERROR_NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {CUDA_ERROR_PEER_ACCESS_UNSUPPORTED, "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED", "peer access is not supported between these two devices"},
    {CUDA_ERROR_INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the provided PTX was compiled with an unsupported toolchain."},
    {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {CUDA_ERROR_ILLEGAL_STATE, "CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED", "peer access is already enabled"},
    {CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED", "part or all of the requested memory range is already mapped"},
    {CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED", "pointer does not correspond to a registered memory region"},
    {CUDA_ERROR_MISALIGNED_ADDRESS, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {CUDA_ERROR_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {CUDA_ERROR_NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
    {CUDA_ERROR_STREAM_CAPTURE_MERGE, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "operation would result in a merge of separate capture sequences"},
    {CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not ended in the same stream as it began"},
    {CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
    {CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "operation would make the legacy stream depend on a capturing blocking stream"},
    {CUDA_ERROR_CAPTURED_EVENT, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
    {CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "attempt to terminate a thread-local capture sequence from another thread"},
    {CUDA_ERROR_UNKNOWN, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

const Named* named(CUresult error) {
    for (const Named& each : kErrors) {
        if (each.code == error) return &each;
    }
    return nullptr;
}

bool is_device(const World& w, CUdevice device) { return device >= 0 && device < static_cast<int>(w.devices.size()); }

// The numbers of an H200 where the compute capability does not say otherwise.
int attribute(const World& w, CUdevice device, int which, bool& is_known) {
    is_known = true;
    switch (which) {
        case 1: return 1024;                             // MAX_THREADS_PER_BLOCK
        case 2: return 1024;                             // MAX_BLOCK_DIM_X
        case 3: return 1024;                             // MAX_BLOCK_DIM_Y
        case 4: return 64;                               // MAX_BLOCK_DIM_Z
        case 5: return 0x7fffffff;                       // MAX_GRID_DIM_X
        case 6: case 7: return 65535;                    // MAX_GRID_DIM_Y, Z
        case 8: return 48 << 10;                         // MAX_SHARED_MEMORY_PER_BLOCK
        case 9: return 64 << 10;                         // TOTAL_CONSTANT_MEMORY
        case 10: return 32;                              // WARP_SIZE
        case 12: return 65536;                           // MAX_REGISTERS_PER_BLOCK
        case 13: return 1980000;                         // CLOCK_RATE, kHz
        case 15: return 1;                               // GPU_OVERLAP
        case 16: return 132;                             // MULTIPROCESSOR_COUNT
        case 17: case 18: return 0;                      // KERNEL_EXEC_TIMEOUT, INTEGRATED
        case 19: return 1;                               // CAN_MAP_HOST_MEMORY
        case 20: return 0;                               // COMPUTE_MODE
        case 31: return 1;                               // CONCURRENT_KERNELS
        case 32: return 1;                               // ECC_ENABLED
        case 33: return w.devices[static_cast<std::size_t>(device)].physical + 1;  // PCI_BUS_ID
        case 34: return 0;                               // PCI_DEVICE_ID
        case 36: return 3201000;                         // MEMORY_CLOCK_RATE, kHz
        case 37: return 6144;                            // GLOBAL_MEMORY_BUS_WIDTH
        case 38: return 60 << 20;                        // L2_CACHE_SIZE
        case 39: return warps_max(w.options) * 32;       // MAX_THREADS_PER_MULTIPROCESSOR
        case 40: return 3;                               // ASYNC_ENGINE_COUNT
        case 41: return 1;                               // UNIFIED_ADDRESSING
        case 50: return 0;                               // PCI_DOMAIN_ID
        case 75: return w.options.cc_major;              // COMPUTE_CAPABILITY_MAJOR
        case 76: return w.options.cc_minor;              // COMPUTE_CAPABILITY_MINOR
        case 78: return 1;                               // STREAM_PRIORITIES_SUPPORTED
        case 81: return shared_optin(w.options) + 1024;  // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
        case 82: return 65536;                           // MAX_REGISTERS_PER_MULTIPROCESSOR
        case 83: return 1;                               // MANAGED_MEMORY
        case 88: case 89: return 0;                      // PAGEABLE_MEMORY_ACCESS, CONCURRENT_MANAGED_ACCESS
        case 91: return 1;                               // CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM
        case 92: case 93: case 94: return 0;             // the withdrawn first version of stream memory operations
        case 95: return 1;                               // COOPERATIVE_LAUNCH
        case 97: return shared_optin(w.options);         // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        case 98: return 0;                               // CAN_FLUSH_REMOTE_WRITES
        case 99: return 1;                               // HOST_REGISTER_SUPPORTED
        case 106: return blocks_max(w.options);          // MAX_BLOCKS_PER_MULTIPROCESSOR
        case 111: return 1024;                           // RESERVED_SHARED_MEMORY_PER_BLOCK
        case 122: case 123: return 1;                    // CAN_USE_64_BIT_STREAM_MEM_OPS, CAN_USE_STREAM_WAIT_VALUE_NOR
        default: is_known = false; return 0;
    }
}

void destroy(World& w, const ContextPtr& context) {
    context->is_destroyed = true;
    for (const StreamPtr& stream : context->streams) {
        w.streams.remove(stream->handle);
        close_stream(*stream);
    }
    std::vector<AllocationPtr> own;
    for (const auto& [end, allocation] : w.allocations) {
        if (allocation->device == context->device) own.push_back(allocation);
    }
    for (const AllocationPtr& allocation : own) release(w, allocation);
    std::erase_if(w.events.items, [&](const auto& item) { return item.second->context == context; });
    std::erase_if(w.modules.items, [&](const auto& item) { return item.second->context == context; });
    std::erase_if(w.functions.items, [&](const auto& item) { return item.second->module->context == context; });
    std::erase_if(w.execs.items, [&](const auto& item) { return item.second->context == context; });
    w.contexts.remove(context->handle);
    w.devices[static_cast<std::size_t>(context->device)].context = nullptr;
}

}  // namespace

World& world() {
    World* w = the_world.load(std::memory_order_acquire);
    if (w != nullptr) return *w;
    const std::lock_guard lock(world_mutex);
    w = the_world.load(std::memory_order_relaxed);
    if (w == nullptr) the_world.store(w = new World, std::memory_order_release);
    return *w;
}

std::uint64_t new_handle() {
    static std::atomic<std::uint64_t> next{0x10000};
    return next.fetch_add(16, std::memory_order_relaxed);
}

}  // namespace cuda_on_cpu::driver

using namespace cuda_on_cpu::driver;

CUresult cuInit(unsigned flags) {
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    World& w = world();
    Lock lock(w);
    if (!w.is_initialised) {
        w.options = read_options();
        // Kernels tell of their accesses in the checked build only.
        w.hazards.is_on = w.options.finds_hazards && cuda_on_cpu::observer != nullptr;
        w.fail_allocation = w.options.fail_allocation;
        w.fail_launch = w.options.fail_launch;
        w.fail_launch_kind = w.options.fail_launch_kind;
        for (const int physical : w.options.devices) {
            Device device;
            device.physical = physical;
            w.devices.push_back(device);
        }
    }
    if (w.devices.empty()) return CUDA_ERROR_NO_DEVICE;
    w.is_initialised = true;
    return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int* version) {
    if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
    World& w = world();
    Lock lock(w);
    *version = w.is_initialised ? w.options.driver_version : read_options().driver_version;
    return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char** name) {
    const Named* const found = named(error);
    if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *name = found == nullptr ? nullptr : found->name;
    return found == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char** text) {
    const Named* const found = named(error);
    if (text == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *text = found == nullptr ? nullptr : found->text;
    return found == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int* count) {
    return with_driver([&](World& w, Lock&) {
        if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
        *count = static_cast<int>(w.devices.size());
        return CUDA_SUCCESS;
    });
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    return with_driver([&](World& w, Lock&) {
        if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
        if (!is_device(w, ordinal)) return CUDA_ERROR_INVALID_DEVICE;
        *device = ordinal;
        return CUDA_SUCCESS;
    });
}

CUresult cuDeviceGetName(char* name, int bytes, CUdevice device) {
    return with_driver([&](World& w, Lock&) {
        if (name == nullptr || bytes <= 0) return CUDA_ERROR_INVALID_VALUE;
        if (!is_device(w, device)) return CUDA_ERROR_INVALID_DEVICE;
        std::snprintf(name, static_cast<std::size_t>(bytes), "CUDA on CPU");
        return CUDA_SUCCESS;
    });
}

CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
    return with_driver([&](World& w, Lock&) {
        if (uuid == nullptr) return CUDA_ERROR_INVALID_VALUE;
        if (!is_device(w, device)) return CUDA_ERROR_INVALID_DEVICE;
        uuid_of(w.devices[static_cast<std::size_t>(device)].physical, uuid->bytes);
        return CUDA_SUCCESS;
    });
}

CUresult cuDeviceGetPCIBusId(char* text, int bytes, CUdevice device) {
    return with_driver([&](World& w, Lock&) {
        if (text == nullptr || bytes < 13) return CUDA_ERROR_INVALID_VALUE;
        if (!is_device(w, device)) return CUDA_ERROR_INVALID_DEVICE;
        std::snprintf(text, static_cast<std::size_t>(bytes), "0000:%02X:00.0",
                      static_cast<unsigned>(w.devices[static_cast<std::size_t>(device)].physical + 1) & 0xff);
        return CUDA_SUCCESS;
    });
}

CUresult cuDeviceGetAttribute(int* value, int which, CUdevice device) {
    return with_driver([&](World& w, Lock&) {
        if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
        if (!is_device(w, device)) return CUDA_ERROR_INVALID_DEVICE;
        bool is_known;
        *value = attribute(w, device, which, is_known);
        return is_known ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    });
}

CUresult cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice device) {
    return with_driver([&](World& w, Lock&) {
        if (bytes == nullptr) return CUDA_ERROR_INVALID_VALUE;
        if (!is_device(w, device)) return CUDA_ERROR_INVALID_DEVICE;
        *bytes = w.options.memory_bytes;
        return CUDA_SUCCESS;
    });
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* result, CUdevice ordinal) {
    return with_driver([&](World& w, Lock&) {
        if (result == nullptr) return CUDA_ERROR_INVALID_VALUE;
        if (!is_device(w, ordinal)) return CUDA_ERROR_INVALID_DEVICE;
        Device& device = w.devices[static_cast<std::size_t>(ordinal)];
        if (device.is_lost) return CUDA_ERROR_UNKNOWN;
        if (device.retains++ == 0) {
            auto context = std::make_shared<Context>();
            context->handle = new_handle();
            context->device = ordinal;
            device.context = context;
            w.contexts.add(context);
            context->legacy = create_stream(w, context, 0, 0);
        }
        *result = reinterpret_cast<CUcontext>(device.context->handle);
        return CUDA_SUCCESS;
    });
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice ordinal) {
    return with_driver([&](World& w, Lock&) {
        if (!is_device(w, ordinal)) return CUDA_ERROR_INVALID_DEVICE;
        Device& device = w.devices[static_cast<std::size_t>(ordinal)];
        if (device.retains == 0) return CUDA_ERROR_INVALID_CONTEXT;
        if (--device.retains == 0) destroy(w, ContextPtr(device.context));
        return CUDA_SUCCESS;
    });
}

CUresult cuDeviceCanAccessPeer(int* can, CUdevice device, CUdevice peer) {
    return with_driver([&](World& w, Lock&) {
        if (can == nullptr) return CUDA_ERROR_INVALID_VALUE;
        if (!is_device(w, device) || !is_device(w, peer)) return CUDA_ERROR_INVALID_DEVICE;
        *can = w.options.has_peers && device != peer ? 1 : 0;
        return CUDA_SUCCESS;
    });
}

CUresult cuCtxSetCurrent(CUcontext context) {
    return with_driver([&](World& w, Lock&) {
        if (context != nullptr && w.contexts.find(context) == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
        current_context = reinterpret_cast<std::uint64_t>(context);
        return CUDA_SUCCESS;
    });
}

CUresult cuCtxGetCurrent(CUcontext* context) {
    return with_driver([&](World&, Lock&) {
        if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
        *context = reinterpret_cast<CUcontext>(current_context);
        return CUDA_SUCCESS;
    });
}

CUresult cuCtxSynchronize() {
    return with_context([&](World& w, Lock& lock, const ContextPtr& context) -> CUresult {
        if (const CUresult refused = refuse_in_capture(w); refused != CUDA_SUCCESS) return refused;
        const auto streams = context->streams;
        for (const StreamPtr& stream : streams) wait_for(w, lock, stream->tail);
        if (const std::string broken = broken_canaries(w); !broken.empty()) {
            set_fault(w, *context, CUDA_ERROR_ILLEGAL_ADDRESS, broken);
        }
        return context->sticky;
    });
}

CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
    return with_context([&](World&, Lock&, const ContextPtr&) {
        if (least != nullptr) *least = 0;
        if (greatest != nullptr) *greatest = -5;
        return CUDA_SUCCESS;
    });
}

CUresult cuCtxEnablePeerAccess(CUcontext handle, unsigned flags) {
    return with_context([&](World& w, Lock&, const ContextPtr& context) {
        const ContextPtr peer = w.contexts.find(handle);
        if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
        if (peer == nullptr || peer == context) return CUDA_ERROR_INVALID_CONTEXT;
        if (!w.options.has_peers) return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
        return context->peers.insert(peer->device).second ? CUDA_SUCCESS : CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
    });
}

// ---- for tests ----

void cuda_on_cpu_set(const char* name, const char* value) { set_variable(name, value); }

void cuda_on_cpu_restart() {
    const std::lock_guard outer(world_mutex);
    World* const old = the_world.load(std::memory_order_relaxed);
    if (old != nullptr) {
        Lock lock(*old);
        old->is_abandoned = true;
        old->done.notify_all();
        for (const auto& [handle, context] : old->contexts.items) {
            for (const StreamPtr& stream : context->streams) stream->work.notify_all();
        }
        // What runs ends first: it may use the memory. What never ends keeps it.
        const bool is_idle =
            old->done.wait_for(lock.lock, std::chrono::seconds(5), [&] { return old->running == 0; });
        if (is_idle) old->allocations.clear();
    }
    // The old one stays: its threads may still look at it.
    the_world.store(new World, std::memory_order_release);
}

const char* cuda_on_cpu_fault() {
    thread_local std::string text;
    World& w = world();
    Lock lock(w);
    text = w.fault;
    return text.c_str();
}

void cuda_on_cpu_fail_allocation(std::uint64_t n) {
    World& w = world();
    Lock lock(w);
    w.fail_allocation = n;
}

void cuda_on_cpu_limit_memory(std::uint64_t bytes) {
    World& w = world();
    Lock lock(w);
    w.memory_limit = bytes;
}

void cuda_on_cpu_fail_launch(std::uint64_t n, int kind) {
    World& w = world();
    Lock lock(w);
    w.fail_launch = n;
    w.fail_launch_kind = kind;
}

void cuda_on_cpu_lose_device(int device) {
    World& w = world();
    Lock lock(w);
    if (!is_device(w, device)) return;
    Device& lost = w.devices[static_cast<std::size_t>(device)];
    lost.is_lost = true;
    if (lost.context != nullptr) set_fault(w, *lost.context, CUDA_ERROR_UNKNOWN, "the device is lost");
    w.done.notify_all();
}

void cuda_on_cpu_wedge(CUstream handle) {
    World& w = world();
    Lock lock(w);
    if (const StreamPtr stream = w.streams.find(handle)) stream->is_wedged = true;
}

std::uint64_t cuda_on_cpu_kernels() { return world().kernels; }

std::uint64_t cuda_on_cpu_used(int device) {
    World& w = world();
    Lock lock(w);
    return is_device(w, device) ? w.devices[static_cast<std::size_t>(device)].used : 0;
}
