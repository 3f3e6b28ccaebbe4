// y = x wT + bias (linear) or silu(x gateT) * (x upT) (gate_up) for 5 to 32 rows of x and 16-bit weights: skinny.cuh.
//
// A block is eight warps, which share 16 rows of weights (8 of gate and 8 of up) and split k; their sums are added in
// order. Bound by memory: a weight is read once for all tokens. Mirrors ReferenceOps.Linear and GatedMlp; checked by
// DeviceOpsConformance.
#include "linear.cuh"
#include "skinny.cuh"

constexpr u32 kSkinnyThreads = 256;
constexpr u32 kSkinnyWarps = kSkinnyThreads / kWarp;

// The block's sums over its warps: element i of tile n of lane l is at parts[0][(n * 4 + i) * 32 + l] afterwards.
template <typename W, u32 kTiles>
DEVICE void skinny_tile(const LinearArgs& args, const W* upper, const W* lower, float (&sum)[kTiles][4]) {
    const float* x[kTiles];
    float scale[kTiles];
    UNROLL
    for (u32 n = 0; n < kTiles; ++n) {
        x[n] = token_row(args, n * 8 + fragment_row());
        scale[n] = token_scale(args, n * 8 + fragment_row());
    }
    skinny_add<W, kTiles>(sum, upper, lower, x, scale, args.inputs, warp(), kSkinnyWarps, args.two_terms != 0);

    SHARED(float[kSkinnyWarps][kTiles * 4][kWarp], parts);
    UNROLL
    for (u32 n = 0; n < kTiles; ++n) {
        UNROLL
        for (u32 i = 0; i < 4; ++i) parts[warp()][n * 4 + i][lane()] = sum[n][i];
    }
    sync_block();
    if (warp() != 0) return;
    UNROLL
    for (u32 n = 0; n < kTiles; ++n) {
        UNROLL
        for (u32 i = 0; i < 4; ++i) {
            float total = parts[0][n * 4 + i][lane()];
            UNROLL
            for (u32 w = 1; w < kSkinnyWarps; ++w) total += parts[w][n * 4 + i][lane()];
            const u32 token = n * 8 + fragment_column() * 2 + i % 2;
            sum[n][i] = Pairs<W>::kScaled ? total * inverse_of_power(token_scale(args, token)) : total;
        }
    }
}

template <typename W, u32 kTiles>
DEVICE void linear_skinny(const LinearArgs& args) {
    const u32 row = block_x() * 16 + fragment_row();
    float sum[kTiles][4] = {};
    skinny_tile<W, kTiles>(args, weight_row<W>(args, row), weight_row<W>(args, row + 8), sum);
    if (warp() != 0) return;
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
    skinny_tile<W, kTiles>(args, weight_row<W>(args, row), paired_weight_row<W>(args, row), sum);
    if (warp() != 0) return;
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
