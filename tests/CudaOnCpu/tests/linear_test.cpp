// The kernels of linear layers against sums in double, for shapes around every tile and every way of running.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kit.h"
#include "linear.cuh"

namespace {

using cuda_on_cpu::Grid;
using cuda_on_cpu::Order;
namespace kit = cuda_on_cpu::kit;

constexpr double kUnit = 1.0 / (1 << 24);

struct Shape {
    u32 tokens, outputs, inputs;
};

struct Way {
    std::string kernel;
    Grid grid;
    u32 slices = 1;
};

template <typename W>
struct Element;
template <>
struct Element<float> {
    static constexpr const char* name = "f32";
    [[maybe_unused]] static constexpr double unit = 0;  // of the terms that activations become
};
template <>
struct Element<bf16> {
    static constexpr const char* name = "bf16";
    static constexpr double unit = 1.0 / (1 << 8);
};
template <>
struct Element<f16> {
    static constexpr const char* name = "f16";
    static constexpr double unit = 1.0 / (1 << 11);
};

template <typename W>
struct Problem {
    Shape shape;
    u32 padding;
    std::vector<W> weights, paired;
    std::vector<float> x, bias, before, scales;

    Problem(Shape shape, u32 padding, float magnitude = 1) : shape(shape), padding(padding) {
        std::mt19937 random(shape.tokens * 7919 + shape.outputs * 31 + shape.inputs);
        std::uniform_real_distribution<float> uniform(-1, 1);
        const auto fill = [&](auto& to, std::size_t count, auto make) {
            to.resize(count);
            for (auto& value : to) value = make(uniform(random));
        };
        const std::size_t elements = std::size_t{shape.outputs} * shape.inputs;
        fill(weights, elements, Narrow<W>::of);
        fill(paired, elements, Narrow<W>::of);
        fill(x, std::size_t{shape.tokens} * (shape.inputs + padding), [&](float v) { return v * magnitude; });
        fill(bias, shape.outputs, [](float v) { return v; });
        fill(before, std::size_t{shape.tokens} * (shape.outputs + padding), [](float v) { return v; });
        // Any power of two must do; they differ so that a mixed-up token shows.
        for (u32 t = 0; t < shape.tokens; ++t) scales.push_back(std::ldexp(1 / magnitude, static_cast<int>(t % 5)));
    }

    // sum over k of x[t][k] w[row][k], and of the magnitudes.
    std::pair<double, double> dot(const std::vector<W>& w, u32 token, u32 row) const {
        double sum = 0, magnitude = 0;
        for (u32 k = 0; k < shape.inputs; ++k) {
            const double product = static_cast<double>(x[token * std::size_t{shape.inputs + padding} + k]) *
                                   widen(w[row * std::size_t{shape.inputs} + k]);
            sum += product;
            magnitude += std::fabs(product);
        }
        return {sum, magnitude};
    }
};

template <typename W>
std::vector<float> run(const Way& way, const Problem<W>& p, bool gated, bool accumulate, bool two_terms, Order order) {
    const kit::Buffer<W> weights(p.weights), paired(p.paired);
    const kit::Buffer<float> x(p.x), bias(p.bias), scales(p.scales);
    kit::Buffer<float> y(p.before);
    LinearArgs args{};
    args.weights = weights.data();
    args.paired = gated ? paired.data() : nullptr;
    args.x = x.data();
    args.bias = gated || !accumulate ? nullptr : bias.data();
    args.scales = std::string(Element<W>::name) == "f16" ? scales.data() : nullptr;
    args.y = y.data();
    args.weights_stride = p.shape.inputs;
    args.x_stride = p.shape.inputs + p.padding;
    args.y_stride = p.shape.outputs + p.padding;
    args.tokens = p.shape.tokens;
    args.outputs = p.shape.outputs;
    args.inputs = p.shape.inputs;
    args.slices = way.slices;
    args.accumulate = accumulate ? 1 : 0;
    args.two_terms = two_terms ? 1 : 0;
    EXPECT_EQ(kit::launch_once(way.kernel.c_str(), way.grid, args, {order, 5}), "");
    return y.copy();
}

template <typename W>
void holds_linear(const Way& way, const Problem<W>& p, double term_error, bool accumulate, bool two_terms = true) {
    const std::vector<float> y = run(way, p, false, accumulate, two_terms, Order::random);
    for (u32 t = 0; t < p.shape.tokens; ++t) {
        for (u32 row = 0; row < p.shape.outputs + p.padding; ++row) {
            const std::size_t at = t * std::size_t{p.shape.outputs + p.padding} + row;
            if (row >= p.shape.outputs) {
                ASSERT_EQ(y[at], p.before[at]);
                continue;
            }
            const auto [sum, magnitude] = p.dot(p.weights, t, row);
            const double start = accumulate ? static_cast<double>(p.before[at]) + p.bias[row] : 0;
            ASSERT_NEAR(y[at], start + sum, (kUnit * (p.shape.inputs + 4) + term_error) * (magnitude + 2))
                << way.kernel << " token " << t << " of " << p.shape.tokens << " row " << row;
        }
    }
}

template <typename W>
void holds_gated(const Way& way, const Problem<W>& p, double term_error) {
    const std::vector<float> y = run(way, p, true, false, true, Order::descending);
    for (u32 t = 0; t < p.shape.tokens; ++t) {
        for (u32 row = 0; row < p.shape.outputs; ++row) {
            const auto [gate, gate_magnitude] = p.dot(p.weights, t, row);
            const auto [up, up_magnitude] = p.dot(p.paired, t, row);
            const double silu = gate / (1 + std::exp(-gate));
            const double relative = kUnit * (p.shape.inputs + 20) + term_error;
            const double error = relative * (1.1 * gate_magnitude * std::fabs(up) + up_magnitude * std::fabs(silu) + 1e-6);
            ASSERT_NEAR(y[t * std::size_t{p.shape.outputs + p.padding} + row], silu * up, 2 * error)
                << way.kernel << " token " << t << " row " << row;
        }
    }
}

std::string name(const char* family, const char* type, const std::string& size) {
    return std::string(family) + "_" + type + (size.empty() ? "" : "_" + size);
}

template <typename W>
class Linear : public testing::Test {
protected:
    static constexpr const char* type = Element<W>::name;

    static Way gemv(const char* family, Shape s, u32 tokens, u32 slices, u32 rows) {
        return {name(family, type, std::to_string(tokens)), {divide_up(s.outputs, rows * (8 / slices)), 1, 1, 256, 0}, slices};
    }
};
using Types = testing::Types<float, bf16, f16>;
TYPED_TEST_SUITE(Linear, Types);

TYPED_TEST(Linear, GemvTakesOneToFourTokens) {
    for (const u32 tokens : {1u, 2u, 4u}) {
        for (const u32 slices : {1u, 2u, 4u, 8u}) {
            for (const Shape s : {Shape{tokens, 40, 2056}, Shape{tokens, 7, 8}, Shape{tokens, 33, 512}}) {
                const Problem<TypeParam> p(s, 4);
                holds_linear(this->gemv("linear_gemv", s, tokens, slices, 4), p, 0, slices == 2);
                holds_linear(this->gemv("linear_gemv_few", s, tokens, slices, 1), p, 0, slices == 4);
                holds_gated(this->gemv("gate_up_gemv", s, tokens, slices, 2), p, 0);
            }
        }
    }
    const Shape three{3, 10, 264};
    holds_linear(this->gemv("linear_gemv", three, 4, 8, 4), Problem<TypeParam>(three, 0), 0, true);
}

TYPED_TEST(Linear, GemvGivesATokenTheSameWhateverIsBesideIt) {
    const Shape s{4, 24, 1032};
    const Problem<TypeParam> p(s, 0);
    const auto all = run(this->gemv("linear_gemv", s, 4, 4, 4), p, false, false, true, Order::ascending);
    Problem<TypeParam> alone = p;
    alone.shape.tokens = 1;
    const auto one = run(this->gemv("linear_gemv", s, 1, 4, 4), alone, false, false, true, Order::random);
    const auto few = run(this->gemv("linear_gemv_few", s, 1, 4, 1), alone, false, false, true, Order::random);
    for (u32 row = 0; row < s.outputs; ++row) {
        EXPECT_EQ(all[row], one[row]);
        EXPECT_EQ(all[row], few[row]);
    }
}

TYPED_TEST(Linear, AnyTakesEveryShape) {
    for (const Shape s : {Shape{1, 1, 1}, Shape{3, 65, 31}, Shape{17, 64, 33}, Shape{33, 130, 100}}) {
        const Problem<TypeParam> p(s, 3);
        const Grid linear{divide_up(s.tokens, 16), divide_up(s.outputs, 64), 1, 256, 0};
        const Grid gated{divide_up(s.tokens, 16), divide_up(s.outputs, 32), 1, 256, 0};
        holds_linear(Way{name("linear_any", this->type, ""), linear}, p, 0, false);
        holds_linear(Way{name("linear_any", this->type, ""), linear}, p, 0, true);
        holds_gated(Way{name("gate_up_any", this->type, ""), gated}, p, 0);
    }
}

template <typename W>
class TensorCoreLinear : public Linear<W> {
protected:
    static constexpr double kTwoTerms = Element<W>::unit * Element<W>::unit;

    static Way skinny(const char* family, Shape s, u32 tokens, u32 rows) {
        return {name(family, Element<W>::name, std::to_string(tokens)), {divide_up(s.outputs, rows), 1, 1, 256, 0}};
    }

    static Way gemm(const char* family, Shape s, u32 tile, u32 rows) {
        const u32 tokens = std::min(tile, 128u), shared = 4 * (tile * 64 + tokens * 128);
        return {name(family, Element<W>::name, std::to_string(tile)),
                {divide_up(s.tokens, tokens), divide_up(s.outputs, rows), 1, tile == 64 ? 128u : 256u, shared}};
    }
};
using NarrowTypes = testing::Types<bf16, f16>;
TYPED_TEST_SUITE(TensorCoreLinear, NarrowTypes);

TYPED_TEST(TensorCoreLinear, SkinnyTakesUpToThirtyTwoTokens) {
    for (const u32 tile : {8u, 16u, 32u}) {
        for (const u32 tokens : {tile, tile - 3, 1u}) {
            for (const Shape s : {Shape{tokens, 40, 1096}, Shape{tokens, 7, 8}}) {
                const Problem<TypeParam> p(s, 4);
                holds_linear(this->skinny("linear_skinny", s, tile, 16), p, this->kTwoTerms, tokens == tile);
                holds_gated(this->skinny("gate_up_skinny", s, tile, 8), p, this->kTwoTerms);
                holds_linear(this->skinny("linear_skinny", s, tile, 16), p, Element<TypeParam>::unit, false, false);
            }
        }
    }
}

TYPED_TEST(TensorCoreLinear, GemmTakesManyTokens) {
    for (const u32 tile : {64u, 128u, 256u}) {
        if (tile == 256 && !std::is_same_v<TypeParam, bf16>) continue;
        const u32 wide = std::min(tile, 128u);
        for (const Shape s : {Shape{wide, tile, 64}, Shape{wide + 3, tile + 17, 200}, Shape{5, 9, 8}, Shape{70, 50, 96}}) {
            const Problem<TypeParam> p(s, 4);
            holds_linear(this->gemm("linear_gemm", s, tile, tile), p, this->kTwoTerms, s.tokens == 5);
            holds_gated(this->gemm("gate_up_gemm", s, tile, tile / 2), p, this->kTwoTerms);
            holds_linear(this->gemm("linear_gemm", s, tile, tile), p, Element<TypeParam>::unit, true, false);
        }
    }
}

TYPED_TEST(TensorCoreLinear, LargeActivationsNeitherOverflowNorVanish) {
    for (const float magnitude : {1e6f, 1e30f, 1e-12f}) {
        const Shape s{9, 20, 64};
        Problem<TypeParam> p(s, 0, magnitude);
        for (float& scale : p.scales) scale = std::ldexp(1.0f, std::ilogb(scale));
        const auto y = run(this->gemm("linear_gemm", s, 64, 64), p, false, false, true, Order::ascending);
        const auto z = run(this->skinny("linear_skinny", s, 16, 16), p, false, false, true, Order::ascending);
        for (u32 t = 0; t < s.tokens; ++t) {
            for (u32 row = 0; row < s.outputs; ++row) {
                const auto [sum, sizes] = p.dot(p.weights, t, row);
                const double error = (kUnit * (s.inputs + 4) + this->kTwoTerms) * sizes;
                ASSERT_NEAR(y[t * s.outputs + row], sum, error);
                ASSERT_NEAR(z[t * s.outputs + row], sum, error);
            }
        }
    }
}

TYPED_TEST(TensorCoreLinear, ANaNStaysInItsToken) {
    const Shape s{40, 20, 64};
    Problem<TypeParam> p(s, 0);
    p.x[3 * 64 + 9] = std::numeric_limits<float>::quiet_NaN();
    const auto y = run(this->gemm("linear_gemm", s, 64, 64), p, false, false, true, Order::ascending);
    for (u32 i = 0; i < y.size(); ++i) ASSERT_EQ(std::isnan(y[i]), i / s.outputs == 3);
}

}  // namespace
