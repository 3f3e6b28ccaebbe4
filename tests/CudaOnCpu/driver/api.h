// What every function of the API begins with.
#pragma once
#include "world.h"

namespace cuda_on_cpu::driver {

// The calling thread's context: a handle, which may be stale.
extern thread_local std::uint64_t current_context;

template <typename Do>
CUresult with_driver(Do act) {
    World& w = world();
    Lock lock(w);
    if (!w.is_initialised) return CUDA_ERROR_NOT_INITIALIZED;
    return act(w, lock);
}

// Fails with the context's fault if it has one.
template <typename Do>
CUresult with_context(Do act) {
    return with_driver([&](World& w, Lock& lock) -> CUresult {
        const ContextPtr context = w.contexts.find(current_context);
        if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
        if (context->sticky != CUDA_SUCCESS) return context->sticky;
        return act(w, lock, context);
    });
}

// The default streams are no part of the double: nothing of ours may use them.
inline CUresult find_stream(World& w, CUstream handle, StreamPtr& stream) {
    stream = w.streams.find(handle);
    if (stream == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    return stream->context->sticky;
}

// What the compute capability gives: shared memory of a block that asks for it, warps and blocks of a multiprocessor (CUDA C++
// Programming Guide, "Technical Specifications per Compute Capability").
inline int compute_capability(const Options& options) { return options.cc_major * 10 + options.cc_minor; }
inline int shared_optin(const Options& options) {
    const int cc = compute_capability(options);
    return (cc >= 90 ? 227 : cc == 80 || cc == 87 ? 163 : 99) << 10;
}
inline int warps_max(const Options& options) {
    const int cc = compute_capability(options);
    return cc == 86 || cc == 87 || cc == 89 ? 48 : 64;
}
inline int blocks_max(const Options& options) {
    const int cc = compute_capability(options);
    return cc == 86 || cc == 87 ? 16 : cc == 89 ? 24 : 32;
}

// For calls that wait, allocate or ask: illegal beside a capture that forbids them, and they end it.
CUresult refuse_in_capture(World& w);

}  // namespace cuda_on_cpu::driver
