// The kernels that work row by row: norms, look-ups, sums, scales and rotations.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "device.cuh"
#include "kit.h"

namespace {

using cuda_on_cpu::Grid;
using cuda_on_cpu::Order;
using cuda_on_cpu::kit::Buffer;

constexpr double kUnit = 1.0 / (1 << 24);

// The kernels' own arguments, as the launchers in C# declare them once more.
struct RmsNormArgs {
    const float* x;
    const float* weight;
    float* y;
    i64 x_stride, y_stride;
    u32 width, groups;
    float epsilon;
    u32 rows;
};
struct RowsArgs {
    const void* source;
    const i32* indices;
    float* y;
    i64 source_stride, y_stride;
    u32 source_rows, width;
};
struct RotaryAnglesArgs {
    const i32* positions;
    const float* frequencies;
    float* cos_sin;
    i64 cos_sin_stride;
    u32 rows, pairs;
    float scale;
};
struct RotateArgs {
    float* x;
    const float* cos_sin;
    i64 x_stride, cos_sin_stride;
    u32 heads, head_dim, pairs, interleaved;
};

template <typename Args>
void launch(const char* name, const Grid& grid, const Args& args) {
    ASSERT_EQ(cuda_on_cpu::kit::launch_once(name, grid, args, {Order::random, 7}), "");
}

std::vector<float> uniform(std::size_t count) {
    std::mt19937 random(static_cast<u32>(count));
    std::uniform_real_distribution<float> between(-1, 1);
    std::vector<float> values(count);
    for (float& value : values) value = between(random);
    return values;
}

void holds_norm(const char* name, u32 rows, u32 groups, u32 width, u32 padding, Grid grid) {
    const u32 stride = groups * width + padding;
    const Buffer<float> x(uniform(std::size_t{rows} * stride)), weight(uniform(width));
    Buffer<float> y(x.size());
    launch(name, grid, RmsNormArgs{x.data(), weight.data(), y.data(), stride, stride, width, groups, 1e-5f, rows});
    for (u32 at = 0; at < rows * groups; ++at) {
        const std::size_t start = at / groups * std::size_t{stride} + at % groups * width;
        double squares = 0;
        for (u32 i = 0; i < width; ++i) squares += static_cast<double>(x[start + i]) * x[start + i];
        for (u32 i = 0; i < width; ++i) {
            const double expected = x[start + i] / std::sqrt(squares / width + 1e-5f) * weight[i];
            ASSERT_NEAR(y[start + i], expected, (width / 2.0 + 8) * kUnit * std::fabs(expected)) << name << ' ' << at << ' ' << i;
        }
    }
}

TEST(RmsNorm, ABlockOrAWarpTakesAGroup) {
    for (const u32 padding : {0u, 4u, 5u}) {
        for (const u32 width : {1u, 64u, 130u, 1028u}) {
            holds_norm("rms_norm", 3, 2, width, padding, {6, 1, 1, 256, 0});
            holds_norm("rms_norm_heads", 3, 5, width, padding, {2, 1, 1, 256, 0});
        }
    }
}

TEST(Rows, AreWidenedCopiedAndAdded) {
    for (const u32 width : {1u, 40u, 2056u}) {
        const Buffer<float> values(uniform(std::size_t{9} * width));
        std::vector<bf16> narrow;
        std::vector<f16> half;
        for (const float value : values.copy()) narrow.push_back(bf16::narrow(value)), half.push_back(f16::narrow(value));
        const Buffer<bf16> narrow_table(narrow);
        const Buffer<f16> half_table(half);
        const Buffer<i32> ids(std::vector<i32>{8, 0, 3, 3});
        const auto holds = [&](const char* name, const void* source, auto element) {
            Buffer<float> y(ids.size() * width);
            launch(name, {4, 1, 1, 256, 0}, RowsArgs{source, ids.data(), y.data(), width, width, 9, width});
            for (u32 i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], element(ids[i / width] * width + i % width)) << name;
        };
        holds("embed_f32", values.data(), [&](u32 i) { return values[i]; });
        holds("gather_rows", values.data(), [&](u32 i) { return values[i]; });
        holds("embed_bf16", narrow_table.data(), [&](u32 i) { return narrow[i].widen(); });
        holds("embed_f16", half_table.data(), [&](u32 i) { return half[i].widen(); });

        Buffer<float> sum(values.copy());
        launch("add_rows", {9, 1, 1, 256, 0}, RowsArgs{values.data(), nullptr, sum.data(), width, width, 9, width});
        for (u32 i = 0; i < sum.size(); ++i) ASSERT_EQ(sum[i], 2 * values[i]);
    }
}

TEST(Rows, KeepToTheirWidthWhereOnlyStridesAreWholeVectors) {
    constexpr u32 kWidth = 5, kStride = 8;
    const Buffer<float> values(uniform(9 * kStride));
    const Buffer<i32> ids(std::vector<i32>{8, 0, 3, 3});
    Buffer<float> y(std::vector<float>(ids.size() * kStride, 77.0f));

    launch("embed_f32", {4, 1, 1, 256, 0}, RowsArgs{values.data(), ids.data(), y.data(), kStride, kStride, 9, kWidth});

    for (u32 i = 0; i < y.size(); ++i) {
        ASSERT_EQ(y[i], i % kStride < kWidth ? values[ids[i / kStride] * kStride + i % kStride] : 77.0f);
    }
}

TEST(Rows, AnIndexBeyondTheTableGivesNaN) {
    const Buffer<float> values(uniform(8));
    const Buffer<i32> ids(std::vector<i32>{-1, 2, 1});
    Buffer<float> y(12);
    launch("gather_rows", {3, 1, 1, 256, 0}, RowsArgs{values.data(), ids.data(), y.data(), 4, 4, 2, 4});
    for (u32 i = 0; i < 12; ++i) EXPECT_EQ(std::isnan(y[i]), i < 8);
}

TEST(Rows, ScalesBringTheLargestBelowTwoToTheFifteenth) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    for (const float largest : {1.0f, 0.7f, 65504.0f, 3e38f, 1e-30f, 16384.0f, 32767.0f}) {
        Buffer<float> x(300), scales(1);
        x.fill(largest / 3);
        x[277] = -largest;
        launch("row_scales", {1, 1, 1, 256, 0}, RowsArgs{x.data(), nullptr, scales.data(), 300, 1, 1, 300});
        const float scale = scales[0];
        EXPECT_GE(largest * scale, 16384) << largest;
        EXPECT_LT(largest * scale, 32768) << largest;
        EXPECT_EQ(std::ldexp(1.0f, std::ilogb(scale)), scale);
    }
    for (const float largest : {0.0f, kInfinity, std::nanf("")}) {
        Buffer<float> x(std::vector<float>(8, 0.0f)), scales(1);
        x[5] = largest;
        launch("row_scales", {1, 1, 1, 256, 0}, RowsArgs{x.data(), nullptr, scales.data(), 8, 1, 1, 8});
        EXPECT_EQ(scales[0], 1);
    }
}

TEST(Rotary, AnglesHoldForLargeArguments) {
    const Buffer<i32> positions(std::vector<i32>{0, 1, 2, 3, 5, 100, 4095, 131071, 1048575, 2147483647});
    const Buffer<float> frequencies(std::vector<float>{1, 0.86596434f, 0.5f, 1e-5f, 0.785398163f, 1.57079633f, 3.14159265f});
    const u32 rows = static_cast<u32>(positions.size()), pairs = static_cast<u32>(frequencies.size());
    Buffer<float> cos_sin(rows * (2 * pairs + 1));
    launch("rotary_angles", {1, 1, 1, 256, 0},
           RotaryAnglesArgs{positions.data(), frequencies.data(), cos_sin.data(), 2 * pairs + 1, rows, pairs, 1});
    for (u32 t = 0; t < rows; ++t) {
        for (u32 i = 0; i < pairs; ++i) {
            const float product = static_cast<float>(positions[t]) * frequencies[i];
            const float* const row = cos_sin.data() + t * (2 * pairs + 1);
            EXPECT_EQ(row[i], static_cast<float>(std::cos(static_cast<double>(product)))) << product;
            EXPECT_EQ(row[pairs + i], static_cast<float>(std::sin(static_cast<double>(product)))) << product;
        }
    }
}

TEST(Rotary, PairsTurnInPlace) {
    for (const u32 interleaved : {0u, 1u}) {
        constexpr u32 kRows = 3, kHeads = 5, kHeadDim = 20, kPairs = 6, kStride = kHeads * kHeadDim + 3;
        const Buffer<float> before(uniform(kRows * kStride)), cos_sin(uniform(kRows * 2 * kPairs));
        Buffer<float> x(before.copy());
        launch("rotate", {kRows, 1, 1, 64, 0},
               RotateArgs{x.data(), cos_sin.data(), kStride, 2 * kPairs, kHeads, kHeadDim, kPairs, interleaved});
        for (u32 i = 0; i < x.size(); ++i) {
            const u32 row = i / kStride, column = i % kStride, in_head = column % kHeadDim;
            if (column >= kHeads * kHeadDim || in_head >= 2 * kPairs) {
                ASSERT_EQ(x[i], before[i]);
                continue;
            }
            const u32 pair = interleaved != 0 ? in_head / 2 : in_head % kPairs;
            const bool second = interleaved != 0 ? in_head % 2 == 1 : in_head >= kPairs;
            const u32 step = interleaved != 0 ? 1 : kPairs;
            const float cosine = cos_sin[row * 2 * kPairs + pair], sine = cos_sin[row * 2 * kPairs + kPairs + pair];
            const double expected = second ? static_cast<double>(before[i]) * cosine + before[i - step] * static_cast<double>(sine)
                                           : static_cast<double>(before[i]) * cosine - before[i + step] * static_cast<double>(sine);
            ASSERT_NEAR(x[i], expected, 4 * kUnit);
        }
    }
}

}  // namespace
