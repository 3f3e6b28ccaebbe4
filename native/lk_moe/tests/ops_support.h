// What the tests of operations share: devices of several shapes, filled weights and a plain definition to compare with.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "lk_moe.h"
#include "machines.h"

namespace lk::testing {

inline void ok(lk_status status) { ASSERT_EQ(status, LK_OK) << lk_last_error(); }

struct DeviceDeleter {
    void operator()(lk_device* device) const { lk_device_destroy(device); }
};
struct MatrixDeleter {
    void operator()(lk_matrix* matrix) const { lk_matrix_destroy(matrix); }
};
struct ExpertsDeleter {
    void operator()(lk_experts* experts) const { lk_experts_destroy(experts); }
};
using DevicePointer = std::unique_ptr<lk_device, DeviceDeleter>;
using MatrixPointer = std::unique_ptr<lk_matrix, MatrixDeleter>;
using ExpertsPointer = std::unique_ptr<lk_experts, ExpertsDeleter>;

inline lk_device_config config_of(int threads) {
    lk_device_config config{};
    config.struct_size = sizeof config;
    config.threads = threads;
    return config;
}

inline DevicePointer make_device(const lk_device_config& config) {
    lk_device* device = nullptr;
    ok(lk_device_create(&config, &device));
    return DevicePointer(device);
}

// The machine's own topology with more threads than it may have, or a machine of two sockets that does not exist: there
// pinning fails, which must only cost a warning, and every weight is in two slices.
inline DevicePointer make_device(int threads, const std::string& root = "") {
    lk_device_config config = config_of(threads);
    config.root = root.empty() ? nullptr : root.c_str();
    return make_device(config);
}

class Random {
 public:
    explicit Random(unsigned seed) : engine_(seed) {}
    float uniform(float low = -1, float high = 1) { return std::uniform_real_distribution<float>(low, high)(engine_); }
    int below(int limit) { return std::uniform_int_distribution<int>(0, limit - 1)(engine_); }
    std::vector<float> floats(std::size_t count, float low = -1, float high = 1) {
        std::vector<float> values(count);
        for (float& value : values) value = uniform(low, high);
        return values;
    }

 private:
    std::mt19937 engine_;
};

inline std::uint16_t to_bf16(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline float from_bf16(std::uint16_t bits) {
    const std::uint32_t wide = std::uint32_t{bits} << 16;
    float value;
    std::memcpy(&value, &wide, 4);
    return value;
}

// The value that a weight of this type keeps. f16: values of at most ten mantissa bits are drawn instead of rounded.
inline float keep(lk_dtype type, float value) {
    if (type == LK_BF16) return from_bf16(to_bf16(value));
    if (type == LK_F16) return std::round(value * 512) / 512;
    return value;
}

inline std::uint16_t to_f16(float value) {
    const _Float16 half = static_cast<_Float16>(value);
    std::uint16_t bits;
    std::memcpy(&bits, &half, 2);
    return bits;
}

inline void store(lk_dtype type, const float* source, void* target, std::size_t count) {
    auto* const halves = static_cast<std::uint16_t*>(target);
    for (std::size_t i = 0; i < count; ++i) {
        if (type == LK_F32) static_cast<float*>(target)[i] = source[i];
        if (type == LK_BF16) halves[i] = to_bf16(source[i]);
        if (type == LK_F16) halves[i] = to_f16(source[i]);
    }
}

inline std::size_t bytes_of(lk_dtype type) { return type == LK_F32 || type == LK_I32 ? 4 : 2; }

// A dense tensor of floats with a row stride of its own.
struct Floats {
    Floats(int rows, int columns, int stride = 0)
        : rows(rows), columns(columns), stride(stride == 0 ? columns : stride),
          values(static_cast<std::size_t>(rows) * static_cast<std::size_t>(this->stride), 0.0f) {}
    float& at(int row, int column) { return values[static_cast<std::size_t>(row * stride + column)]; }
    float at(int row, int column) const { return values[static_cast<std::size_t>(row * stride + column)]; }
    lk_tensor tensor() { return {values.data(), stride, rows, columns, LK_F32, 0}; }
    void fill(Random& random) {
        for (float& value : values) value = random.uniform();
    }

    int rows, columns, stride;
    std::vector<float> values;
};

// A weight and what it holds.
struct Weight {
    Weight(lk_device* device, lk_dtype type, int rows, int columns, Random& random, float scale = 1)
        : rows(rows),
          columns(columns),
          type(type),
          values(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns)) {
        for (float& value : values) value = keep(type, random.uniform(-scale, scale));
        lk_matrix* made = nullptr;
        ok(lk_matrix_create(device, type, rows, columns, &made));
        matrix.reset(made);
        fill();
    }
    void fill() {
        int32_t count = 0;
        ok(lk_matrix_slice_count(matrix.get(), &count));
        for (int32_t i = 0; i < count; ++i) {
            lk_slice slice{};
            ok(lk_matrix_slice(matrix.get(), i, &slice));
            store(type, row(slice.row_start), slice.address,
                  static_cast<std::size_t>(slice.row_count) * static_cast<std::size_t>(columns));
        }
    }
    const float* row(int index) const {
        return values.data() + static_cast<std::size_t>(index) * static_cast<std::size_t>(columns);
    }
    double dot(int index, const float* x) const {
        double sum = 0;
        for (int i = 0; i < columns; ++i) sum += static_cast<double>(row(index)[i]) * x[i];
        return sum;
    }

    int rows, columns;
    lk_dtype type;
    std::vector<float> values;
    MatrixPointer matrix;
};

// Error bounds: f32 sums of n terms of size one; activations rounded to bf16 are wrong by up to 2^-8 of each term,
// which the square root of n such errors makes, with a wide margin, 2 * 2^-8 * sqrt(n).
inline double bound_exact(int depth) { return 4e-7 * depth + 1e-5; }
inline double bound_rounded(int depth) { return 4.0 / 512 * std::sqrt(depth) + 1e-4; }


}  // namespace lk::testing
