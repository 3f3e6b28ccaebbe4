// What the kernel checks share: counting, bounds, random and special values. Each check runs every table that
// this machine can run against the reference, on fenced buffers, and ends with a line that counts.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "../kernels/reference/scalar.h"
#include "../src/cpu.h"
#include "fenced.h"

namespace lk::testing {

inline int passed = 0;
inline int failed = 0;

inline constexpr double kHalfUlp = 0x1p-24;   // relative rounding error of one f32 operation
inline constexpr double kTiniest = 0x1p-149;  // absolute error of one that underflows
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Counts one comparison; the first failures are printed.
[[gnu::format(printf, 2, 3)]] inline bool expect(bool holds, const char* format, ...) {
    if (holds) {
        ++passed;
        return true;
    }
    if (++failed <= 20) {
        std::va_list arguments;
        va_start(arguments, format);
        std::vprintf(format, arguments);
        va_end(arguments);
        std::printf("\n");
    }
    return false;
}

// NaN agrees with NaN, infinity with the same infinity, and numbers that lie within the bound.
inline bool agrees(double expected, double actual, double bound) {
    if (std::isnan(expected) || std::isnan(actual)) return std::isnan(expected) && std::isnan(actual);
    if (std::isinf(expected) || std::isinf(actual)) return expected == actual;
    return std::abs(expected - actual) <= bound;
}

inline int finish() {
    std::printf("tables: %s\n", runnable_kernel_names().c_str());
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 && passed > 0 ? 0 : 1;
}

class Random {
public:
    explicit Random(unsigned seed) : engine_(seed) {}
    float between(float low, float high) { return std::uniform_real_distribution<float>(low, high)(engine_); }
    std::size_t below(std::size_t limit) {
        return std::uniform_int_distribution<std::size_t>(0, limit - 1)(engine_);
    }
    std::uint32_t bits() { return engine_(); }

private:
    std::mt19937 engine_;
};

inline void fill(Random& random, float* values, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) values[i] = random.between(-2, 2);
}

inline constexpr Format kFormats[] = {Format::f32, Format::bf16, Format::f16};
inline const char* name_of(Format format) {
    return format == Format::f32 ? "f32" : format == Format::bf16 ? "bf16" : "f16";
}

// Elements of any format on a fenced buffer.
class FencedElements {
public:
    FencedElements(Format format, std::size_t count, Fence fence = Fence::after)
        : format_(format), count_(count), bytes_(count * size_of(format), fence) {}

    const void* data() const { return bytes_.data(); }
    void* data() { return bytes_.data(); }

    float get(std::size_t i) const {
        if (format_ == Format::f32) return reinterpret_cast<const float*>(bytes_.data())[i];
        const std::uint16_t stored = reinterpret_cast<const std::uint16_t*>(bytes_.data())[i];
        return format_ == Format::bf16 ? reference::widen_bf16(stored) : reference::widen_f16(stored);
    }
    void set(std::size_t i, float value) {
        if (format_ == Format::f32) {
            reinterpret_cast<float*>(bytes_.data())[i] = value;
        } else {
            reinterpret_cast<std::uint16_t*>(bytes_.data())[i] =
                format_ == Format::bf16 ? reference::narrow_bf16(value) : reference::narrow_f16(value);
        }
    }
    void randomise(Random& random) {
        for (std::size_t i = 0; i < count_; ++i) set(i, random.between(-2, 2));
    }
    bool is_surrounding_intact() const { return bytes_.is_surrounding_intact(); }

private:
    Format format_;
    std::size_t count_;
    Fenced<unsigned char> bytes_;
};

// Around every multiple of 4, 8, 16, 32 and 64 lanes up to `limit`, and everything small.
inline std::vector<std::size_t> lengths(std::size_t limit) {
    std::vector<std::size_t> all;
    for (std::size_t n = 0; n <= limit; ++n) {
        const std::size_t beside = n % 16;
        if (n <= 20 || beside <= 1 || beside == 15) all.push_back(n);
    }
    return all;
}

}  // namespace lk::testing
