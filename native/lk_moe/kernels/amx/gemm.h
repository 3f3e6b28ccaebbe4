// y[t][r] (+)= sum_k w[r][k] * x[t][k], many tokens, on tiles: weights in bf16, activations rounded to bf16,
// sums in f32.
//
// Weights are the A operand: 16 rows of 32 columns, loaded by stride from where the checkpoint has them.
// Activations are B: 16 pairs of columns of 16 tokens, which is how avx512bf16/tiles.h packs them. Four
// accumulator tiles, 32 rows by 32 tokens, take four tile loads for four products, so that each operand is
// used twice. What is left over (rows beyond a multiple of 16, columns beyond one of 32, few tokens beyond
// one of 16) is done by vdpbf16ps on the same packed activations. Bound: a product of tiles is 16 cycles, a
// load of one from L2 at least 16; weights come from memory once. Tiles is the instruction set (gemm.cpp), or
// its definition in plain C++ (tests/amx_check.cpp), which proves the walk on machines without AMX; with AMX
// tests/gemm_check.cpp proves all of it.
#pragma once
#include "../avx512bf16/tiles.h"

namespace lk::amx {
namespace {

using avx512bf16::even;
using avx512bf16::kLanes;
using avx512bf16::Packed;
using avx512bf16::rows_of;

constexpr std::size_t kTileRows = 16;
constexpr std::size_t kTileDepth = 32;  // columns: 16 pairs, 64 bytes
constexpr std::size_t kStretch = 64;    // rows that stay in L2 while all tokens pass by

// Tile numbers: 0 … 3 accumulate [row half][token half], 4 and 5 hold weights, 6 and 7 activations.
template <typename Tiles, std::size_t R, std::size_t B>
void products(const bf16* w, std::size_t stride, const bf16* x, std::size_t block_stride, std::size_t depth) {
    Tiles::template zero<0>();
    if constexpr (B == 2) Tiles::template zero<1>();
    if constexpr (R == 2) Tiles::template zero<2>();
    if constexpr (R == 2 && B == 2) Tiles::template zero<3>();
    const std::size_t row_bytes = stride * sizeof(bf16);
    constexpr std::size_t kPairBytes = 2 * kLanes * sizeof(bf16);
    for (std::size_t k = 0; k < depth; k += kTileDepth) {
        Tiles::template load<4>(w + k, row_bytes);
        Tiles::template load<6>(x + k * kLanes, kPairBytes);
        Tiles::template multiply<0, 4, 6>();
        if constexpr (B == 2) {
            Tiles::template load<7>(x + block_stride + k * kLanes, kPairBytes);
            Tiles::template multiply<1, 4, 7>();
        }
        if constexpr (R == 2) {
            Tiles::template load<5>(w + kTileRows * stride + k, row_bytes);
            Tiles::template multiply<2, 5, 6>();
            if constexpr (B == 2) Tiles::template multiply<3, 5, 7>();
        }
    }
}

// Accumulator tile `index` holds [row][token]; y wants [token][row].
template <typename Tiles, int kIndex>
void store(const Rows& y, std::size_t column, std::size_t token, std::size_t count, bool accumulate) {
    alignas(64) float tile[kTileRows][kLanes];
    Tiles::template store<kIndex>(tile, sizeof tile[0]);
    __m512 rows[1][kTileRows];
    for (std::size_t r = 0; r < kTileRows; ++r) rows[0][r] = _mm512_load_ps(tile[r]);
    store_sums_by_token<Avx512, kTileRows, 1>(rows, y, column, kTileRows, token, count, accumulate);
}

template <typename Tiles, std::size_t R, std::size_t B>
void square(const Weights& w, std::size_t r, const bf16* x, std::size_t block, std::size_t tokens,
            std::size_t depth, const Rows& y, bool accumulate) {
    const std::size_t block_stride = even(w.depth) * kLanes;
    const auto* rows = static_cast<const bf16*>(w.data) + r * w.stride;
    products<Tiles, R, B>(rows, w.stride, x + block * block_stride, block_stride, depth);
    const std::size_t token = block * kLanes, count = tokens - token;
    store<Tiles, 0>(y, r, token, smaller(kLanes, count), accumulate);
    if constexpr (B == 2) store<Tiles, 1>(y, r, token + kLanes, smaller(kLanes, count - kLanes), accumulate);
    if constexpr (R == 2) {
        store<Tiles, 2>(y, r + kTileRows, token, smaller(kLanes, count), accumulate);
        if constexpr (B == 2) {
            store<Tiles, 3>(y, r + kTileRows, token + kLanes, smaller(kLanes, count - kLanes), accumulate);
        }
    }
}

// R * 16 rows from row r on, with all whole blocks of tokens, the first `depth` columns.
template <typename Tiles, std::size_t R>
void rows(const Weights& w, std::size_t r, const bf16* x, std::size_t tokens, std::size_t depth,
          const Rows& y, bool accumulate) {
    const Packed layout(tokens);
    std::size_t block = 0;
    for (; block + 2 <= layout.blocks; block += 2)
        square<Tiles, R, 2>(w, r, x, block, tokens, depth, y, accumulate);
    if (block < layout.blocks) square<Tiles, R, 1>(w, r, x, block, tokens, depth, y, accumulate);
}

// A stretch of rows whose number is a multiple of kTileRows.
template <typename Tiles>
void stretch(const Weights& w, const bf16* x, std::size_t tokens, const Rows& y, bool accumulate) {
    const std::size_t depth = w.depth / kTileDepth * kTileDepth;
    if (depth > 0) {
        std::size_t r = 0;
        for (; r + 2 * kTileRows <= w.rows; r += 2 * kTileRows)
            rows<Tiles, 2>(w, r, x, tokens, depth, y, accumulate);
        if (r < w.rows) rows<Tiles, 1>(w, r, x, tokens, depth, y, accumulate);
    }
    if (depth < w.depth || depth == 0) {
        avx512bf16::multiply_blocks(w, depth, x, tokens, y, accumulate || depth > 0);
    }
    avx512bf16::multiply_rest(w, x, tokens, y, accumulate);
}

template <typename Tiles>
void multiply(const Weights& w, const void* packed, std::size_t tokens, const Rows& y, bool accumulate) {
    const auto* x = static_cast<const bf16*>(packed);
    const std::size_t whole = w.rows / kTileRows * kTileRows;
    Tiles::configure();
    for (std::size_t r = 0; r < whole; r += kStretch) {
        stretch<Tiles>(rows_of(w, r, smaller(kStretch, whole - r)), x, tokens,
                       {y.data + r, y.stride, y.index}, accumulate);
    }
    Tiles::release();
    if (whole == w.rows) return;
    const Weights left = rows_of(w, whole, w.rows - whole);
    const Rows target{y.data + whole, y.stride, y.index};
    avx512bf16::multiply_blocks(left, 0, x, tokens, target, accumulate);
    avx512bf16::multiply_rest(left, x, tokens, target, accumulate);
}

}  // namespace
}  // namespace lk::amx
