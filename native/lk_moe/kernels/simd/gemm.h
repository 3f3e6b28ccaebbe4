// y[t][r] (+)= sum_k w[r][k] * x[t][k], many tokens, everything in f32.
//
// Activations are packed as [block of kLanes tokens][k][lane], so that lanes run along tokens and a weight is
// broadcast. A tile is R rows by B blocks of accumulators; its rows are first widened into a panel of kDepth
// columns on the stack, which all token blocks then use, while the rows of the next panel are asked for. Rows
// are taken in stretches that stay in L2 while all tokens pass by. Tokens beyond the last whole block, if
// few, are kept row-major and done by gemv. Bound by fmadd: a tile of 12 rows by 2 blocks does 24 of them for
// 14 loads (docs/perf/kernels.md). Mirrors reference/products.cpp; proved by tests/gemm_check.cpp.
#pragma once
#include "gemv.h"

namespace lk {
namespace {

// How `tokens` rows of activations are laid out: whole blocks first, then the rest.
template <std::size_t kLanes>
struct PackedTokens {
    std::size_t blocks;  // of kLanes tokens, the last one perhaps padded
    std::size_t rest;    // tokens after them, row-major

    explicit PackedTokens(std::size_t tokens) : blocks(tokens / kLanes), rest(tokens % kLanes) {
        if (rest > kLanes / 2) {
            ++blocks;
            rest = 0;
        }
    }
};

// R rows of sums by B blocks of tokens, of which `count` from `first` on exist: y wants [token][row].
template <typename V, std::size_t R, std::size_t B>
void store_sums_by_token(const typename V::F (&sums)[B][R], const Rows& y, std::size_t column,
                         std::size_t live, std::size_t first, std::size_t count, bool accumulate) {
#pragma GCC unroll 4
    for (std::size_t b = 0; b < B; ++b) {
        const std::size_t begin = b * V::kLanes;
        const std::size_t tokens = begin < count ? smaller(V::kLanes, count - begin) : 0;
#pragma GCC unroll 2
        for (std::size_t half = 0; half < R; half += 8) {
            if (half >= live) break;
            float columns[V::kLanes][8];
            typename V::F rows[8];
#pragma GCC unroll 8
            for (std::size_t r = 0; r < 8; ++r) rows[r] = half + r < R ? sums[b][(half + r) % R] : V::zero();
            V::store_transposed(rows, columns[0], 8);
            for (std::size_t t = 0; t < tokens; ++t) {
                V::put_eight(columns[t], row_of(y, first + begin + t) + column + half,
                             smaller(8, live - half), accumulate);
            }
        }
    }
}

template <typename V, typename Stored>
struct GemmKernel {
    using F = typename V::F;
    using Element = typename Stored::Element;
    using Packed = PackedTokens<V::kLanes>;
    static constexpr std::size_t kLanes = V::kLanes;
    static constexpr std::size_t kDepth = 512;  // columns of a panel: 12 rows are 24 KiB
    static constexpr std::size_t kPanelStride =
        kDepth + 16;  // off the 2 KiB at which rows would share L1 sets
    static constexpr std::size_t kTileRows = V::kAccumulators / 2;
    static constexpr std::size_t kTokensAtOnce = 256;           // of kDepth columns: 512 KiB, in L2
    static constexpr std::size_t kLine = 64 / sizeof(Element);  // columns of a cache line of weights

    // A panel holds the rows of one tile: `live` of them are weights, the others zero.
    template <std::size_t R>
    static void widen_panel(const Element* w, std::size_t stride, std::size_t live, std::size_t depth,
                            float* panel) {
        for (std::size_t r = 0; r < R; ++r) {
            float* target = panel + r * kPanelStride;
            if (r >= live) {
                __builtin_memset(target, 0, depth * sizeof(float));
                continue;
            }
            const Element* source = w + r * stride;
            std::size_t k = 0;
            for (; k + kLanes <= depth; k += kLanes)
                V::store(F32{}, target + k, V::load(Stored{}, source + k));
            if (k < depth) V::store(F32{}, target + k, V::load(Stored{}, source + k, depth - k), depth - k);
        }
    }

    struct Span {
        const float* packed;      // at column k of block 0
        std::size_t total_depth;  // of a block
        std::size_t depth;        // of this span
        std::size_t tokens;       // all
        bool accumulate;
    };

    template <std::size_t R, std::size_t B>
    [[gnu::always_inline]] static void step(const float* panel, const float* x, std::size_t block_stride,
                                            std::size_t k, F (&sums)[B][R]) {
        F activations[B];
#pragma GCC unroll 4
        for (std::size_t b = 0; b < B; ++b)
            activations[b] = V::load(F32{}, x + b * block_stride + k * kLanes);
#pragma GCC unroll 16
        for (std::size_t r = 0; r < R; ++r) {
            const F weight = V::set(panel[r * kPanelStride + k]);
#pragma GCC unroll 4
            for (std::size_t b = 0; b < B; ++b) sums[b][r] = V::fmadd(weight, activations[b], sums[b][r]);
        }
    }

    // `ahead` is where the weights of the next panel are, or null.
    template <std::size_t R, std::size_t B>
    static void tile(const float* panel, const Span& span, std::size_t block, const Rows& y,
                     std::size_t column, std::size_t live, const Element* ahead, std::size_t stride) {
        const std::size_t block_stride = span.total_depth * kLanes;
        const float* x = span.packed + block * block_stride;
        F sums[B][R];
#pragma GCC unroll 4
        for (std::size_t b = 0; b < B; ++b) {
#pragma GCC unroll 16
            for (std::size_t r = 0; r < R; ++r) sums[b][r] = V::zero();
        }
        std::size_t k = 0;
        for (; k + kLine <= span.depth; k += kLine) {
            for (std::size_t i = 0; i < kLine; ++i) step<R, B>(panel, x, block_stride, k + i, sums);
            if (ahead != nullptr) {
                for (std::size_t r = 0; r < R; ++r) __builtin_prefetch(ahead + r * stride + k);
            }
        }
        for (; k < span.depth; ++k) step<R, B>(panel, x, block_stride, k, sums);
        const std::size_t token = block * kLanes;
        store_sums_by_token<V, R, B>(sums, y, column, live, token, span.tokens - token, span.accumulate);
    }

    // Blocks [first, first + tiles * B) of tokens with all rows.
    template <std::size_t R, std::size_t B>
    static void columns(const Weights& w, const Element* data, const Span& span, std::size_t first,
                        std::size_t tiles, const Rows& y) {
        alignas(64) float panel[R * kPanelStride];
        for (std::size_t r = 0; r < w.rows; r += R) {
            const std::size_t live = smaller(R, w.rows - r);
            widen_panel<R>(data + r * w.stride, w.stride, live, span.depth, panel);
            const Element* next = data + (r + R) * w.stride;
            for (std::size_t i = 0; i < tiles; ++i) {
                tile<R, B>(panel, span, first + i * B, y, r, live, i + 1 == tiles ? next : nullptr, w.stride);
            }
        }
    }

    // Tiles of two blocks, but for an odd count, which ends with one of three if there are registers for it.
    static void blocks(const Weights& w, const Element* data, const Span& span, std::size_t first,
                       std::size_t count, const Rows& y) {
        if constexpr (V::kAccumulators == 24) {
            const std::size_t last = count % 2 == 0 ? 0 : smaller(count, 3);
            columns<kTileRows, 2>(w, data, span, first, (count - last) / 2, y);
            if (last == 3) columns<8, 3>(w, data, span, first + count - last, 1, y);
            if (last == 1) columns<kTileRows, 1>(w, data, span, first, 1, y);
        } else {
            columns<kTileRows, 2>(w, data, span, first, count / 2, y);
            if (count % 2 != 0) columns<8, 1>(w, data, span, first + count - 1, 1, y);
        }
    }

    // A stretch of rows with all tokens: the weights come from memory once, whatever the number of tokens.
    static void stretch(const Weights& w, const float* x, std::size_t tokens, const Rows& y,
                        bool accumulate) {
        const Packed layout(tokens);
        const auto* data = static_cast<const Element*>(w.data);
        constexpr std::size_t kAtOnce = kTokensAtOnce / kLanes;
        for (std::size_t first = 0; first < layout.blocks; first += kAtOnce) {
            const std::size_t count = smaller(kAtOnce, layout.blocks - first);
            std::size_t k = 0;
            do {
                const std::size_t depth = smaller(kDepth, w.depth - k);
                const Span span{x + k * kLanes, w.depth, depth, tokens, accumulate || k > 0};
                blocks(w, data + k, span, first, count, y);
                k += depth;
            } while (k < w.depth);
        }
        if (layout.rest == 0) return;
        const std::size_t done = tokens - layout.rest;
        const ConstRows rest{x + layout.blocks * kLanes * w.depth, w.depth};
        const Rows target = y.index != nullptr ? Rows{y.data, y.stride, y.index + done}
                                               : Rows{y.data + done * y.stride, y.stride};
        GemvKernel<V, Stored>::run(w, rest, layout.rest, target, accumulate);
    }

    static void multiply(const Weights& w, const void* packed, std::size_t tokens, const Rows& y,
                         bool accumulate) {
        for (std::size_t r = 0; r < w.rows; r += kGemmRows) {
            const Weights rows{static_cast<const Element*>(w.data) + r * w.stride, w.stride,
                               smaller(kGemmRows, w.rows - r), w.depth};
            stretch(rows, static_cast<const float*>(packed), tokens, {y.data + r, y.stride, y.index},
                    accumulate);
        }
    }
};

template <typename V>
struct GemmPacking {
    using F = typename V::F;
    using Packed = PackedTokens<V::kLanes>;
    static constexpr std::size_t kLanes = V::kLanes;

    static std::size_t packed_bytes(std::size_t tokens, std::size_t depth) {
        return (tokens + kLanes - 1) / kLanes * kLanes * depth * sizeof(float);
    }

    // kLanes columns of a block from column k on; `count` of them exist.
    static void pack_columns(const float* const (&rows)[kLanes], std::size_t live, std::size_t k,
                             std::size_t count, float* target) {
        for (std::size_t group = 0; group < kLanes; group += 8) {
            F values[8];
            for (std::size_t i = 0; i < 8; ++i) {
                values[i] = group + i < live ? V::load(F32{}, rows[group + i] + k, count) : V::zero();
            }
            if (count == kLanes) {
                V::store_transposed(values, target + group, kLanes);
                continue;
            }
            float columns[kLanes][8];
            V::store_transposed(values, columns[0], 8);
            for (std::size_t c = 0; c < count; ++c)
                V::put_eight(columns[c], target + c * kLanes + group, 8, false);
        }
    }

    static void pack(const ConstRows& x, std::size_t tokens, std::size_t depth, void* packed) {
        const Packed layout(tokens);
        float* target = static_cast<float*>(packed);
        for (std::size_t block = 0; block < layout.blocks; ++block) {
            const std::size_t first = block * kLanes, live = smaller(kLanes, tokens - first);
            const float* rows[kLanes] = {};
            for (std::size_t i = 0; i < live; ++i) rows[i] = row_of(x, first + i);
            for (std::size_t k = 0; k < depth; k += kLanes) {
                pack_columns(rows, live, k, smaller(kLanes, depth - k),
                             target + (block * depth + k) * kLanes);
            }
        }
        for (std::size_t t = 0; t < layout.rest; ++t) {
            const std::size_t token = layout.blocks * kLanes + t;
            if (depth > 0) __builtin_memcpy(target + token * depth, row_of(x, token), depth * sizeof(float));
        }
    }
};

template <typename V, typename Stored>
constexpr Gemm f32_gemm() {
    return {.rounds_activations = false,
            .packed_bytes = GemmPacking<V>::packed_bytes,
            .pack = GemmPacking<V>::pack,
            .multiply = GemmKernel<V, Stored>::multiply};
}

template <typename V>
void install_gemm_of(Kernels& table) {
    const Gemm of_format[kFormatCount] = {f32_gemm<V, F32>(), f32_gemm<V, Bf16>(), f32_gemm<V, F16>()};
    for (std::size_t i = 0; i < kFormatCount; ++i) table.gemm[i] = table.gemm_exact[i] = of_format[i];
}

}  // namespace
}  // namespace lk
