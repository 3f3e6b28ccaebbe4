// The language of our kernels (src/GpuPrefill/Kernels/device.cuh), defined for the CPU: every CUDA thread is a fiber, and
// what a warp or a block does together is a meeting of fibers. Included by device.cuh in place of its ptx/ folder.
#pragma once
#include <cstddef>
#include <cstring>

#include "executor.h"

#define DEVICE inline
// What stands here is the double's own: its accesses are no accesses of the kernel.
#define COC_OWN __attribute__((no_sanitize("thread", "undefined"))) inline
#define KERNEL(name, Args, threads)                                                                        \
    static void name##_body(const Args& args);                                                             \
    static const cuda_on_cpu::Kernel name##_kernel{#name, sizeof(Args), threads, [](const void* given) {   \
                                                       name##_body(*static_cast<const Args*>(given));      \
                                                   }};                                                     \
    static void name##_body([[maybe_unused]] const Args& args)
#define SHARED(Type, name)                                                                                 \
    static const char name##_key = 0;                                                                      \
    typename Same<Type>::As& name = *static_cast<typename Same<Type>::As*>(cuda_on_cpu::shared_variable(   \
        &name##_key, #name, sizeof(typename Same<Type>::As), alignof(typename Same<Type>::As)))
#define DYNAMIC_SHARED(name) u8* const name = static_cast<u8*>(cuda_on_cpu::dynamic_shared())

COC_OWN u32 thread_x() { return cuda_on_cpu::current->thread; }
COC_OWN u32 threads_x() { return cuda_on_cpu::block().threads; }
COC_OWN u32 block_x() { return cuda_on_cpu::block().x; }
COC_OWN u32 block_y() { return cuda_on_cpu::block().y; }
COC_OWN u32 block_z() { return cuda_on_cpu::block().z; }
COC_OWN u32 blocks_x() { return cuda_on_cpu::block().grid_x; }
COC_OWN u32 blocks_y() { return cuda_on_cpu::block().grid_y; }
COC_OWN u32 blocks_z() { return cuda_on_cpu::block().grid_z; }

COC_OWN void sync_block(COC_HERE) { cuda_on_cpu::meet_block(0, cuda_on_cpu::block().threads, here); }
COC_OWN void sync_named(u32 barrier, u32 threads, COC_HERE) { cuda_on_cpu::meet_block(barrier, threads, here); }
COC_OWN void sync_warp(COC_HERE) { cuda_on_cpu::meet_warp(cuda_on_cpu::Meeting::barrier, {}, here); }

namespace on_cpu {
using namespace cuda_on_cpu;
COC_OWN u32 bits_of(float value) {
    u32 bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}
COC_OWN float float_of(u32 bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
// One half of a register as a float.
COC_OWN float half_of(u32 pair, u32 half, bool is_bf16) {
    const u32 bits = half != 0 ? pair >> 16 : pair & 0xffff;
    if (is_bf16) return float_of(bits << 16);
    const auto narrow = static_cast<unsigned short>(bits);
    _Float16 value;
    std::memcpy(&value, &narrow, 2);
    return static_cast<float>(value);
}
// Each lane widens its elements into the warp's tiles, then takes its sums from there. Products of 16-bit numbers are exact
// in float; the sum is taken in double, which is as good as any hardware's order.
COC_OWN void mma(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], bool is_bf16, Site here) {
    Tiles& tiles = next_tiles();
    const u32 l = current->thread % kWarpSize, g = l / 4, q = l % 4;
    for (u32 i = 0; i < 8; ++i) {
        tiles.a[g + i / 2 % 2 * 8][q * 2 + i / 4 * 8 + i % 2] = half_of(a[i / 2], i % 2, is_bf16);
        if (i < 4) tiles.b[g][q * 2 + i / 2 * 8 + i % 2] = half_of(b[i / 2], i % 2, is_bf16);
    }
    meet_warp(Meeting::mma, {}, here);
    for (u32 i = 0; i < 4; ++i) {
        const float* const row = tiles.a[g + i / 2 * 8];
        const float* const column = tiles.b[q * 2 + i % 2];
        double sum = d[i];
        for (u32 k = 0; k < 16; ++k) sum += static_cast<double>(row[k]) * column[k];
        d[i] = static_cast<float>(sum);
    }
}
// Each lane brings the row that it names.
COC_OWN void load_matrices(u32 (&d)[4], const void* row, bool transposed, Site here) {
    Words own;
    load_checked(own.word, row, 16);
    const Words* const lanes = meet_warp(Meeting::load_matrices, own, here);
    const u32 l = current->thread % kWarpSize, g = l / 4, q = l % 4;
    for (u32 m = 0; m < 4; ++m) {
        u32 pair[2];
        for (u32 i = 0; i < 2; ++i) {
            const u32 from = transposed ? 2 * q + i : g, element = transposed ? g : 2 * q + i;
            pair[i] = lanes[m * 8 + from].word[element / 2] >> element % 2 * 16 & 0xffff;
        }
        d[m] = pair[0] | pair[1] << 16;
    }
}
}  // namespace on_cpu

COC_OWN u32 shuffle(u32 value, u32 from, COC_HERE) {
    return cuda_on_cpu::meet_warp(cuda_on_cpu::Meeting::shuffle, value, here)[from % 32].word[0];
}
COC_OWN u32 shuffle_xor(u32 value, u32 mask, COC_HERE) {
    return cuda_on_cpu::meet_warp(cuda_on_cpu::Meeting::shuffle_xor, value, here)[(thread_x() ^ mask) % 32].word[0];
}
COC_OWN u32 shuffle_up(u32 value, u32 delta, COC_HERE) {
    const u32 l = thread_x() % 32;
    return cuda_on_cpu::meet_warp(cuda_on_cpu::Meeting::shuffle_up, value, here)[l < delta ? l : l - delta].word[0];
}
COC_OWN float shuffle(float value, u32 from, COC_HERE) {
    return on_cpu::float_of(shuffle(on_cpu::bits_of(value), from, here));
}
COC_OWN float shuffle_xor(float value, u32 mask, COC_HERE) {
    return on_cpu::float_of(shuffle_xor(on_cpu::bits_of(value), mask, here));
}
COC_OWN float shuffle_up(float value, u32 delta, COC_HERE) {
    return on_cpu::float_of(shuffle_up(on_cpu::bits_of(value), delta, here));
}
COC_OWN u32 warp_max(u32 value, COC_HERE) {
    const cuda_on_cpu::Words* const lanes = cuda_on_cpu::meet_warp(cuda_on_cpu::Meeting::reduce, value, here);
    u32 largest = 0;
    for (u32 i = 0; i < 32; ++i) largest = lanes[i].is_live && lanes[i].word[0] > largest ? lanes[i].word[0] : largest;
    return largest;
}
COC_OWN u32 ballot(bool value, COC_HERE) {
    const cuda_on_cpu::Words* const lanes = cuda_on_cpu::meet_warp(cuda_on_cpu::Meeting::ballot, value ? 1u : 0u, here);
    u32 bits = 0;
    for (u32 i = 0; i < 32; ++i) bits |= (lanes[i].is_live && lanes[i].word[0] != 0 ? 1u : 0u) << i;
    return bits;
}

COC_OWN void mma_bf16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], COC_HERE) {
    on_cpu::mma(d, a, b, true, here);
}
COC_OWN void mma_f16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], COC_HERE) {
    on_cpu::mma(d, a, b, false, here);
}
COC_OWN void load_matrices(u32 (&d)[4], const void* row, COC_HERE) { on_cpu::load_matrices(d, row, false, here); }
using SharedAddress = u64;
COC_OWN SharedAddress shared_address(const void* pointer) { return reinterpret_cast<SharedAddress>(pointer); }
COC_OWN void load_matrices(u32 (&d)[4], SharedAddress row, COC_HERE) {
    on_cpu::load_matrices(d, reinterpret_cast<const void*>(row), false, here);
}
COC_OWN void load_matrices_transposed(u32 (&d)[4], SharedAddress row, COC_HERE) {
    on_cpu::load_matrices(d, reinterpret_cast<const void*>(row), true, here);
}

// A copy takes place when its group is waited for, no sooner; what it replaces is poisoned until then.
COC_OWN void copy_async16(void* shared, const void* global, bool live = true) {
    cuda_on_cpu::copy_async(shared, live ? global : nullptr, 16);
}
COC_OWN void copy_async16(SharedAddress shared, const void* global, bool live = true) {
    copy_async16(reinterpret_cast<void*>(shared), global, live);
}
COC_OWN void copy_async_commit() { cuda_on_cpu::copy_async_commit(); }
template <u32 kOpen>
COC_OWN void copy_async_wait() {
    cuda_on_cpu::copy_async_wait(kOpen);
}

COC_OWN u32x4 load_streamed(const u32x4* from) {
    u32x4 value;
    cuda_on_cpu::load_checked(&value, from, sizeof value);
    return value;
}
COC_OWN f32x4 load_kept(const f32x4* from) {
    f32x4 value;
    cuda_on_cpu::load_checked(&value, from, sizeof value);
    return value;
}
COC_OWN u32 atomic_add(u32* at, u32 value) { return cuda_on_cpu::atomic_add(at, value); }
COC_OWN u64 atomic_add(u64* at, u64 value) { return cuda_on_cpu::atomic_add(at, value); }
COC_OWN u32 atomic_add_shared(u32* at, u32 value) { return cuda_on_cpu::atomic_add(at, value); }
COC_OWN void fence_device() { cuda_on_cpu::fence(false); }
COC_OWN void fence_system() { cuda_on_cpu::fence(true); }
COC_OWN void store_release_system(u32* at, u32 value) { cuda_on_cpu::store_release(at, value); }
COC_OWN u32 load_acquire_system(const u32* at) { return cuda_on_cpu::load_acquire(at); }
COC_OWN void wait_a_little() { cuda_on_cpu::wait_a_little(); }
COC_OWN u64 nanoseconds() { return cuda_on_cpu::nanoseconds(); }

#include "on_cpu_convert.h"
