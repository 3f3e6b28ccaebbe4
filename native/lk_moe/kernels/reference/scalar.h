// One element of each format, widened to f32 and narrowed from it.
#pragma once
#include <bit>
#include <cmath>

#include "../kernels.h"

namespace lk::reference {

inline float widen_bf16(bf16 value) { return std::bit_cast<float>(std::uint32_t{value} << 16); }

inline bf16 narrow_bf16(float value) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    if (std::isnan(value)) return static_cast<bf16>(bits >> 16 | 0x0040u);
    return static_cast<bf16>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

inline float widen_f16(f16 value) {
    const std::uint32_t sign = (value & 0x8000u) << 16;
    const std::uint32_t exponent = value >> 10 & 0x1fu;
    const std::uint32_t fraction = value & 0x3ffu;
    if (exponent == 0x1f) {
        const std::uint32_t quiet = fraction != 0 ? 0x400000u : 0u;
        return std::bit_cast<float>(sign | 0x7f800000u | quiet | fraction << 13);
    }
    if (exponent == 0) {
        const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
        return sign != 0 ? -magnitude : magnitude;
    }
    return std::bit_cast<float>(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

inline f16 narrow_f16(float value) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = bits >> 16 & 0x8000u;
    std::uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<f16>(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x47800000u) return static_cast<f16>(sign | 0x7c00u);  // 2^16 and up
    if (magnitude < 0x38800000u) {                                          // below 2^-14: subnormal
        return static_cast<f16>(sign |
                                static_cast<std::uint32_t>(std::nearbyint(std::fabs(value) * 0x1p24f)));
    }
    magnitude -= (127u - 15u) << 23;
    magnitude += 0xfffu + (magnitude >> 13 & 1u);  // may carry into infinity, as it should
    return static_cast<f16>(sign | magnitude >> 13);
}

// The traits that the templates of this folder take.
struct F32 {
    using Element = float;
    static float widen(float value) { return value; }
    static float narrow(float value) { return value; }
};
struct Bf16 {
    using Element = bf16;
    static float widen(bf16 value) { return widen_bf16(value); }
    static bf16 narrow(float value) { return narrow_bf16(value); }
};
struct F16 {
    using Element = f16;
    static float widen(f16 value) { return widen_f16(value); }
    static f16 narrow(float value) { return narrow_f16(value); }
};

inline const float* row(const ConstRows& rows, std::size_t token) {
    return rows.data + (rows.index != nullptr ? rows.index[token] : token) * rows.stride;
}
inline float* row(const Rows& rows, std::size_t token) {
    return rows.data + (rows.index != nullptr ? rows.index[token] : token) * rows.stride;
}

// One per file of this folder.
void install_products(Kernels& table);
void install_rows(Kernels& table);

}  // namespace lk::reference
