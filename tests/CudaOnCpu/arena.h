// The memory that kernels may touch: what the double's allocator has handed out, to the byte. The allocator adds and
// removes ranges; faults name them, and the checked build holds every access against them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace cuda_on_cpu {

enum class MemoryKind { device, host };

struct Range {
    std::uintptr_t begin = 0;
    std::size_t bytes = 0;  // exactly what was asked for
    MemoryKind kind = MemoryKind::device;
    std::string label;                 // for texts: "allocation 7 on device 1"
    unsigned char* written = nullptr;  // one byte a byte, not 0 once written; null where nobody looks

    std::uintptr_t end() const { return begin + bytes; }
};

// Device memory, whose bytes are unwritten until a kernel, arena_written or arena_copied says otherwise.
void arena_add_device(void* begin, std::size_t bytes, const std::string& label);

// Host memory that kernels may use by this address: pinned and mapped, or registered. Counts as written.
void arena_add_host(void* begin, std::size_t bytes, const std::string& label);

// Host memory that kernels use by another address. Under the weak memory model (arena_is_weak) the allocator makes
// `device_view` a copy of its own, as large: what kernels store there, the host sees after a fence, a release or the
// kernel's end, and no sooner; what the host stores, kernels see after an acquire or at their start.
void arena_add_mapped(void* device_view, void* host_view, std::size_t bytes, const std::string& label);

// Any of the above. A kernel that touches it later faults.
void arena_remove(void* begin);

// Where the host has what a kernel knows by this address: for copies, memsets and stream memory operations.
void* arena_host_view(void* address);

// The host has written device memory (copies from the host, memsets). No effect outside of ranges.
void arena_written(const void* begin, std::size_t bytes);

// A copy from device to device: what was unwritten there is unwritten here.
void arena_copied(const void* target, const void* source, std::size_t bytes);

// The range that has the address, or that with the nearest end below it or start above it if `near`. False if none.
bool arena_find(const void* address, Range& range, bool near = false);

// "allocation 7 on device 1 + 24", or what is known about an address outside of all.
std::string arena_describe(const void* address);

// Changes whenever a range comes or goes, so that what was found may be kept.
std::uint64_t arena_generation();

// CUDA_ON_CPU_MEMORY=weak, in the checked build.
bool arena_is_weak();

// Whether the calling thread is in one of these functions.
bool arena_is_busy();

// From now on, ranges of device memory know which of their bytes were written.
void arena_track_writes();

}  // namespace cuda_on_cpu
