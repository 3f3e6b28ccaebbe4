// Who watches a launch: nobody in the plain build, checked/ in the checked one.
#pragma once
#include <cstddef>
#include <cstdint>

namespace cuda_on_cpu {

struct Observer {
    virtual ~Observer() = default;

    virtual void launch_starts() = 0;
    virtual void launch_ends() = 0;
    virtual void block_starts() = 0;
    virtual void shared_defined(const char* name, const void* begin, std::size_t bytes) = 0;

    // Called on a fiber, before it happens.
    virtual void reads(const void* from, std::size_t bytes) = 0;
    virtual void writes(void* to, std::size_t bytes) = 0;
    virtual void updates_atomically(void* at, std::size_t bytes) = 0;
    virtual void loads_atomically(const void* at, std::size_t bytes) = 0;
    virtual void stores_atomically(void* at, std::size_t bytes) = 0;
    virtual void fences(bool is_system) = 0;
    virtual void starts_copy(void* to, std::size_t bytes) = 0;
    virtual void ends_copy(void* to, std::size_t bytes) = 0;

    // Called by the scheduler: lanes of a warp met; they met at a barrier, which orders memory; a barrier of the block let
    // these warps go on.
    virtual void warp_met(std::uint32_t warp) = 0;
    virtual void warp_ordered(std::uint32_t warp) = 0;
    virtual void barrier_passed(std::uint32_t warps) = 0;
};

extern Observer* observer;

// What a launch does to memory that other operations of the device may use: called by the observer, on a fiber, for each
// access outside of the block's own memory. Ends the kernel if nothing orders the access behind those that it conflicts
// with, or if the memory is another device's (driver/hazards.cpp).
void note_access(const void* at, std::size_t bytes, bool writes, bool is_atomic);

}  // namespace cuda_on_cpu
