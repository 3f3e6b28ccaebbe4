// The language of our kernels (src/GpuPrefill/Kernels/device.cuh), defined for the CPU: every CUDA thread is a fiber, and
// what a warp or a block does together is a meeting of fibers. Included by device.cuh in place of its ptx/ folder.
#pragma once
#include <cstddef>
#include <cstring>

#include "executor.h"

#define DEVICE inline
#define KERNEL(name, Args, threads)                                                                        \
    static void name##_body(const Args& args);                                                             \
    static const cuda_on_cpu::Kernel name##_kernel{#name, sizeof(Args), threads, [](const void* given) {   \
                                                       name##_body(*static_cast<const Args*>(given));      \
                                                   }};                                                     \
    static void name##_body([[maybe_unused]] const Args& args)
#define SHARED(Type, name)                                                                                 \
    static const char name##_key = 0;                                                                      \
    typename Same<Type>::As& name = *static_cast<typename Same<Type>::As*>(cuda_on_cpu::shared_variable(   \
        &name##_key, sizeof(typename Same<Type>::As), alignof(typename Same<Type>::As)))
#define DYNAMIC_SHARED(name) u8* const name = static_cast<u8*>(cuda_on_cpu::dynamic_shared())

inline u32 thread_x() { return cuda_on_cpu::current->thread; }
inline u32 threads_x() { return cuda_on_cpu::block().threads; }
inline u32 block_x() { return cuda_on_cpu::block().x; }
inline u32 block_y() { return cuda_on_cpu::block().y; }
inline u32 block_z() { return cuda_on_cpu::block().z; }
inline u32 blocks_x() { return cuda_on_cpu::block().grid_x; }
inline u32 blocks_y() { return cuda_on_cpu::block().grid_y; }
inline u32 blocks_z() { return cuda_on_cpu::block().grid_z; }

inline void sync_block() { cuda_on_cpu::meet_block(0, cuda_on_cpu::block().threads); }
inline void sync_named(u32 barrier, u32 threads) { cuda_on_cpu::meet_block(barrier, threads); }
inline void sync_warp() { cuda_on_cpu::meet_warp(cuda_on_cpu::Meeting::barrier, {}); }

namespace cuda_on_cpu {
inline u32 bits_of(float value) {
    u32 bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}
inline float float_of(u32 bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
// One half of a register as a float.
inline float half_of(u32 pair, u32 half, bool is_bf16) {
    const u32 bits = half != 0 ? pair >> 16 : pair & 0xffff;
    if (is_bf16) return float_of(bits << 16);
    const auto narrow = static_cast<unsigned short>(bits);
    _Float16 value;
    std::memcpy(&value, &narrow, 2);
    return static_cast<float>(value);
}
// Products of 16-bit numbers are exact in float; the sum is taken in double, which is as good as any hardware's order.
inline void mma(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], bool is_bf16) {
    const Words* const lanes = meet_warp(Meeting::mma, {a[0], a[1], a[2], a[3], b[0], b[1]});
    const u32 l = current->thread % kWarpSize, g = l / 4, q = l % 4;
    for (u32 i = 0; i < 4; ++i) {
        const u32 row = g + i / 2 * 8, column = q * 2 + i % 2;
        double sum = d[i];
        for (u32 k = 0; k < 16; ++k) {
            sum += static_cast<double>(half_of(lanes[row % 8 * 4 + k % 8 / 2].word[row / 8 + k / 8 * 2], k % 2, is_bf16)) *
                   half_of(lanes[column * 4 + k % 8 / 2].word[4 + k / 8], k % 2, is_bf16);
        }
        d[i] = static_cast<float>(sum);
    }
}
inline void load_matrices(u32 (&d)[4], const void* row, bool transposed) {
    const Words* const lanes = meet_warp(Meeting::load_matrices, row);
    const u32 l = current->thread % kWarpSize, g = l / 4, q = l % 4;
    for (u32 m = 0; m < 4; ++m) {
        unsigned short pair[2];
        for (u32 i = 0; i < 2; ++i) {
            const u32 from = transposed ? 2 * q + i : g, element = transposed ? g : 2 * q + i;
            load_checked(&pair[i], static_cast<const char*>(lanes[m * 8 + from].address()) + element * 2, 2);
        }
        d[m] = pair[0] | static_cast<u32>(pair[1]) << 16;
    }
}
}  // namespace cuda_on_cpu

inline u32 shuffle(u32 value, u32 from) {
    return cuda_on_cpu::meet_warp(cuda_on_cpu::Meeting::shuffle, value)[from % 32].word[0];
}
inline u32 shuffle_xor(u32 value, u32 mask) {
    return cuda_on_cpu::meet_warp(cuda_on_cpu::Meeting::shuffle_xor, value)[(thread_x() ^ mask) % 32].word[0];
}
inline u32 shuffle_up(u32 value, u32 delta) {
    const u32 l = thread_x() % 32;
    return cuda_on_cpu::meet_warp(cuda_on_cpu::Meeting::shuffle_up, value)[l < delta ? l : l - delta].word[0];
}
inline float shuffle(float value, u32 from) { return cuda_on_cpu::float_of(shuffle(cuda_on_cpu::bits_of(value), from)); }
inline float shuffle_xor(float value, u32 mask) {
    return cuda_on_cpu::float_of(shuffle_xor(cuda_on_cpu::bits_of(value), mask));
}
inline float shuffle_up(float value, u32 delta) {
    return cuda_on_cpu::float_of(shuffle_up(cuda_on_cpu::bits_of(value), delta));
}
inline u32 ballot(bool value) {
    const cuda_on_cpu::Words* const lanes = cuda_on_cpu::meet_warp(cuda_on_cpu::Meeting::ballot, value ? 1u : 0u);
    u32 bits = 0;
    for (u32 i = 0; i < 32; ++i) bits |= (lanes[i].is_live && lanes[i].word[0] != 0 ? 1u : 0u) << i;
    return bits;
}

inline void mma_bf16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { cuda_on_cpu::mma(d, a, b, true); }
inline void mma_f16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { cuda_on_cpu::mma(d, a, b, false); }
inline void load_matrices(u32 (&d)[4], const void* row) { cuda_on_cpu::load_matrices(d, row, false); }
inline void load_matrices_transposed(u32 (&d)[4], const void* row) { cuda_on_cpu::load_matrices(d, row, true); }

// A copy takes place when its group is waited for, no sooner; what it replaces is poisoned until then.
inline void copy_async16(void* shared, const void* global, bool live = true) {
    cuda_on_cpu::copy_async(shared, live ? global : nullptr, 16);
}
inline void copy_async_commit() { cuda_on_cpu::copy_async_commit(); }
template <u32 kOpen>
inline void copy_async_wait() {
    cuda_on_cpu::copy_async_wait(kOpen);
}

inline u32x4 load_streamed(const u32x4* from) { return *from; }
inline f32x4 load_kept(const f32x4* from) { return *from; }
inline u32 atomic_add(u32* at, u32 value) { return cuda_on_cpu::atomic_add(at, value); }
inline u32 atomic_add_shared(u32* at, u32 value) { return cuda_on_cpu::atomic_add(at, value); }
inline void fence_device() { cuda_on_cpu::fence(); }
inline void fence_system() { cuda_on_cpu::fence(); }
inline void store_release_system(u32* at, u32 value) { cuda_on_cpu::store_release(at, value); }
inline u32 load_acquire_system(const u32* at) { return cuda_on_cpu::load_acquire(at); }
inline void wait_a_little() { cuda_on_cpu::wait_a_little(); }
inline u64 nanoseconds() { return cuda_on_cpu::nanoseconds(); }

#include "on_cpu_convert.h"
