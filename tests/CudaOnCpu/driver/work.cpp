// What an operation does to memory.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "arena.h"
#include "world.h"

namespace cuda_on_cpu::driver {

namespace {

std::size_t extent(const Work& work, std::size_t pitch) { return (work.height - 1) * pitch + work.width; }

void fail(World& w, const Work& work, CUresult code, const std::string& text) {
    Lock lock(w);
    set_fault(w, *work.context, code, text);
}

// Keeps what an operation touches mapped until it has ended. Copies and memsets were checked when they were submitted;
// meanwhile the memory may have been freed.
bool hold(World& w, const void* at, std::size_t bytes, bool is_device, AllocationPtr& held) {
    Lock lock(w);
    held = allocation_at(w, at);
    if (held == nullptr) return !is_device;
    return held->holds(static_cast<const char*>(at), bytes);
}

// False if the operation must not go on: nothing orders it behind another one.
bool touch(Operation& operation, Allocation& allocation, const void* at, std::size_t bytes, bool writes, bool is_atomic = false) {
    const std::string missing = operation.access(allocation, at, bytes, writes, is_atomic);
    if (!missing.empty()) fail(operation.world, operation.work, CUDA_ERROR_LAUNCH_FAILED, missing);
    return missing.empty();
}

void run_copy(World& w, Operation& operation) {
    const Work& work = operation.work;
    AllocationPtr target, source;
    const char* const from = work.staged != nullptr ? work.staged->data() : work.source;
    const bool is_whole = hold(w, work.target, extent(work, work.target_pitch), (work.flags & 1) != 0, target) &&
                          (work.staged != nullptr || hold(w, from, extent(work, work.source_pitch), (work.flags & 2) != 0, source));
    if (!is_whole) return fail(w, work, CUDA_ERROR_ILLEGAL_ADDRESS, "a copy met memory that was freed before it ran");
    for (std::size_t row = 0; row < work.height; ++row) {
        char* const into = work.target + row * work.target_pitch;
        const char* const out_of = from + row * work.source_pitch;
        if (source != nullptr && !touch(operation, *source, out_of, work.width, false)) return;
        if (target != nullptr && !touch(operation, *target, into, work.width, true)) return;
        {
            const Seen seen;
            std::memcpy(into, out_of, work.width);
        }
        if (source != nullptr && source->device >= 0) {
            arena_copied(into, out_of, work.width);
        } else {
            arena_written(into, work.width);
        }
    }
}

void run_set(World& w, Operation& operation) {
    const Work& work = operation.work;
    AllocationPtr target;
    if (!hold(w, work.target, work.width, true, target)) {
        return fail(w, work, CUDA_ERROR_ILLEGAL_ADDRESS, "a memset met memory that was freed before it ran");
    }
    if (!touch(operation, *target, work.target, work.width, true)) return;
    arena_written(work.target, work.width);
    const Seen seen;
    if (work.element_bytes == 1) {
        std::memset(work.target, static_cast<int>(work.value), work.width);
    } else {
        std::fill_n(reinterpret_cast<std::uint32_t*>(work.target), work.width / 4, work.value);
    }
}

bool is_reached(std::uint32_t now, std::uint32_t value, std::uint32_t flags) {
    switch (flags & 3) {
        case CU_STREAM_WAIT_VALUE_GEQ: return static_cast<std::int32_t>(now - value) >= 0;
        case CU_STREAM_WAIT_VALUE_EQ: return now == value;
        case CU_STREAM_WAIT_VALUE_AND: return (now & value) != 0;
        default: return ~(now | value) != 0;
    }
}

void run_wait(World& w, Operation& operation) {
    const Work& work = operation.work;
    AllocationPtr target;
    if (!hold(w, work.target, 4, true, target)) {
        return fail(w, work, CUDA_ERROR_ILLEGAL_ADDRESS, "a wait for a value met memory that was freed before it ran");
    }
    const auto* const at = reinterpret_cast<std::uint32_t*>(work.target);
    for (std::uint64_t tries = 0;; ++tries) {
        {
            const Seen seen;
            if (is_reached(__atomic_load_n(at, __ATOMIC_ACQUIRE), work.value, work.flags)) break;
        }
        if (tries < 200) {
            __builtin_ia32_pause();
        } else if (tries < 2000) {
            std::this_thread::yield();
        } else {
            usleep(50);
        }
        if (tries % 256 != 255) continue;
        Lock lock(w);
        if (w.is_abandoned || work.context->sticky != CUDA_SUCCESS) return;
        // Another stream may be what writes the value.
        demand_all(w);
    }
    operation.acquire(at);
    touch(operation, *target, at, 4, false, true);
}

void run_write(World& w, Operation& operation) {
    const Work& work = operation.work;
    AllocationPtr target;
    if (!hold(w, work.target, 4, true, target)) {
        return fail(w, work, CUDA_ERROR_ILLEGAL_ADDRESS, "a write of a value met memory that was freed before it ran");
    }
    if (!touch(operation, *target, work.target, 4, true, true)) return;
    arena_written(work.target, 4);
    operation.release(work.target);
    const Seen seen;
    __atomic_store_n(reinterpret_cast<std::uint32_t*>(work.target), work.value, __ATOMIC_RELEASE);
}

bool is_stubbed(const World& w, const Kernel& kernel) {
    if (!w.options.is_stub) return false;
    return std::none_of(w.options.stub_except.begin(), w.options.stub_except.end(),
                        [&](const std::string& name) { return name == kernel.name; });
}

void run_kernel(World& w, const Work& work) {
    const std::uint64_t number = ++w.kernels;
    if (is_stubbed(w, *work.kernel)) return;
    int wrong = 0;
    {
        Lock lock(w);
        if (w.fail_launch != 0 && w.fail_launch_kind != 0 && --w.fail_launch == 0) wrong = w.fail_launch_kind;
    }
    if (wrong != 0) {
        return fail(w, work, wrong == 2 ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_ERROR_LAUNCH_FAILED,
                    std::string("asked to fail: ") + work.kernel->name);
    }
    Schedule schedule;
    if (w.options.timing == Timing::random) {
        schedule.order = Order::random;
        schedule.seed = w.options.seed * 0x9e3779b97f4a7c15u + number;
    }
    schedule.stop = &work.context->stop;
    std::string fault;
    {
        const Seen seen;
        fault = launch(*work.kernel, work.grid, work.args.data(), schedule);
    }
    if (fault.empty()) return;
    fail(w, work, fault.find("illegal address") != std::string::npos ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_ERROR_LAUNCH_FAILED,
         fault);
}

}  // namespace

void run_work(World& w, const Work& work, std::uint32_t actor, Clock& clock) {
    if (work.context->sticky != CUDA_SUCCESS) return;
    Operation operation(w, work, actor, clock);
    switch (work.kind) {
        case Work::Kind::empty: return;
        case Work::Kind::kernel: return run_kernel(w, work);
        case Work::Kind::copy: return run_copy(w, operation);
        case Work::Kind::set: return run_set(w, operation);
        case Work::Kind::wait_value: return run_wait(w, operation);
        case Work::Kind::write_value: return run_write(w, operation);
    }
}

}  // namespace cuda_on_cpu::driver
