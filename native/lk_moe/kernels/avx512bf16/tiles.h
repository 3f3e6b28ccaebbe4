// vdpbf16ps on packed activations: the tiles that avx512bf16/gemm.cpp is made of, and that amx/gemm.h falls
// back on.
//
// Activations are packed as [block of 16 tokens][pair of columns][lane][2], so that lanes run along tokens
// and a pair of weights is broadcast from where the checkpoint's row lies. Few tokens beyond the last whole
// block are kept row-major, each padded to an even depth; for them lanes run along k. Bound by vdpbf16ps: a
// tile of 12 rows by 2 blocks does 24 of them for 14 loads, 8 by 3 for 11 (docs/perf/kernels.md).
#pragma once
#include "../avx512/vector.h"
#include "../simd/gemm.h"

namespace lk::avx512bf16 {
namespace {

using F = __m512;
using Packed = PackedTokens<16>;

constexpr std::size_t kLanes = 16;
constexpr std::size_t kLine = 32;           // columns of a cache line of weights
constexpr std::size_t kDepth = 1024;        // columns at once
constexpr std::size_t kTokensAtOnce = 256;  // of kDepth columns: 512 KiB, in L2

constexpr std::size_t even(std::size_t depth) { return (depth + 1) / 2 * 2; }

F multiply_pairs(F sum, __m512i a, __m512i b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }

__m512i broadcast_pair(const bf16* p) {
    int pair;
    __builtin_memcpy(&pair, p, sizeof pair);
    return _mm512_set1_epi32(pair);
}

// Where the rows of a tile are. Those beyond the last are the last: computed, and not stored.
template <std::size_t R>
struct Panel {
    const bf16* row[R] = {};

    Panel() = default;

    Panel(const bf16* w, std::size_t stride, std::size_t live) {
        for (std::size_t r = 0; r < R; ++r) row[r] = w + (r < live ? r : live - 1) * stride;
    }
};

struct Span {
    const bf16* packed;       // at column k of block 0
    std::size_t total_depth;  // even
    std::size_t depth;        // of this span
    std::size_t tokens;       // all
    bool accumulate;
};

// One pair of columns: k of the panel, and the first of x.
template <std::size_t R, std::size_t B>
[[gnu::always_inline]] inline void step(const Panel<R>& panel, std::size_t k, const bf16* x,
                                        std::size_t block_stride, F (&sums)[B][R]) {
    __m512i activations[B];
#pragma GCC unroll 4
    for (std::size_t b = 0; b < B; ++b) activations[b] = _mm512_loadu_si512(x + b * block_stride);
#pragma GCC unroll 16
    for (std::size_t r = 0; r < R; ++r) {
        const __m512i weights = broadcast_pair(panel.row[r] + k);
#pragma GCC unroll 4
        for (std::size_t b = 0; b < B; ++b) sums[b][r] = multiply_pairs(sums[b][r], weights, activations[b]);
    }
}

template <std::size_t R, std::size_t B>
void tile(const Panel<R>& panel, const Span& span, std::size_t block, const Rows& y, std::size_t column,
          std::size_t live, const Panel<R>& ahead) {
    const std::size_t block_stride = span.total_depth * kLanes;
    const bf16* x = span.packed + block * block_stride;
    F sums[B][R];
#pragma GCC unroll 4
    for (std::size_t b = 0; b < B; ++b) {
#pragma GCC unroll 16
        for (std::size_t r = 0; r < R; ++r) sums[b][r] = Avx512::zero();
    }
    std::size_t k = 0;
    for (; k + kLine <= span.depth; k += kLine) {
        for (std::size_t i = 0; i < kLine; i += 2) step<R, B>(panel, k + i, x + (k + i) * kLanes, block_stride, sums);
        // Only now: rows a power of two apart share their L1 sets, and these lines would push out those in
        // use.
        if (ahead.row[0] != nullptr) {
#pragma GCC unroll 16
            for (std::size_t r = 0; r < R; ++r) __builtin_prefetch(ahead.row[r] + k);
        }
    }
    for (; k + 2 <= span.depth; k += 2) step<R, B>(panel, k, x + k * kLanes, block_stride, sums);
    if (k < span.depth) {
        bf16 last[R][2] = {};
        Panel<R> end;
        for (std::size_t r = 0; r < R; ++r) {
            last[r][0] = panel.row[r][k];
            end.row[r] = last[r];
        }
        step<R, B>(end, 0, x + k * kLanes, block_stride, sums);
    }
    const std::size_t token = block * kLanes;
    store_sums_by_token<Avx512, R, B>(sums, y, column, live, token, span.tokens - token, span.accumulate);
}

// Blocks [first, first + tiles * B) of tokens with all rows.
template <std::size_t R, std::size_t B>
void columns(const Weights& w, const bf16* data, const Span& span, std::size_t first, std::size_t tiles,
             const Rows& y) {
    for (std::size_t r = 0; r < w.rows; r += R) {
        const std::size_t live = smaller(R, w.rows - r);
        const Panel<R> panel(data + r * w.stride, w.stride, live),
            next(data + (r + R) * w.stride, w.stride, R);
        for (std::size_t i = 0; i < tiles; ++i) {
            tile<R, B>(panel, span, first + i * B, y, r, live, i + 1 == tiles ? next : Panel<R>());
        }
    }
}

// Tiles of two blocks, but for an odd count, which ends with one of three.
void blocks(const Weights& w, const bf16* data, const Span& span, std::size_t first, std::size_t count,
            const Rows& y) {
    if (count == 1) return columns<8, 1>(w, data, span, first, 1, y);
    const std::size_t last = count % 2 != 0 ? 3 : 0;
    columns<12, 2>(w, data, span, first, (count - last) / 2, y);
    if (last != 0) columns<8, 3>(w, data, span, first + count - last, 1, y);
}

// The last few tokens, row-major: lanes run along k, R rows by T tokens.
template <std::size_t R, std::size_t T>
void rest_tile(const bf16* w, std::size_t stride, std::size_t depth, const bf16* x, std::size_t x_stride,
               float* const* y, std::size_t column, bool accumulate) {
    F sums[T][8];
#pragma GCC unroll 4
    for (std::size_t t = 0; t < T; ++t) {
#pragma GCC unroll 8
        for (std::size_t r = 0; r < 8; ++r) sums[t][r] = Avx512::zero();
    }
    const auto step = [&](std::size_t k, __mmask32 live) __attribute__((always_inline)) {
        __m512i activations[T];
#pragma GCC unroll 4
        for (std::size_t t = 0; t < T; ++t)
            activations[t] = _mm512_maskz_loadu_epi16(live, x + t * x_stride + k);
#pragma GCC unroll 8
        for (std::size_t r = 0; r < R; ++r) {
            const __m512i weights = _mm512_maskz_loadu_epi16(live, w + r * stride + k);
#pragma GCC unroll 4
            for (std::size_t t = 0; t < T; ++t)
                sums[t][r] = multiply_pairs(sums[t][r], weights, activations[t]);
        }
    };
    std::size_t k = 0;
    for (; k + kLine <= depth; k += kLine) step(k, ~__mmask32{0});
    if (k < depth) step(k, _bzhi_u32(~0u, static_cast<unsigned>(depth - k)));
#pragma GCC unroll 4
    for (std::size_t t = 0; t < T; ++t) Avx512::store_sums(sums[t], y[t] + column, R, accumulate);
}

template <std::size_t R>
void rest_rows(const Weights& w, std::size_t r, const bf16* x, std::size_t x_stride, float* const* y,
               std::size_t tokens, bool accumulate) {
    const bf16* data = static_cast<const bf16*>(w.data) + r * w.stride;
    while (tokens > 0) {
        const std::size_t now = tokens == 4 ? 2 : smaller(tokens, 3);
        if (now == 1) rest_tile<R, 1>(data, w.stride, w.depth, x, x_stride, y, r, accumulate);
        if (now == 2) rest_tile<R, 2>(data, w.stride, w.depth, x, x_stride, y, r, accumulate);
        if (now == 3) rest_tile<R, 3>(data, w.stride, w.depth, x, x_stride, y, r, accumulate);
        x += now * x_stride;
        y += now;
        tokens -= now;
    }
}

// Columns [from, w.depth) of a stretch of rows with all whole blocks of tokens.
void multiply_blocks(const Weights& w, std::size_t from, const bf16* x, std::size_t tokens, const Rows& y,
                     bool accumulate) {
    const Packed layout(tokens);
    const auto* data = static_cast<const bf16*>(w.data);
    constexpr std::size_t kAtOnce = kTokensAtOnce / kLanes;
    for (std::size_t first = 0; first < layout.blocks; first += kAtOnce) {
        const std::size_t count = smaller(kAtOnce, layout.blocks - first);
        std::size_t k = from;
        do {
            const std::size_t depth = smaller(kDepth, w.depth - k);
            const Span span{x + k * kLanes, even(w.depth), depth, tokens, accumulate || k > from};
            blocks(w, data + k, span, first, count, y);
            k += depth;
        } while (k < w.depth);
    }
}

// A stretch of rows with the tokens after the last whole block.
void multiply_rest(const Weights& w, const bf16* x, std::size_t tokens, const Rows& y, bool accumulate) {
    const Packed layout(tokens);
    if (layout.rest == 0) return;
    const std::size_t total_depth = even(w.depth);
    const bf16* rest = x + layout.blocks * kLanes * total_depth;
    float* targets[kLanes];
    for (std::size_t t = 0; t < layout.rest; ++t) targets[t] = row_of(y, layout.blocks * kLanes + t);
    std::size_t r = 0;
    for (; r + 8 <= w.rows; r += 8) rest_rows<8>(w, r, rest, total_depth, targets, layout.rest, accumulate);
    for (; r < w.rows; ++r) rest_rows<1>(w, r, rest, total_depth, targets, layout.rest, accumulate);
}

// `count` rows of a product from row r on.
Weights rows_of(const Weights& w, std::size_t r, std::size_t count) {
    return {static_cast<const bf16*>(w.data) + r * w.stride, w.stride, count, w.depth};
}

std::size_t packed_bytes(std::size_t tokens, std::size_t depth) {
    return (tokens + kLanes - 1) / kLanes * kLanes * even(depth) * sizeof(bf16);
}

// 32 columns from column k on, `count` of them there, rounded: 16 pairs.
__m512i round_columns(const float* row, std::size_t k, std::size_t count) {
    const std::size_t low = smaller(count, kLanes);
    const F first = Avx512::load(F32{}, row + k, low);
    const F second = count > kLanes ? Avx512::load(F32{}, row + k + kLanes, count - kLanes) : Avx512::zero();
    return (__m512i)_mm512_cvtne2ps_pbh(second, first);
}

// Pairs count as one f32 each while they change places.
void pack_block(const float* const (&rows)[kLanes], std::size_t live, std::size_t depth, bf16* target) {
    for (std::size_t k = 0; k < depth; k += kLine) {
        const std::size_t count = smaller(kLine, depth - k);
        for (std::size_t group = 0; group < kLanes; group += 8) {
            F pairs[8];
            for (std::size_t i = 0; i < 8; ++i) {
                pairs[i] = group + i < live ? _mm512_castsi512_ps(round_columns(rows[group + i], k, count))
                                            : Avx512::zero();
            }
            float* place = reinterpret_cast<float*>(target + k * kLanes) + group;
            if (count == kLine) {
                Avx512::store_transposed(pairs, place, kLanes);
                continue;
            }
            float columns[kLanes][8];
            Avx512::store_transposed(pairs, columns[0], 8);
            for (std::size_t p = 0; p < even(count) / 2; ++p)
                Avx512::put_eight(columns[p], place + p * kLanes, 8, false);
        }
    }
}

void pack(const ConstRows& x, std::size_t tokens, std::size_t depth, void* packed) {
    const Packed layout(tokens);
    auto* target = static_cast<bf16*>(packed);
    const std::size_t total_depth = even(depth);
    for (std::size_t block = 0; block < layout.blocks; ++block) {
        const std::size_t first = block * kLanes, live = smaller(kLanes, tokens - first);
        const float* rows[kLanes] = {};
        for (std::size_t i = 0; i < live; ++i) rows[i] = row_of(x, first + i);
        pack_block(rows, live, depth, target + block * kLanes * total_depth);
    }
    for (std::size_t t = 0; t < layout.rest; ++t) {
        const float* row = row_of(x, layout.blocks * kLanes + t);
        bf16* rounded = target + (layout.blocks * kLanes + t) * total_depth;
        for (std::size_t k = 0; k < depth; k += 2 * kLanes) {
            const std::size_t count = smaller(2 * kLanes, depth - k);
            const __mmask32 live = _bzhi_u32(~0u, static_cast<unsigned>(even(count)));
            _mm512_mask_storeu_epi16(rounded + k, live, round_columns(row, k, count));
        }
    }
}

}  // namespace
}  // namespace lk::avx512bf16
