// y[t][r] (+)= sum_k w[r][k] * x[t][k], few tokens.
//
// One row at a time for one token, two rows for more: each weight is widened once and meets up to kTokens tokens. The
// lines kAheadBytes further on are asked for in the order of memory, which keeps enough of them in flight: on a Zen 5
// core this reads at 97 % of the best plain read loop, where eight rows side by side reach 80 %, and one row without asking 88 %.
// Bound by memory for up to about four tokens, then by fmadd (docs/perf/kernels.md). Lanes run along k; each result has
// two accumulators of its own, so that its bits do not depend on what is computed beside it.
// Mirrors reference/products.cpp; proved by tests/gemv_check.cpp.
#pragma once
#include "format.h"

namespace lk {
namespace {

template <typename V, typename Stored>
struct GemvKernel {
    using F = typename V::F;
    using Element = typename Stored::Element;
    static constexpr std::size_t kLanes = V::kLanes;
    static constexpr std::size_t kStep = 2 * kLanes;
    static constexpr std::size_t kChunk = 64;                      // a whole number of steps and of cache lines
    static constexpr std::size_t kLine = 64 / sizeof(Element);     // elements of a cache line
    static constexpr std::size_t kAhead = 8192 / sizeof(Element);  // elements
    static constexpr std::size_t kTokens = V::kAccumulators / 4;   // two rows of two accumulators each

    template <std::size_t R, std::size_t T>
    struct Sums {
        F even[T][R], odd[T][R];
    };

    // One vector along k: count = kLanes, or fewer if given.
    template <std::size_t R, std::size_t T, typename... Count>
    static void step(const Element* w, std::size_t stride, const float* const* x, std::size_t k, F (&sums)[T][R],
                     Count... count) {
        F weights[R];
#pragma GCC unroll 2
        for (std::size_t r = 0; r < R; ++r) weights[r] = V::load(Stored{}, w + r * stride + k, count...);
#pragma GCC unroll 8
        for (std::size_t t = 0; t < T; ++t) {
            const F activations = V::load(F32{}, x[t] + k, count...);
#pragma GCC unroll 2
            for (std::size_t r = 0; r < R; ++r) sums[t][r] = V::fmadd(weights[r], activations, sums[t][r]);
        }
    }

    // R rows, T tokens.
    template <std::size_t R, std::size_t T>
    static void block(const Element* w, std::size_t stride, std::size_t depth, const float* const* x, float* const* y,
                      bool accumulate) {
        Sums<R, T> sums;
#pragma GCC unroll 8
        for (std::size_t t = 0; t < T; ++t) {
#pragma GCC unroll 2
            for (std::size_t r = 0; r < R; ++r) sums.even[t][r] = sums.odd[t][r] = V::zero();
        }
        const Element* ahead = w + (R * stride > kAhead ? R * stride : kAhead);
        std::size_t k = 0;
        for (; k + kChunk <= depth; k += kChunk) {
#pragma GCC unroll 8
            for (std::size_t i = 0; i < R * kChunk; i += kLine) __builtin_prefetch(ahead + k * R + i);
#pragma GCC unroll 4
            for (std::size_t i = 0; i < kChunk; i += kStep) {
                step<R, T>(w, stride, x, k + i, sums.even);
                step<R, T>(w, stride, x, k + i + kLanes, sums.odd);
            }
        }
        for (; k + kLanes <= depth; k += kLanes) step<R, T>(w, stride, x, k, sums.even);
        if (k < depth) step<R, T>(w, stride, x, k, sums.odd, depth - k);
#pragma GCC unroll 8
        for (std::size_t t = 0; t < T; ++t) {
            F whole[8];
#pragma GCC unroll 8
            for (std::size_t r = 0; r < 8; ++r) whole[r] = r < R ? V::add(sums.even[t][r % R], sums.odd[t][r % R]) : V::zero();
            V::store_sums(whole, y[t], R, accumulate);
        }
    }

    // All rows, T tokens.
    template <std::size_t T>
    static void rows(const Weights& w, const float* const* x, float* const* y, bool accumulate) {
        constexpr std::size_t kWide = T == 1 ? 1 : 2;
        const Element* data = static_cast<const Element*>(w.data);
        float* target[T];
        for (std::size_t t = 0; t < T; ++t) target[t] = y[t];
        std::size_t r = 0;
        const auto advance = [&](std::size_t count) {
            r += count;
            for (std::size_t t = 0; t < T; ++t) target[t] += count;
        };
        for (; r + kWide <= w.rows; advance(kWide)) {
            block<kWide, T>(data + r * w.stride, w.stride, w.depth, x, target, accumulate);
        }
        for (; r < w.rows; advance(1)) block<1, T>(data + r * w.stride, w.stride, w.depth, x, target, accumulate);
    }

    static void group(const Weights& w, const float* const* x, std::size_t tokens, float* const* y, bool accumulate) {
        static_assert(kTokens == 3 || kTokens == 6);
        switch (tokens) {
            case 1: return rows<1>(w, x, y, accumulate);
            case 2: return rows<2>(w, x, y, accumulate);
            case 3: return rows<3>(w, x, y, accumulate);
            default: break;
        }
        if constexpr (kTokens == 6) {
            switch (tokens) {
                case 4: return rows<4>(w, x, y, accumulate);
                case 5: return rows<5>(w, x, y, accumulate);
                case 6: return rows<6>(w, x, y, accumulate);
                default: break;
            }
        }
    }

    // Several groups of tokens share a stretch of rows while it is in L1 or L2.
    static void run(const Weights& w, const ConstRows& x, std::size_t tokens, const Rows& y, bool accumulate) {
        for (std::size_t first = 0; first < tokens; first += kGemvTokens) {
            const std::size_t count = smaller(kGemvTokens, tokens - first);
            const float* sources[kGemvTokens];
            float* targets[kGemvTokens];
            for (std::size_t t = 0; t < count; ++t) {
                sources[t] = row_of(x, first + t);
                targets[t] = row_of(y, first + t);
            }
            stretches(w, sources, count, targets, accumulate);
        }
    }

    static constexpr std::size_t kStretch = 8;  // rows that stay in L1 for the next group of tokens

    static void stretches(const Weights& w, const float* const* x, std::size_t tokens, float** y, bool accumulate) {
        if (tokens <= kTokens) return group(w, x, tokens, y, accumulate);
        const std::size_t groups = (tokens + kTokens - 1) / kTokens;
        for (std::size_t r = 0; r < w.rows; r += kStretch) {
            Weights stretch = w;
            stretch.data = static_cast<const Element*>(w.data) + r * w.stride;
            stretch.rows = smaller(kStretch, w.rows - r);
            std::size_t t = 0;
            for (std::size_t g = 0; g < groups; ++g) {
                const std::size_t count = (tokens - t) / (groups - g);
                float* targets[kTokens];
                for (std::size_t i = 0; i < count; ++i) targets[i] = y[t + i] + r;
                group(stretch, x + t, count, targets, accumulate);
                t += count;
            }
        }
    }
};

template <typename V>
void install_gemv_of(Kernels& table) {
    table.gemv[index_of(Format::f32)] = GemvKernel<V, F32>::run;
    table.gemv[index_of(Format::bf16)] = GemvKernel<V, Bf16>::run;
    table.gemv[index_of(Format::f16)] = GemvKernel<V, F16>::run;
}

}  // namespace
}  // namespace lk
