// y[t][r] (+)= sum_k w[r][k] * x[t][k], many tokens, everything in f32.
//
// Activations are packed as [block of kLanes tokens][k][lane], so that lanes run along tokens and a weight is broadcast. A
// tile is R rows by B blocks of accumulators; its rows are first widened into a panel of kDepth columns on the stack, which all
// token blocks then use. Tokens beyond the last whole block, if few, are kept row-major and done by gemv.
// Bound by fmadd: a tile of 6 rows by 4 blocks does 24 of them for 10 loads (docs/perf/kernels.md).
// Mirrors reference/products.cpp; proved by tests/gemm_check.cpp.
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

template <typename V, typename Stored>
struct GemmKernel {
    using F = typename V::F;
    using Element = typename Stored::Element;
    using Packed = PackedTokens<V::kLanes>;
    static constexpr std::size_t kLanes = V::kLanes;
    static constexpr std::size_t kDepth = 512;                         // columns of a panel: 8 rows are 16 KiB
    static constexpr std::size_t kPanelStride = kDepth + 16;           // off the 2 KiB that would share L1 sets
    static constexpr std::size_t kBlocks = V::kAccumulators / 6;       // of a full tile
    static constexpr std::size_t kTokensAtOnce = 256;                  // of kDepth columns: 512 KiB, in L2

    // The rows of one tile: `live` of them are weights, the others zero.
    template <std::size_t R>
    static void widen_panel(const Element* w, std::size_t stride, std::size_t live, std::size_t depth, float* panel) {
        for (std::size_t r = 0; r < R; ++r) {
            float* target = panel + r * kPanelStride;
            std::size_t k = 0;
            if (r >= live) {
                for (; k < depth; ++k) target[k] = 0;
                continue;
            }
            const Element* source = w + r * stride;
            for (; k + kLanes <= depth; k += kLanes) V::store(F32{}, target + k, V::load(Stored{}, source + k));
            if (k < depth) V::store(F32{}, target + k, V::load(Stored{}, source + k, depth - k), depth - k);
        }
    }

    // Tokens of the tile: `count` of them from `first` on.
    template <std::size_t R, std::size_t B>
    static void tile(const float* panel, const float* x, std::size_t block_stride, std::size_t depth, const Rows& y,
                     std::size_t column, std::size_t live, std::size_t first, std::size_t count, bool accumulate) {
        F sums[B][8];
#pragma GCC unroll 4
        for (std::size_t b = 0; b < B; ++b) {
#pragma GCC unroll 8
            for (std::size_t r = 0; r < 8; ++r) sums[b][r] = V::zero();
        }
        for (std::size_t k = 0; k < depth; ++k) {
            F activations[B];
#pragma GCC unroll 4
            for (std::size_t b = 0; b < B; ++b) activations[b] = V::load(F32{}, x + b * block_stride + k * kLanes);
#pragma GCC unroll 8
            for (std::size_t r = 0; r < R; ++r) {
                const F weight = V::set(panel[r * kPanelStride + k]);
#pragma GCC unroll 4
                for (std::size_t b = 0; b < B; ++b) sums[b][r] = V::fmadd(weight, activations[b], sums[b][r]);
            }
        }
        float columns[kLanes][8];
#pragma GCC unroll 4
        for (std::size_t b = 0; b < B; ++b) {
            V::store_transposed(sums[b], columns[0], 8);
            const std::size_t begin = b * kLanes;
            const std::size_t tokens = begin < count ? smaller(kLanes, count - begin) : 0;
            for (std::size_t t = 0; t < tokens; ++t) {
                V::put_eight(columns[t], row_of(y, first + begin + t) + column, live, accumulate);
            }
        }
    }

    struct Span {
        const float* packed;     // at column k of block 0
        std::size_t total_depth;  // of a block
        std::size_t depth;       // of this span
        std::size_t tokens;      // all
        bool accumulate;
    };

    // Blocks [first, first + count * B) of tokens with all rows.
    template <std::size_t R, std::size_t B>
    static void columns(const Weights& w, const Element* data, const Span& span, std::size_t first, std::size_t tiles,
                        const Rows& y) {
        alignas(64) float panel[R * kPanelStride];
        const std::size_t block_stride = span.total_depth * kLanes;
        for (std::size_t r = 0; r < w.rows; r += R) {
            const std::size_t live = smaller(R, w.rows - r);
            widen_panel<R>(data + r * w.stride, w.stride, live, span.depth, panel);
            for (std::size_t i = 0; i < tiles; ++i) {
                const std::size_t block = first + i * B, token = block * kLanes;
                tile<R, B>(panel, span.packed + block * block_stride, block_stride, span.depth, y, r, live, token,
                           span.tokens - token, span.accumulate);
            }
        }
    }

    static void blocks(const Weights& w, const Element* data, const Span& span, std::size_t first, std::size_t count,
                       const Rows& y) {
        columns<6, kBlocks>(w, data, span, first, count / kBlocks, y);
        const std::size_t left = count % kBlocks, at = first + count - left;
        static_assert(kBlocks == 2 || kBlocks == 4);
        if (left == 1) return columns<8, 1>(w, data, span, at, 1, y);
        if constexpr (kBlocks == 4) {
            if (left == 2) return columns<8, 2>(w, data, span, at, 1, y);
            if (left == 3) return columns<8, 3>(w, data, span, at, 1, y);
        }
    }

    static void multiply(const Weights& w, const void* packed, std::size_t tokens, const Rows& y, bool accumulate) {
        const Packed layout(tokens);
        const auto* data = static_cast<const Element*>(w.data);
        const auto* x = static_cast<const float*>(packed);
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
        Rows target = y;
        if (y.index != nullptr) {
            target.index += done;
        } else {
            target.data += done * y.stride;
        }
        GemvKernel<V, Stored>::run(w, rest, layout.rest, target, accumulate);
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
    static void pack_columns(const float* const (&rows)[kLanes], std::size_t live, std::size_t k, std::size_t count,
                             float* target) {
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
            for (std::size_t c = 0; c < count; ++c) V::put_eight(columns[c], target + c * kLanes + group, 8, false);
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
                pack_columns(rows, live, k, smaller(kLanes, depth - k), target + (block * depth + k) * kLanes);
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
