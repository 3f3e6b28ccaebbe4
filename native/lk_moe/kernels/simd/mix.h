// y[t][d] = factors[t] * y[t][d] + sum_j p[t][j] * v[j][d]: the value half of attention.
//
// A tile is T tokens by four vectors along d: per row j of v four loads and T broadcasts feed 4 T fmadd.
// Every token group walks the page again, from L1 or L2. Bound by fmadd from about four tokens up, below by
// reading v. The bits of a result do not depend on the tokens beside it. Mirrors reference/products.cpp;
// proved by tests/mix_check.cpp.
#pragma once
#include "format.h"

namespace lk {
namespace {

template <typename V, typename Stored>
struct MixKernel {
    using F = typename V::F;
    using Element = typename Stored::Element;
    static constexpr std::size_t kLanes = V::kLanes;
    static constexpr std::size_t kVectors = 4;
    static constexpr std::size_t kTokens = V::kAccumulators / kVectors;

    static constexpr std::size_t kAhead = 16;                   // rows
    static constexpr std::size_t kLine = 64 / sizeof(Element);  // elements of a cache line

    static void ask(const Weights& v, std::size_t j) {
        const Element* row = static_cast<const Element*>(v.data) + j * v.stride;
        for (std::size_t d = 0; d < v.depth; d += kLine) __builtin_prefetch(row + d);
    }

    // T tokens by B vectors from column d on; count is absent, or the columns of the only, partial vector.
    template <std::size_t T, std::size_t B, typename... Count>
    static void tile(const Weights& v, const float* const* p, const float* factors, float* const* y,
                     std::size_t d, bool asks, Count... count) {
        F sums[T][B];
#pragma GCC unroll 8
        for (std::size_t t = 0; t < T; ++t) {
#pragma GCC unroll 4
            for (std::size_t b = 0; b < B; ++b) {
                sums[t][b] = V::load(F32{}, y[t] + d + b * kLanes, count...);
                if (factors != nullptr) sums[t][b] = V::mul(V::set(factors[t]), sums[t][b]);
            }
        }
        const Element* row = static_cast<const Element*>(v.data) + d;
        for (std::size_t j = 0; j < v.rows; ++j, row += v.stride) {
            if (asks && j + kAhead < v.rows) ask(v, j + kAhead);
            F values[B];
#pragma GCC unroll 4
            for (std::size_t b = 0; b < B; ++b) values[b] = V::load(Stored{}, row + b * kLanes, count...);
#pragma GCC unroll 8
            for (std::size_t t = 0; t < T; ++t) {
                const F share = V::set(p[t][j]);
#pragma GCC unroll 4
                for (std::size_t b = 0; b < B; ++b) sums[t][b] = V::fmadd(share, values[b], sums[t][b]);
            }
        }
#pragma GCC unroll 8
        for (std::size_t t = 0; t < T; ++t) {
#pragma GCC unroll 4
            for (std::size_t b = 0; b < B; ++b) V::store(F32{}, y[t] + d + b * kLanes, sums[t][b], count...);
        }
    }

    template <std::size_t T>
    static void columns(const Weights& v, const float* const* p, const float* factors, float* const* y,
                        bool asks) {
        std::size_t d = 0;
        for (; d + kVectors * kLanes <= v.depth; d += kVectors * kLanes) {
            tile<T, kVectors>(v, p, factors, y, d, asks && d == 0);
        }
        for (; d + kLanes <= v.depth; d += kLanes) tile<T, 1>(v, p, factors, y, d, asks && d == 0);
        if (d < v.depth) tile<T, 1>(v, p, factors, y, d, asks && d == 0, v.depth - d);
    }

    static void run(const Weights& v, const ConstRows& p, std::size_t tokens, const float* factors,
                    const Rows& y) {
        const std::size_t groups = (tokens + kTokens - 1) / kTokens;
        for (std::size_t j = 0; j < smaller(kAhead, v.rows); ++j) ask(v, j);
        std::size_t done = 0;
        for (std::size_t group = 0; group < groups; ++group) {
            const std::size_t count = (tokens - done) / (groups - group);
            const float* shares[kTokens];
            float* targets[kTokens];
            for (std::size_t t = 0; t < count; ++t) {
                shares[t] = row_of(p, done + t);
                targets[t] = row_of(y, done + t);
            }
            const float* own = factors != nullptr ? factors + done : nullptr;
            static_assert(kTokens == 3 || kTokens == 6);
            if (count == 1) columns<1>(v, shares, own, targets, group == 0);
            if (count == 2) columns<2>(v, shares, own, targets, group == 0);
            if (count == 3) columns<3>(v, shares, own, targets, group == 0);
            if constexpr (kTokens == 6) {
                if (count == 4) columns<4>(v, shares, own, targets, group == 0);
                if (count == 5) columns<5>(v, shares, own, targets, group == 0);
                if (count == 6) columns<6>(v, shares, own, targets, group == 0);
            }
            done += count;
        }
    }
};

template <typename V>
void install_mix_of(Kernels& table) {
    table.mix[index_of(Format::f32)] = MixKernel<V, F32>::run;
    table.mix[index_of(Format::bf16)] = MixKernel<V, Bf16>::run;
    table.mix[index_of(Format::f16)] = MixKernel<V, F16>::run;
}

}  // namespace
}  // namespace lk
