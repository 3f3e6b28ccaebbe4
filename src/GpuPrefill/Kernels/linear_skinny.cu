// y = x wT + bias (linear) or silu(x gateT) * (x upT) (gate_up) for 5 to 32 rows of x and 16-bit weights: skinny.cuh.
//
// A block is eight warps, which share 16 rows of weights (8 of gate and 8 of up) and split k; their sums are added in
// order. Bound by memory: a weight is read once for all tokens. Mirrors ReferenceOps.Linear and GatedMlp; checked by
// DeviceOpsConformance.
#include "linear.cuh"
#include "skinny.cuh"

template <typename W, u32 kTiles>
DEVICE bool skinny_tile(const LinearArgs& args, const W* upper, const W* lower, float (&sum)[kTiles][4]) {
    return skinny_block<W, kTiles>(
        sum, upper, lower, [&](u32 t) { return token_row(args, t); }, [&](u32 t) { return token_scale(args, t); },
        args.inputs, args.two_terms != 0);
}

template <typename W, u32 kTiles>
DEVICE void linear_skinny(const LinearArgs& args) {
    const u32 row = block_x() * 16 + fragment_row();
    float sum[kTiles][4] = {};
    if (!skinny_tile<W, kTiles>(args, weight_row<W>(args, row), weight_row<W>(args, row + 8), sum)) return;
    UNROLL
    for (u32 n = 0; n < kTiles; ++n) {
        UNROLL
        for (u32 i = 0; i < 4; ++i) {
            store_linear(args, row + i / 2 * 8, n * 8 + fragment_column() * 2 + i % 2, sum[n][i]);
        }
    }
}

template <typename W, u32 kTiles>
DEVICE void gate_up_skinny(const LinearArgs& args) {
    const u32 row = block_x() * 8 + fragment_row();
    float sum[kTiles][4] = {};
    if (!skinny_tile<W, kTiles>(args, weight_row<W>(args, row), paired_weight_row<W>(args, row), sum)) return;
    UNROLL
    for (u32 n = 0; n < kTiles; ++n) {
        UNROLL
        for (u32 i = 0; i < 2; ++i) {
            store_gated(args, row, n * 8 + fragment_column() * 2 + i, sum[n][i], sum[n][i + 2]);
        }
    }
}

#define SKINNY(W, tokens)                                                                                            \
    KERNEL(linear_skinny_##W##_##tokens, LinearArgs, kSkinnyThreads) { linear_skinny<W, tokens / 8>(args); }        \
    KERNEL(gate_up_skinny_##W##_##tokens, LinearArgs, kSkinnyThreads) { gate_up_skinny<W, tokens / 8>(args); }

SKINNY(bf16, 8)
SKINNY(bf16, 16)
SKINNY(bf16, 32)
SKINNY(f16, 8)
SKINNY(f16, 16)
SKINNY(f16, 32)
