// Routed experts for so few tokens that hardly two of them share an expert: every route by itself, no grouping.
// inner[route] = weight * silu(gate x) * (up x); then y[t] += the sum over the token's routes of down inner.
//
// gate_up: a block of eight warps, each with two rows of gate and two of up of one route. down: a block has four rows of
// one token; warp w takes routes w, w + 8, ..., and the warps' sums are added in order. Bound by reading the weights of the
// chosen experts once, as linear_gemv. The _any kernels take every shape and alignment, a warp a row. Sums are float32 fma
// whose order depends on the shape alone. Mirrors ReferenceExperts; checked by ExpertsConformance.
#include "experts.cuh"
#include "gemv.cuh"

constexpr u32 kDirectThreads = 256;
constexpr u32 kDirectWarps = kDirectThreads / kWarp;
constexpr u32 kInnerRows = 2;  // of gate, and as many of up
constexpr u32 kOuterRows = 4;

template <typename W>
DEVICE void gate_up_direct(const ExpertArgs& args) {
    const u32 route = block_y();
    const i32 expert = expert_of(args, route);
    if (expert < 0) return;
    const u32 first = (block_x() * kDirectWarps + warp()) * kInnerRows;
    const W* rows[2 * kInnerRows];
    UNROLL
    for (u32 r = 0; r < 2 * kInnerRows; ++r) {
        rows[r] = expert_row<W>(args, static_cast<u32>(expert), r / kInnerRows, 2, first + r % kInnerRows);
    }
    const float* const x[1] = {args.x + route / args.top_k * args.x_stride};
    float sum[2 * kInnerRows] = {};
    gemv_add<W, 2 * kInnerRows, 1>(sum, rows, x, args.inputs, 0, 1);
    const float gate = warp_sums(sum);
    const float up = shuffle_xor(gate, kWarp / 2);
    constexpr u32 kLanes = kWarp / (2 * kInnerRows);
    if (lane() < kWarp / 2 && lane() % kLanes == 0) store_inner(args, route, first + lane() / kLanes, gate, up);
}

// The sums of the block's warps, in order, for the first of them.
DEVICE float sum_warps(float own) {
    SHARED(float[kDirectWarps][kWarp], parts);
    parts[warp()][lane()] = own;
    sync_block();
    float total = 0;
    for (u32 w = 0; w < kDirectWarps; ++w) total += parts[w][lane()];
    return total;
}

template <typename W>
DEVICE void down_direct(const ExpertArgs& args) {
    const u32 token = block_y(), first = block_x() * kOuterRows;
    float sum[kOuterRows] = {};
    for (u32 k = warp(); k < args.top_k; k += kDirectWarps) {
        const u32 route = token * args.top_k + k;
        const i32 expert = expert_of(args, route);
        if (expert < 0) continue;
        const W* rows[kOuterRows];
        UNROLL
        for (u32 r = 0; r < kOuterRows; ++r) rows[r] = expert_row<W>(args, static_cast<u32>(expert), 0, 1, first + r);
        const float* const x[1] = {args.x + route * args.x_stride};
        gemv_add<W, kOuterRows, 1>(sum, rows, x, args.inputs, 0, 1);
    }
    const float total = sum_warps(warp_sums(sum));
    constexpr u32 kLanes = kWarp / kOuterRows;
    const u32 row = first + lane() / kLanes;
    if (warp() == 0 && lane() % kLanes == 0 && row < args.outputs) args.y[token * args.y_stride + row] += total;
}

template <typename W>
DEVICE float dot_any(const W* row, const float* x, u32 length) {
    float sum = 0;
    for (u32 i = lane(); i < length; i += kWarp) sum = __builtin_fmaf(widen(row[i]), x[i], sum);
    return sum;
}

template <typename W>
DEVICE void gate_up_any(const ExpertArgs& args) {
    const u32 route = block_y(), row = block_x() * kDirectWarps + warp();
    const i32 expert = expert_of(args, route);
    if (expert < 0) return;
    const float* const x = args.x + route / args.top_k * args.x_stride;
    const float gate = warp_sum(dot_any(expert_row<W>(args, static_cast<u32>(expert), 0, 2, row), x, args.inputs));
    const float up = warp_sum(dot_any(expert_row<W>(args, static_cast<u32>(expert), 1, 2, row), x, args.inputs));
    if (lane() == 0) store_inner(args, route, row, gate, up);
}

template <typename W>
DEVICE void down_any(const ExpertArgs& args) {
    const u32 token = block_y(), row = block_x() * kDirectWarps + warp();
    float sum = 0;
    for (u32 k = 0; k < args.top_k; ++k) {
        const u32 route = token * args.top_k + k;
        const i32 expert = expert_of(args, route);
        if (expert < 0) continue;
        sum += dot_any(expert_row<W>(args, static_cast<u32>(expert), 0, 1, row), args.x + route * args.x_stride, args.inputs);
    }
    sum = warp_sum(sum);
    if (lane() == 0 && row < args.outputs) args.y[token * args.y_stride + row] += sum;
}

#define DIRECT(W)                                                                         \
    KERNEL(expert_gate_up_direct_##W, ExpertArgs, kDirectThreads) { gate_up_direct<W>(args); } \
    KERNEL(expert_down_direct_##W, ExpertArgs, kDirectThreads) { down_direct<W>(args); }  \
    KERNEL(expert_gate_up_any_##W, ExpertArgs, kDirectThreads) { gate_up_any<W>(args); }  \
    KERNEL(expert_down_any_##W, ExpertArgs, kDirectThreads) { down_any<W>(args); }

DIRECT(f32)
DIRECT(bf16)
DIRECT(f16)
