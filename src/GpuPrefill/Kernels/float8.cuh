// FP8 E4M3 (OCP 8-bit Floating Point Specification 1.0; elsewhere E4M3FN): a sign, four bits of exponent (bias 7), three
// of fraction, no infinities, NaN where all bits but the sign are set. Mirrors Float8 in Primitives.
#pragma once
#include "elements.cuh"

struct fp8 {
    u8 bits;

    DEVICE float widen() const {
        if ((bits & 0x7f) == 0x7f) return bits_as<float>(0x7fc00000u);
        return f16{static_cast<u16>((bits & 0x80) << 8 | (bits & 0x7f) << 7)}.widen() * 256.0f;
    }

    // To nearest, ties to even, what is too large to 448, a NaN to one: as cvt.rn.satfinite, which only sm_89 and later
    // have.
    DEVICE static fp8 narrow(float value) {
        const u32 raw = bits_as<u32>(value), magnitude = raw & 0x7fffffff, sign = raw >> 24 & 0x80;
        if (magnitude > 0x7f800000) return {0x7f};
        if (magnitude >= bits_as<u32>(448.0f)) return {static_cast<u8>(sign | 0x7e)};
        // Below the smallest normal number, 2^-6, in units of 2^-9; eight of these are that number's bits.
        if (magnitude < bits_as<u32>(0.015625f)) {
            return {static_cast<u8>(sign | static_cast<u32>(__builtin_rintf(bits_as<float>(magnitude) * 512.0f)))};
        }
        const u32 rounded = magnitude + 0x7ffff + (magnitude >> 20 & 1);
        return {static_cast<u8>(sign | ((rounded >> 20) - ((127 - 7) << 3)))};
    }
};

DEVICE float widen(fp8 value) { return value.widen(); }

template <>
struct Narrow<fp8> {
    DEVICE static fp8 of(float value) { return fp8::narrow(value); }
};

// Four in a register as four f16 that are 256 times smaller: the fields only have to move, subnormal numbers too. The
// first and third come in one register, the second and fourth in the other.
constexpr float kFp8AsF16 = 256.0f;

DEVICE void widen_four(u32 four, u32& even, u32& odd) {
    const u32 high_even = four << 8 & 0xff00ff00, high_odd = four & 0xff00ff00;
    even = (high_even & 0x80008000) | (high_even >> 1 & 0x3f803f80);
    odd = (high_odd & 0x80008000) | (high_odd >> 1 & 0x3f803f80);
    // A carry into a byte's sign tells a NaN, which is rare.
    if ((((four & 0x7f7f7f7f) + 0x01010101) & 0x80808080) != 0) {
        const u32 even_nan = ((high_even & 0x7f007f00) + 0x01000100) & 0x80008000;
        const u32 odd_nan = ((high_odd & 0x7f007f00) + 0x01000100) & 0x80008000;
        even |= even_nan - (even_nan >> 6);
        odd |= odd_nan - (odd_nan >> 6);
    }
}
