// y[t][r] (+)= sum_k w[r][k] * x[t][k], few tokens.
//
// One row at a time for one token, two rows for more: each weight is widened once and meets up to kTokens
// tokens. The lines that come next are asked for in the order of memory, which keeps enough of them in
// flight: on a Zen 5 core this reads at 95 % of the best plain read loop, where eight rows side by side reach
// 80 %, and one row without asking 88 %. From four tokens on, a stretch of rows is walked in spans of
// columns, so that the activations of a span stay in L1 while the rows pass by; accumulators wait on the
// stack. Bound by memory for up to about four tokens, then by fmadd (docs/perf/kernels.md). Lanes run along
// k; each result has two accumulators of its own, so that its bits do not depend on what is computed beside
// it. Mirrors reference/products.cpp; proved by tests/gemv_check.cpp.
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
    static constexpr std::size_t kChunk = 64;                   // a whole number of steps and of cache lines
    static constexpr std::size_t kLine = 64 / sizeof(Element);  // elements of a cache line
    static constexpr std::size_t kAhead = 8192 / sizeof(Element);  // elements
    static constexpr std::size_t kTokens = V::kAccumulators / 4;   // two rows of two accumulators each

    template <std::size_t R, std::size_t T>
    struct Sums {
        F even[T][R], odd[T][R];
    };

    // One vector along k: count = kLanes, or fewer if given.
    template <std::size_t R, std::size_t T, typename... Count>
    static void step(const Element* w, std::size_t stride, const float* const* x, std::size_t k,
                     F (&sums)[T][R], Count... count) {
        F weights[R];
#pragma GCC unroll 2
        for (std::size_t r = 0; r < R; ++r) weights[r] = V::load(Stored{}, w + r * stride + k, count...);
#pragma GCC unroll 8
        for (std::size_t t = 0; t < T; ++t) {
            F activations = V::load(F32{}, x[t] + k, count...);
            V::keep(activations);
#pragma GCC unroll 2
            for (std::size_t r = 0; r < R; ++r) sums[t][r] = V::fmadd(weights[r], activations, sums[t][r]);
        }
    }

    template <std::size_t R, std::size_t T>
    static void clear(Sums<R, T>& sums) {
#pragma GCC unroll 8
        for (std::size_t t = 0; t < T; ++t) {
#pragma GCC unroll 2
            for (std::size_t r = 0; r < R; ++r) sums.even[t][r] = sums.odd[t][r] = V::zero();
        }
    }

    // Columns [k, end) of R rows; a partial chunk only at the end of the rows. `ask(k)` asks for what comes
    // next.
    template <std::size_t R, std::size_t T, typename Ask>
    [[gnu::always_inline]] static void walk(const Element* w, std::size_t stride, const float* const* x,
                                            std::size_t k, std::size_t end, Sums<R, T>& sums,
                                            const Ask& ask) {
        for (; k + kChunk <= end; k += kChunk) {
            ask(k);
#pragma GCC unroll 4
            for (std::size_t i = 0; i < kChunk; i += kStep) {
                step<R, T>(w, stride, x, k + i, sums.even);
                step<R, T>(w, stride, x, k + i + kLanes, sums.odd);
            }
        }
        for (; k + kLanes <= end; k += kLanes) step<R, T>(w, stride, x, k, sums.even);
        if (k < end) step<R, T>(w, stride, x, k, sums.odd, end - k);
    }

    template <std::size_t R, std::size_t T>
    static void store(const Sums<R, T>& sums, float* const* y, std::size_t row, bool accumulate) {
#pragma GCC unroll 8
        for (std::size_t t = 0; t < T; ++t) {
            F whole[8];
#pragma GCC unroll 8
            for (std::size_t r = 0; r < 8; ++r) {
                whole[r] = r < R ? V::add(sums.even[t][r % R], sums.odd[t][r % R]) : V::zero();
            }
            V::store_sums(whole, y[t] + row, R, accumulate);
        }
    }

    // All rows one after the other (R at once), for so few tokens that the activations stay in L1.
    template <std::size_t R, std::size_t T>
    static void rows(const Weights& w, const float* const* x, float* const* y, bool accumulate) {
        const Element* data = static_cast<const Element*>(w.data);
        std::size_t r = 0;
        for (; r + R <= w.rows; r += R) {
            const Element* row = data + r * w.stride;
            const Element* ahead = row + (R * w.stride > kAhead ? R * w.stride : kAhead);
            Sums<R, T> sums;
            clear(sums);
            walk(row, w.stride, x, 0, w.depth, sums, [=](std::size_t k) {
#pragma GCC unroll 8
                for (std::size_t i = 0; i < R * kChunk; i += kLine) __builtin_prefetch(ahead + k * R + i);
            });
            store(sums, y, r, accumulate);
        }
        if constexpr (R > 1) {
            if (r == w.rows) return;
            float* targets[T];
            for (std::size_t t = 0; t < T; ++t) targets[t] = y[t] + r;
            rows<1, T>({data + r * w.stride, w.stride, 1, w.depth}, x, targets, accumulate);
        }
    }

    static constexpr std::size_t kStretch = 8;  // rows
    static constexpr std::size_t kSpan = 512;   // columns: eight tokens' activations are 16 KiB

    // Accumulators of a stretch between two spans.
    struct Waiting {
        F even[kStretch][kGemvTokens], odd[kStretch][kGemvTokens];
    };

    struct Span {
        std::size_t first, end;  // columns
        bool is_last;
        // Where the first row of the stretch goes on, or the next stretch begins.
        const Element* next;
    };

    // R rows from row r of the stretch on, T tokens from token t on.
    template <std::size_t R, std::size_t T>
    static void span_rows(const Weights& w, std::size_t r, const Span& span, const float* const* x,
                          std::size_t t, float* const* y, bool accumulate, Waiting& waiting) {
        Sums<R, T> sums;
        clear(sums);
        if (span.first > 0) {
            for (std::size_t i = 0; i < T * R; ++i) {
                sums.even[i / R][i % R] = waiting.even[r + i % R][t + i / R];
                sums.odd[i / R][i % R] = waiting.odd[r + i % R][t + i / R];
            }
        }
        const Element* row = static_cast<const Element*>(w.data) + r * w.stride;
        const Element* next = span.next + r * w.stride - span.first;
        const bool asks = t == 0;  // the others find the lines in L1
        walk(row, w.stride, x + t, span.first, span.end, sums, [=](std::size_t k) {
            if (!asks) return;
#pragma GCC unroll 8
            for (std::size_t i = 0; i < R * kChunk; i += kLine)
                __builtin_prefetch(next + i / kChunk * w.stride + k + i % kChunk);
        });
        if (span.is_last) return store(sums, y + t, r, accumulate);
        for (std::size_t i = 0; i < T * R; ++i) {
            waiting.even[r + i % R][t + i / R] = sums.even[i / R][i % R];
            waiting.odd[r + i % R][t + i / R] = sums.odd[i / R][i % R];
        }
    }

    template <std::size_t T>
    static void span_tokens(const Weights& w, const Span& span, const float* const* x, std::size_t t,
                            float* const* y, bool accumulate, Waiting& waiting) {
        std::size_t r = 0;
        for (; r + 2 <= w.rows; r += 2) span_rows<2, T>(w, r, span, x, t, y, accumulate, waiting);
        if (r < w.rows) span_rows<1, T>(w, r, span, x, t, y, accumulate, waiting);
    }

    // At most kStretch rows, four to kGemvTokens tokens.
    static void stretch(const Weights& w, const float* const* x, std::size_t tokens, float* const* y,
                        bool accumulate) {
        Waiting waiting;
        const Element* data = static_cast<const Element*>(w.data);
        const std::size_t groups = (tokens + kTokens - 1) / kTokens;
        std::size_t k = 0;
        do {
            const std::size_t end = smaller(w.depth, k + kSpan);
            const bool is_last = end == w.depth;
            const Span span{k, end, is_last, is_last ? data + kStretch * w.stride : data + end};
            std::size_t t = 0;
            for (std::size_t group = 0; group < groups; ++group) {
                const std::size_t count = (tokens - t) / (groups - group);
                static_assert(kTokens == 3 || kTokens == 6);
                if (count == 2) span_tokens<2>(w, span, x, t, y, accumulate, waiting);
                if (count == 3) span_tokens<3>(w, span, x, t, y, accumulate, waiting);
                if constexpr (kTokens == 6) {
                    if (count == 4) span_tokens<4>(w, span, x, t, y, accumulate, waiting);
                    if (count == 5) span_tokens<5>(w, span, x, t, y, accumulate, waiting);
                    if (count == 6) span_tokens<6>(w, span, x, t, y, accumulate, waiting);
                }
                t += count;
            }
            k = end;
        } while (k < w.depth);
    }

    // At most kGemvTokens tokens.
    static void batch(const Weights& w, const float* const* x, std::size_t tokens, float* const* y,
                      bool accumulate) {
        if (tokens == 1) return rows<1, 1>(w, x, y, accumulate);
        if (tokens == 2) return rows<2, 2>(w, x, y, accumulate);
        if (tokens == 3) return rows<2, 3>(w, x, y, accumulate);
        for (std::size_t r = 0; r < w.rows; r += kStretch) {
            float* targets[kGemvTokens];
            for (std::size_t t = 0; t < tokens; ++t) targets[t] = y[t] + r;
            const Element* data = static_cast<const Element*>(w.data) + r * w.stride;
            stretch({data, w.stride, smaller(kStretch, w.rows - r), w.depth}, x, tokens, targets, accumulate);
        }
    }

    static void run(const Weights& w, const ConstRows& x, std::size_t tokens, const Rows& y,
                    bool accumulate) {
        for (std::size_t first = 0; first < tokens; first += kGemvTokens) {
            const std::size_t count = smaller(kGemvTokens, tokens - first);
            const float* sources[kGemvTokens];
            float* targets[kGemvTokens];
            for (std::size_t t = 0; t < count; ++t) {
                sources[t] = row_of(x, first + t);
                targets[t] = row_of(y, first + t);
            }
            batch(w, sources, count, targets, accumulate);
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
