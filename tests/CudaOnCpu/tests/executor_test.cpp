// Kernels run on the CPU in every order that CUDA leaves open.
#include "executor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace {

using cuda_on_cpu::Order;

struct RmsNormArgs {
    const float* x;
    const float* weight;
    float* y;
    long long x_stride, y_stride;
    unsigned width, groups;
    float epsilon;
};

TEST(Executor, RunsAKernelInAnyOrder) {
    constexpr unsigned kWidth = 100, kRows = 3;
    std::vector<float> x(kRows * kWidth), weight(kWidth, 1.0f), y(kRows * kWidth);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7) - 3;
    const RmsNormArgs args{x.data(), weight.data(), y.data(), kWidth, kWidth, kWidth, 1, 1e-6f};
    const auto* const kernel = cuda_on_cpu::find_kernel("rms_norm");
    ASSERT_NE(kernel, nullptr);
    ASSERT_EQ(kernel->args_bytes, sizeof args);
    for (const Order order : {Order::ascending, Order::descending, Order::random}) {
        EXPECT_EQ(cuda_on_cpu::launch(*kernel, {1, kRows, 1, 128, 0}, &args, {order, 3}), "");
        for (unsigned row = 0; row < kRows; ++row) {
            double squares = 0;
            for (unsigned i = 0; i < kWidth; ++i) squares += x[row * kWidth + i] * x[row * kWidth + i];
            const double scale = 1 / std::sqrt(squares / kWidth + 1e-6);
            for (unsigned i = 0; i < kWidth; ++i) {
                EXPECT_NEAR(y[row * kWidth + i], x[row * kWidth + i] * scale, 1e-6);
            }
        }
    }
}

}  // namespace
