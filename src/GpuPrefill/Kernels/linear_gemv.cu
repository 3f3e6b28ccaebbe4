// y = x wT + bias (linear) or silu(x gateT) * (x upT) (gate_up) for one to four rows of x: gemv.cuh.
//
// A block is eight warps; `slices` of them share kRows rows of weights and split k between them, so that few rows keep
// all multiprocessors busy, too; slice 0 adds up their sums in order. Bound by memory: a weight is read once, in 16 bytes
// a lane, for all tokens; 2 * kTokens fma an element of two bytes stay below the float32 units' rate up to 4 tokens.
// Mirrors ReferenceOps.Linear and GatedMlp; checked by DeviceOpsConformance.
#include "gemv.cuh"
#include "linear.cuh"

constexpr u32 kGemvThreads = 256;
constexpr u32 kGemvWarps = kGemvThreads / kWarp;

// The sums of the block's rows over the slices: lane l of slice 0 of each group returns that of value l / (32 / kCount).
template <u32 kCount>
DEVICE float sum_slices(float (&sum)[kCount], u32 slice, u32 slices) {
    SHARED(float[kGemvWarps][kWarp], parts);
    const float part = warp_sums(sum);
    if (slices == 1) return part;
    parts[warp()][lane()] = part;
    sync_block();
    float total = 0;
    if (slice == 0) {
        for (u32 s = 0; s < slices; ++s) total += parts[warp() + s][lane()];
    }
    return total;
}

template <typename W, u32 kRows, u32 kTokens>
DEVICE void linear_gemv(const LinearArgs& args) {
    constexpr u32 kCount = kRows * kTokens;
    const u32 slice = warp() % args.slices;
    const u32 first = (block_x() * (kGemvWarps / args.slices) + warp() / args.slices) * kRows;
    const W* rows[kRows];
    const float* x[kTokens];
    UNROLL
    for (u32 r = 0; r < kRows; ++r) rows[r] = weight_row<W>(args, first + r);
    UNROLL
    for (u32 t = 0; t < kTokens; ++t) x[t] = token_row(args, t);

    float sum[kCount] = {};
    gemv_add<W, kRows, kTokens>(sum, rows, x, args.inputs, slice, args.slices);
    const float total = sum_slices(sum, slice, args.slices);
    const u32 value = lane() / (kWarp / kCount);
    if (slice == 0 && lane() % (kWarp / kCount) == 0) {
        store_linear(args, first + value / kTokens, value % kTokens, total);
    }
}

// Rows 0 ... kRows / 2 - 1 are of gate, the others of up.
template <typename W, u32 kRows, u32 kTokens>
DEVICE void gate_up_gemv(const LinearArgs& args) {
    constexpr u32 kCount = kRows * kTokens;
    const u32 slice = warp() % args.slices;
    const u32 first = (block_x() * (kGemvWarps / args.slices) + warp() / args.slices) * (kRows / 2);
    const W* rows[kRows];
    const float* x[kTokens];
    UNROLL
    for (u32 r = 0; r < kRows / 2; ++r) {
        rows[r] = weight_row<W>(args, first + r);
        rows[r + kRows / 2] = paired_weight_row<W>(args, first + r);
    }
    UNROLL
    for (u32 t = 0; t < kTokens; ++t) x[t] = token_row(args, t);

    float sum[kCount] = {};
    gemv_add<W, kRows, kTokens>(sum, rows, x, args.inputs, slice, args.slices);
    const float total = sum_slices(sum, slice, args.slices);
    const float up = shuffle_xor(total, kWarp / 2);
    const u32 value = lane() / (kWarp / kCount);
    if (slice == 0 && lane() < kWarp / 2 && lane() % (kWarp / kCount) == 0) {
        store_gated(args, first + value / kTokens, value % kTokens, total, up);
    }
}

#define GEMV(W, tokens)                                                                                             \
    KERNEL(linear_gemv_##W##_##tokens, LinearArgs, kGemvThreads) { linear_gemv<W, 4, tokens>(args); }              \
    KERNEL(linear_gemv_few_##W##_##tokens, LinearArgs, kGemvThreads) { linear_gemv<W, 1, tokens>(args); }          \
    KERNEL(gate_up_gemv_##W##_##tokens, LinearArgs, kGemvThreads) { gate_up_gemv<W, 4, tokens>(args); }

GEMV(f32, 1)
GEMV(f32, 2)
GEMV(f32, 4)
GEMV(bf16, 1)
GEMV(bf16, 2)
GEMV(bf16, 4)
GEMV(f16, 1)
GEMV(f16, 2)
GEMV(f16, 4)
