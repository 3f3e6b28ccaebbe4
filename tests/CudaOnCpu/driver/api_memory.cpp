// Memory, copies, memsets.
#include <cstring>

#include "api.h"
#include "arena.h"

namespace cuda_on_cpu::driver {

namespace {

// What of a copy's side lies in memory that the double has given out or registered.
struct Side {
    bool is_whole = true;  // false: begins in an allocation and leaves it
    AllocationPtr allocation;
};

Side side_of(World& w, const void* at, std::size_t bytes) {
    Side side;
    side.allocation = allocation_at(w, at);
    if (side.allocation != nullptr) side.is_whole = side.allocation->holds(static_cast<const char*>(at), bytes);
    return side;
}

// Host memory is pinned or pageable as a whole.
CUresult copy(World& w, Lock& lock, const StreamPtr& stream, Work work, bool is_from_host, bool is_to_host, bool is_synchronous) {
    work.kind = Work::Kind::copy;
    work.context = stream->context;
    if (work.width == 0 || work.height == 0) return CUDA_SUCCESS;
    if (work.target_pitch == 0) work.target_pitch = work.width;
    if (work.source_pitch == 0) work.source_pitch = work.width;
    if (work.target_pitch < work.width || work.source_pitch < work.width) return CUDA_ERROR_INVALID_VALUE;
    const std::size_t target_bytes = (work.height - 1) * work.target_pitch + work.width;
    const std::size_t source_bytes = (work.height - 1) * work.source_pitch + work.width;
    if (work.target == nullptr || work.source == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const Side target = side_of(w, work.target, target_bytes), source = side_of(w, work.source, source_bytes);
    if (!target.is_whole || !source.is_whole) return CUDA_ERROR_INVALID_VALUE;
    if (!is_to_host && target.allocation == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!is_from_host && source.allocation == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const bool from_pageable = source.allocation == nullptr, to_pageable = target.allocation == nullptr;
    if (stream->capture != nullptr && (from_pageable || to_pageable)) {
        stream->capture->is_invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    if (from_pageable) {
        // CUDA Driver API, "API synchronization behavior": the call returns once the bytes are in a staging buffer.
        const Seen seen;
        work.staged = std::make_shared<std::vector<char>>(work.source, work.source + source_bytes);
    }
    work.flags = (target.allocation != nullptr ? 1u : 0u) | (source.allocation != nullptr ? 2u : 0u);
    SignalPtr finished;
    if (const CUresult result = submit(w, stream, std::move(work), &finished); result != CUDA_SUCCESS) return result;
    if (to_pageable || (is_synchronous && !from_pageable)) {
        wait_for(w, lock, finished);
        return stream->context->sticky;
    }
    return CUDA_SUCCESS;
}

Work row(CUdeviceptr target, CUdeviceptr source, std::size_t bytes) {
    Work work;
    work.target = static_cast<char*>(arena_host_view(reinterpret_cast<void*>(target)));
    work.source = static_cast<const char*>(arena_host_view(reinterpret_cast<void*>(source)));
    work.width = bytes;
    return work;
}

CUdeviceptr number(const void* pointer) { return reinterpret_cast<CUdeviceptr>(pointer); }

// A copy on the legacy default stream, which waits for all blocking streams of the context, and they for it.
CUresult copy_now(CUdeviceptr target, CUdeviceptr source, std::size_t bytes, bool is_from_host) {
    return with_context([&](World& w, Lock& lock, const ContextPtr& context) -> CUresult {
        if (const CUresult refused = refuse_in_capture(w); refused != CUDA_SUCCESS) return refused;
        for (const StreamPtr& stream : context->streams) {
            if (stream->is_blocking && stream->capture != nullptr) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
        }
        return copy(w, lock, context->legacy, row(target, source, bytes), is_from_host, !is_from_host, true);
    });
}

CUresult copy_async(CUdeviceptr target, CUdeviceptr source, std::size_t bytes, CUstream handle, bool is_from_host, bool is_to_host) {
    return with_context([&](World& w, Lock& lock, const ContextPtr&) -> CUresult {
        StreamPtr stream;
        if (const CUresult result = find_stream(w, handle, stream); result != CUDA_SUCCESS) return result;
        return copy(w, lock, stream, row(target, source, bytes), is_from_host, is_to_host, false);
    });
}

CUresult set(CUdeviceptr target, std::uint32_t value, std::size_t count, std::uint32_t element_bytes, CUstream handle) {
    return with_context([&](World& w, Lock&, const ContextPtr&) -> CUresult {
        StreamPtr stream;
        if (const CUresult result = find_stream(w, handle, stream); result != CUDA_SUCCESS) return result;
        if (count == 0) return CUDA_SUCCESS;
        Work work = row(target, 0, count * element_bytes);
        const Side side = side_of(w, work.target, work.width);
        if (target % element_bytes != 0 || side.allocation == nullptr || !side.is_whole) return CUDA_ERROR_INVALID_VALUE;
        work.kind = Work::Kind::set;
        work.context = stream->context;
        work.value = value;
        work.element_bytes = element_bytes;
        return submit(w, stream, std::move(work));
    });
}

CUresult memory_operation(Work::Kind kind, CUstream handle, CUdeviceptr at, std::uint32_t value, unsigned flags) {
    return with_context([&](World& w, Lock&, const ContextPtr&) -> CUresult {
        StreamPtr stream;
        if (const CUresult result = find_stream(w, handle, stream); result != CUDA_SUCCESS) return result;
        Work work = row(at, 0, 4);
        const Side side = side_of(w, work.target, 4);
        if (at % 4 != 0 || side.allocation == nullptr || !side.is_whole) return CUDA_ERROR_INVALID_VALUE;
        work.kind = kind;
        work.context = stream->context;
        work.value = value;
        work.flags = flags;
        return submit(w, stream, std::move(work));
    });
}

// One side of a two-dimensional copy as a pointer; false if the double has no such memory.
bool resolve(CUmemorytype type, const void* host, CUdeviceptr device, std::size_t x, std::size_t y, std::size_t pitch,
             CUdeviceptr& at, bool& is_host) {
    if (type == CU_MEMORYTYPE_HOST) {
        at = number(host);
        is_host = true;
    } else if (type == CU_MEMORYTYPE_DEVICE || type == CU_MEMORYTYPE_UNIFIED) {
        at = device;
        is_host = type == CU_MEMORYTYPE_UNIFIED;
    } else {
        return false;
    }
    at += y * pitch + x;
    return true;
}

}  // namespace

}  // namespace cuda_on_cpu::driver

using namespace cuda_on_cpu::driver;

CUresult cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
    return with_context([&](World& w, Lock&, const ContextPtr& context) {
        if (free == nullptr || total == nullptr) return CUDA_ERROR_INVALID_VALUE;
        *total = w.options.memory_bytes;
        *free = w.options.memory_bytes - w.devices[static_cast<std::size_t>(context->device)].used;
        return CUDA_SUCCESS;
    });
}

CUresult cuMemAlloc_v2(CUdeviceptr* pointer, std::size_t bytes) {
    return with_context([&](World& w, Lock&, const ContextPtr& context) -> CUresult {
        if (pointer == nullptr) return CUDA_ERROR_INVALID_VALUE;
        if (const CUresult refused = refuse_in_capture(w); refused != CUDA_SUCCESS) return refused;
        AllocationPtr allocation;
        const CUresult result = allocate_device(w, *context, bytes, allocation);
        if (result == CUDA_SUCCESS) *pointer = number(allocation->base);
        return result;
    });
}

CUresult cuMemFree_v2(CUdeviceptr pointer) {
    return with_context([&](World& w, Lock&, const ContextPtr& context) -> CUresult {
        if (const CUresult refused = refuse_in_capture(w); refused != CUDA_SUCCESS) return refused;
        if (pointer == 0) return CUDA_SUCCESS;
        const AllocationPtr allocation = allocation_at(w, reinterpret_cast<const void*>(pointer));
        if (allocation == nullptr || allocation->device < 0 || number(allocation->base) != pointer) return CUDA_ERROR_INVALID_VALUE;
        const std::string broken = allocation->broken();
        if (!broken.empty()) set_fault(w, *context, CUDA_ERROR_ILLEGAL_ADDRESS, broken);
        release(w, allocation);
        return context->sticky;
    });
}

CUresult cuMemHostAlloc(void** pointer, std::size_t bytes, unsigned flags) {
    return with_context([&](World& w, Lock&, const ContextPtr&) -> CUresult {
        if (pointer == nullptr || (flags & ~7u) != 0) return CUDA_ERROR_INVALID_VALUE;
        if (const CUresult refused = refuse_in_capture(w); refused != CUDA_SUCCESS) return refused;
        AllocationPtr allocation;
        const CUresult result = allocate_host(w, bytes, allocation);
        if (result == CUDA_SUCCESS) *pointer = allocation->base;
        return result;
    });
}

CUresult cuMemFreeHost(void* pointer) {
    return with_context([&](World& w, Lock&, const ContextPtr& context) -> CUresult {
        if (const CUresult refused = refuse_in_capture(w); refused != CUDA_SUCCESS) return refused;
        if (pointer == nullptr) return CUDA_SUCCESS;
        const AllocationPtr allocation = allocation_at(w, pointer);
        if (allocation == nullptr || allocation->device >= 0 || allocation->mapping == nullptr || allocation->base != pointer) {
            return CUDA_ERROR_INVALID_VALUE;
        }
        const std::string broken = allocation->broken();
        if (!broken.empty()) set_fault(w, *context, CUDA_ERROR_ILLEGAL_ADDRESS, broken);
        release(w, allocation);
        return context->sticky;
    });
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* device, void* host, unsigned flags) {
    return with_context([&](World& w, Lock&, const ContextPtr&) {
        const AllocationPtr allocation = allocation_at(w, host);
        if (device == nullptr || flags != 0 || allocation == nullptr || allocation->device >= 0) return CUDA_ERROR_INVALID_VALUE;
        *device = number(allocation->device_view + (static_cast<char*>(host) - allocation->base));
        return CUDA_SUCCESS;
    });
}

CUresult cuMemHostRegister_v2(void* pointer, std::size_t bytes, unsigned flags) {
    return with_context([&](World& w, Lock&, const ContextPtr&) -> CUresult {
        if (pointer == nullptr || bytes == 0 || (flags & ~15u) != 0) return CUDA_ERROR_INVALID_VALUE;
        if (const CUresult refused = refuse_in_capture(w); refused != CUDA_SUCCESS) return refused;
        return register_host(w, static_cast<char*>(pointer), bytes);
    });
}

CUresult cuMemHostUnregister(void* pointer) {
    return with_context([&](World& w, Lock&, const ContextPtr&) -> CUresult {
        if (const CUresult refused = refuse_in_capture(w); refused != CUDA_SUCCESS) return refused;
        const AllocationPtr allocation = allocation_at(w, pointer);
        if (allocation == nullptr || allocation->mapping != nullptr || allocation->base != pointer) {
            return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
        }
        release(w, allocation);
        return CUDA_SUCCESS;
    });
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr target, const void* source, std::size_t bytes) {
    return copy_now(target, number(source), bytes, true);
}

CUresult cuMemcpyDtoH_v2(void* target, CUdeviceptr source, std::size_t bytes) {
    return copy_now(number(target), source, bytes, false);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr target, const void* source, std::size_t bytes, CUstream stream) {
    return copy_async(target, number(source), bytes, stream, true, false);
}

CUresult cuMemcpyDtoHAsync_v2(void* target, CUdeviceptr source, std::size_t bytes, CUstream stream) {
    return copy_async(number(target), source, bytes, stream, false, true);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr target, CUdeviceptr source, std::size_t bytes, CUstream stream) {
    return copy_async(target, source, bytes, stream, false, false);
}

CUresult cuMemcpyPeerAsync(CUdeviceptr target, CUcontext target_context, CUdeviceptr source, CUcontext source_context,
                           std::size_t bytes, CUstream handle) {
    return with_context([&](World& w, Lock& lock, const ContextPtr&) -> CUresult {
        StreamPtr stream;
        if (const CUresult result = find_stream(w, handle, stream); result != CUDA_SUCCESS) return result;
        const ContextPtr to = w.contexts.find(target_context), from = w.contexts.find(source_context);
        if (to == nullptr || from == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
        const Work work = row(target, source, bytes);
        const AllocationPtr into = allocation_at(w, work.target), out_of = allocation_at(w, work.source);
        if (into == nullptr || into->device != to->device || out_of == nullptr || out_of->device != from->device) {
            return CUDA_ERROR_INVALID_VALUE;
        }
        return copy(w, lock, stream, work, false, false, false);
    });
}

CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* given, CUstream handle) {
    return with_context([&](World& w, Lock& lock, const ContextPtr&) -> CUresult {
        StreamPtr stream;
        if (const CUresult result = find_stream(w, handle, stream); result != CUDA_SUCCESS) return result;
        CUdeviceptr target, source;
        bool is_to_host, is_from_host;
        if (given == nullptr ||
            !resolve(given->srcMemoryType, given->srcHost, given->srcDevice, given->srcXInBytes, given->srcY, given->srcPitch,
                     source, is_from_host) ||
            !resolve(given->dstMemoryType, given->dstHost, given->dstDevice, given->dstXInBytes, given->dstY, given->dstPitch,
                     target, is_to_host)) {
            return CUDA_ERROR_INVALID_VALUE;
        }
        Work work = row(target, source, given->WidthInBytes);
        work.height = given->Height;
        work.target_pitch = given->dstPitch;
        work.source_pitch = given->srcPitch;
        return copy(w, lock, stream, std::move(work), is_from_host, is_to_host, false);
    });
}

CUresult cuMemsetD8Async(CUdeviceptr target, unsigned char value, std::size_t count, CUstream stream) {
    return set(target, value, count, 1, stream);
}

CUresult cuMemsetD32Async(CUdeviceptr target, unsigned value, std::size_t count, CUstream stream) {
    return set(target, value, count, 4, stream);
}

CUresult cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr at, std::uint32_t value, unsigned flags) {
    if ((flags & ~3u) != 0) return (flags & CU_STREAM_WAIT_VALUE_FLUSH) != 0 ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
    return memory_operation(Work::Kind::wait_value, stream, at, value, flags);
}

CUresult cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr at, std::uint32_t value, unsigned flags) {
    if ((flags & ~1u) != 0) return CUDA_ERROR_INVALID_VALUE;
    return memory_operation(Work::Kind::write_value, stream, at, value, flags);
}
