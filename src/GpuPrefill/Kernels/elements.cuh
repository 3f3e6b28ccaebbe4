// Elements of weights by sixteen bytes, and activations as terms that tensor cores take.
#pragma once
#include "device.cuh"

using f32 = float;

// The lane's place in fragments: g = lane / 4, q = lane % 4.
DEVICE u32 fragment_row() { return lane() / 4; }
DEVICE u32 fragment_column() { return lane() % 4; }

// How a register of two 16-bit elements is read and made, and which tensor-core product takes it.
template <typename W>
struct Pairs;

template <>
struct Pairs<bf16> {
    // The exponents are those of float32.
    static constexpr bool kScaled = false;
    DEVICE static float first(u32 pair) { return bits_as<float>(pair << 16); }
    DEVICE static float second(u32 pair) { return bits_as<float>(pair & 0xffff0000); }
    DEVICE static u32 pack(float first, float second) { return pack_bf16(first, second); }
    DEVICE static void mma(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { mma_bf16(d, a, b); }
};

template <>
struct Pairs<f16> {
    // Beyond 65504 a term would be infinite: rows come scaled by a power of two (see row_scales).
    static constexpr bool kScaled = true;
    DEVICE static float first(u32 pair) { return f16{static_cast<u16>(pair)}.widen(); }
    DEVICE static float second(u32 pair) { return f16{static_cast<u16>(pair >> 16)}.widen(); }
    DEVICE static u32 pack(float first, float second) { return pack_f16(first, second); }
    DEVICE static void mma(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) { mma_f16(d, a, b); }
};

// Elements in sixteen bytes.
template <typename W>
constexpr u32 kVector = 16 / sizeof(W);

template <typename W>
DEVICE void widen_vector(float (&to)[kVector<W>], const u32x4& from) {
    const u32 words[4] = {from.x, from.y, from.z, from.w};
    UNROLL
    for (u32 i = 0; i < 4; ++i) {
        if constexpr (sizeof(W) == 4) {
            to[i] = bits_as<float>(words[i]);
        } else {
            to[2 * i] = Pairs<W>::first(words[i]);
            to[2 * i + 1] = Pairs<W>::second(words[i]);
        }
    }
}

// x = high + low, but for what rounding low to 16 bits leaves: u^2 |x| with u = 2^-8 for bf16 and 2^-11 for f16.
struct Terms {
    u32 high, low;
};

template <typename W>
DEVICE Terms terms_of(float first, float second) {
    const u32 high = Pairs<W>::pack(first, second);
    return {high, Pairs<W>::pack(first - Pairs<W>::first(high), second - Pairs<W>::second(high))};
}

// 1 / scale of a power of two whose inverse is no subnormal.
DEVICE float inverse_of_power(float scale) { return bits_as<float>((254u << 23) - bits_as<u32>(scale)); }
