// Makes what tests allocate with new (vectors, above all) memory that kernels may touch, to the byte: the checked build knows
// no other host memory.
#include <cstdlib>
#include <new>

#include "arena.h"
#include "executor.h"

namespace {

// Allocations of the arena itself and of what watches kernels are not for kernels.
bool is_for_kernels() { return !cuda_on_cpu::arena_is_busy() && cuda_on_cpu::current == nullptr; }

void* allocate(std::size_t bytes) {
    // A gap behind it, so that neighbours on the heap do not look like its continuation.
    void* const memory = std::malloc(bytes + 32);
    if (memory == nullptr) std::abort();
    if (is_for_kernels()) cuda_on_cpu::arena_add_host(memory, bytes, "a heap block");
    return memory;
}

void release(void* memory) {
    if (memory != nullptr && !cuda_on_cpu::arena_is_busy()) cuda_on_cpu::arena_remove(memory);
    std::free(memory);
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes); }
void* operator new[](std::size_t bytes) { return allocate(bytes); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }
