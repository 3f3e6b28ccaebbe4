// y[t][r] (+)= sum_k w[r][k] * x[t][k], many tokens, weights in bf16, activations rounded to bf16, sums in
// f32.
//
// Rows are taken in stretches that stay in L2 while all tokens pass by, so that weights come from memory
// once; the tiles are those of tiles.h. While a tile is computed, the rows of the next one are asked for. On
// one Zen 5 core, weights from memory: 84 to 100 % of a plain vdpbf16ps loop from 32 tokens up
// (docs/perf/kernels.md). Mirrors reference/products.cpp; proved by tests/gemm_check.cpp.
#include "tiles.h"

namespace lk::avx512bf16 {
namespace {

void multiply(const Weights& w, const void* packed, std::size_t tokens, const Rows& y, bool accumulate) {
    const auto* x = static_cast<const bf16*>(packed);
    for (std::size_t r = 0; r < w.rows; r += kGemmRows) {
        const Weights stretch = rows_of(w, r, smaller(kGemmRows, w.rows - r));
        const Rows target{y.data + r, y.stride, y.index};
        multiply_blocks(stretch, 0, x, tokens, target, accumulate);
        multiply_rest(stretch, x, tokens, target, accumulate);
    }
}

}  // namespace

void install(Kernels& table) {
    table.gemm[index_of(Format::bf16)] = {
        .rounds_activations = true, .packed_bytes = packed_bytes, .pack = pack, .multiply = multiply};
}

}  // namespace lk::avx512bf16
