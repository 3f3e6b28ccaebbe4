// The language that our kernels are written in: element types, indices, warp and block operations, tensor cores,
// asynchronous copies, system-scope flags. Compiled by clang for PTX without any toolkit, and by a C++ compiler for
// the CPU (tests/CudaOnCpu/on_cpu.h defines the same names there).
//
// KERNEL(name, Args, threads) { ... args ... }   a kernel of at most `threads` threads a block, one struct argument
// SHARED(Type, name);                            a static shared variable; uninitialised until written
// DYNAMIC_SHARED(name);                          u8* to the launch's dynamic shared memory, 1024-byte aligned on sm_90
// DEVICE                                         a function of the device
#pragma once

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i32 = int;
using i64 = long long;

// In front of a loop whose body indexes arrays that must stay in registers.
#if defined(__CUDA__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

constexpr u32 kWarp = 32;
constexpr u32 kAllLanes = 0xffffffff;

// The numbers are those of LsglangSharp.Runtime.Primitives.DType.
enum ElementType : i32 { kF32 = 0, kF16 = 1, kBF16 = 2, kI32 = 3, kFP8 = 4 };

// Sixteen bytes that move as one.
struct alignas(16) u32x4 {
    u32 x, y, z, w;
};
struct alignas(8) u32x2 {
    u32 x, y;
};
struct alignas(8) f32x2 {
    float x, y;
};
struct alignas(16) f32x4 {
    float x, y, z, w;
};

// An array type in front of a name.
template <typename T>
struct Same {
    using As = T;
};

#if defined(__CUDA__) && defined(__CUDA_ARCH__)
#define DEVICE __attribute__((device, always_inline)) inline
#define KERNEL(name, Args, threads)                                                              \
    extern "C" __attribute__((global)) __attribute__((launch_bounds(threads))) void name(const Args args)
#define SHARED(Type, name) static __attribute__((shared)) typename Same<Type>::As name
#define DYNAMIC_SHARED(name)                                                                     \
    extern __attribute__((shared)) __attribute__((aligned(1024))) u8 dynamic_shared_memory[];    \
    u8* const name = dynamic_shared_memory
#include "ptx/index.cuh"
#include "ptx/warp.cuh"
#include "ptx/memory.cuh"
#include "ptx/mma.cuh"
#include "ptx/convert.cuh"
#elif defined(__CUDA__)
// clang's pass over the host half of a .cu file: nothing of it is kept.
#define DEVICE __attribute__((device, always_inline)) inline
#define KERNEL(name, Args, threads) __attribute__((device)) void name(const Args args)
#define SHARED(Type, name) static __attribute__((shared)) typename Same<Type>::As name
#define DYNAMIC_SHARED(name) u8* const name = nullptr
#else
#include "on_cpu.h"
#endif

template <typename To, typename From>
DEVICE To bits_as(From value) {
    return __builtin_bit_cast(To, value);
}

struct bf16 {
    u16 bits;

    DEVICE float widen() const { return bits_as<float>(u32{bits} << 16); }

    // To nearest, ties to even; a NaN stays one.
    DEVICE static bf16 narrow(float value) {
        const u32 raw = bits_as<u32>(value);
        if ((raw & 0x7fffffff) > 0x7f800000) return {static_cast<u16>((raw >> 16) | 0x40)};
        return {static_cast<u16>((raw + 0x7fff + ((raw >> 16) & 1)) >> 16)};
    }
};

struct f16 {
    u16 bits;

    DEVICE float widen() const { return static_cast<float>(bits_as<_Float16>(bits)); }
    DEVICE static f16 narrow(float value) { return {bits_as<u16>(static_cast<_Float16>(value))}; }
};

DEVICE float widen(float value) { return value; }
DEVICE float widen(bf16 value) { return value.widen(); }
DEVICE float widen(f16 value) { return value.widen(); }

template <typename T>
struct Narrow;
template <>
struct Narrow<float> {
    DEVICE static float of(float value) { return value; }
};
template <>
struct Narrow<bf16> {
    DEVICE static bf16 of(float value) { return bf16::narrow(value); }
};
template <>
struct Narrow<f16> {
    DEVICE static f16 of(float value) { return f16::narrow(value); }
};

DEVICE u32 lane() { return thread_x() % kWarp; }
DEVICE u32 warp() { return thread_x() / kWarp; }

// The place of the lowest bit that is set; one must be.
DEVICE u32 lowest_bit(u32 bits) { return static_cast<u32>(__builtin_ctz(bits)); }

DEVICE u32 bit_count(u32 bits) { return static_cast<u32>(__builtin_popcount(bits)); }

// Orders floats as integers: 0 is nothing, 1 a NaN, then minus infinity and so on. -0 and 0 are alike.
DEVICE u32 order_of(float value) {
    if (value != value) return 1;
    const u32 raw = bits_as<u32>(value + 0.0f);
    return (raw & 0x80000000) != 0 ? ~raw : raw | 0x80000000;
}

DEVICE u32 min_of(u32 a, u32 b) { return a < b ? a : b; }
DEVICE u32 max_of(u32 a, u32 b) { return a > b ? a : b; }
// A NaN on either side is the result.
DEVICE float max_of(float a, float b) { return a > b || a != a ? a : b; }
DEVICE u32 divide_up(u32 a, u32 b) { return (a + b - 1) / b; }

DEVICE u64 shuffle_up(u64 value, u32 delta) {
    const u32 low = shuffle_up(static_cast<u32>(value), delta), high = shuffle_up(static_cast<u32>(value >> 32), delta);
    return u64{high} << 32 | low;
}

DEVICE float warp_sum(float value) {
    for (u32 step = kWarp / 2; step > 0; step /= 2) value += shuffle_xor(value, step);
    return value;
}

DEVICE float warp_max(float value) {
    for (u32 step = kWarp / 2; step > 0; step /= 2) value = max_of(value, shuffle_xor(value, step));
    return value;
}

// e^x within two units in the last place, for all x: 0 below the smallest normal number, infinity above the largest.
// x = n ln 2 + r with |r| <= ln 2 / 2, and e^r by a polynomial of degree 7, whose remainder is below r^8 / 8! = 5e-9.
DEVICE float exp_of(float x) {
    if (x != x) return x;
    if (x < -87.33654f) return 0.0f;
    if (x > 88.72283f) return bits_as<float>(0x7f800000u);
    const float n = __builtin_rintf(x * 1.44269504f);
    float r = __builtin_fmaf(n, -0.693359375f, x);
    r = __builtin_fmaf(n, 2.12194440e-4f, r);
    float p = 1 / 5040.0f;
    p = __builtin_fmaf(p, r, 1 / 720.0f);
    p = __builtin_fmaf(p, r, 1 / 120.0f);
    p = __builtin_fmaf(p, r, 1 / 24.0f);
    p = __builtin_fmaf(p, r, 1 / 6.0f);
    p = __builtin_fmaf(p, r, 0.5f);
    p = __builtin_fmaf(p, r, 1.0f);
    p = __builtin_fmaf(p, r, 1.0f);
    // In two steps, because 2^128 is no float.
    const i32 whole = static_cast<i32>(n);
    const i32 half = whole / 2;
    return p * bits_as<float>(static_cast<u32>(half + 127) << 23) *
           bits_as<float>(static_cast<u32>(whole - half + 127) << 23);
}

DEVICE float sigmoid_of(float x) { return 1.0f / (1.0f + exp_of(-x)); }
DEVICE float silu_of(float x) { return x * sigmoid_of(x); }
