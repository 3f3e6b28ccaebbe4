// y = x wT + bias (linear) or silu(x gateT) * (x upT) (gate_up) for any shape, alignment and type: the path for what the
// others do not take (columns that are no multiple of eight, many rows with float32 weights), not for speed.
//
// A block computes 16 tokens x 64 rows by steps of 32 k in shared memory, a thread one token and four rows; sums are
// float32 fma in the order of k. Mirrors ReferenceOps.Linear and GatedMlp; checked by DeviceOpsConformance.
#include "linear.cuh"

constexpr u32 kAnyThreads = 256;
constexpr u32 kAnyTokens = 16, kAnyRows = 64, kAnyStep = 32, kAnyRowsOfThread = 4;

// row_at(r): weight row r of the tile.
template <typename W, typename RowAt>
DEVICE void any_add(const LinearArgs& args, float (&sum)[kAnyRowsOfThread], RowAt row_at) {
    // One element more a row, so that rows start in different banks.
    SHARED(float[kAnyRows][kAnyStep + 1], w);
    SHARED(float[kAnyTokens][kAnyStep + 1], x);
    const u32 token = thread_x() / 16, row = thread_x() % 16;
    for (u32 k = 0; k < args.inputs; k += kAnyStep) {
        const u32 at = k + lane();
        for (u32 r = warp(); r < kAnyRows; r += kAnyThreads / kWarp) {
            w[r][lane()] = at < args.inputs ? widen(row_at(r)[at]) : 0.0f;
        }
        for (u32 t = warp(); t < kAnyTokens; t += kAnyThreads / kWarp) {
            x[t][lane()] = at < args.inputs ? token_row(args, block_x() * kAnyTokens + t)[at] : 0.0f;
        }
        sync_block();
        const u32 count = min_of(kAnyStep, args.inputs - k);
        for (u32 i = 0; i < count; ++i) {
            UNROLL
            for (u32 r = 0; r < kAnyRowsOfThread; ++r) sum[r] = __builtin_fmaf(x[token][i], w[row + r * 16][i], sum[r]);
        }
        sync_block();
    }
}

template <typename W>
DEVICE void linear_any(const LinearArgs& args) {
    const u32 first = block_y() * kAnyRows;
    float sum[kAnyRowsOfThread] = {};
    any_add<W>(args, sum, [&](u32 r) { return weight_row<W>(args, first + r); });
    UNROLL
    for (u32 r = 0; r < kAnyRowsOfThread; ++r) {
        store_linear(args, first + thread_x() % 16 + r * 16, block_x() * kAnyTokens + thread_x() / 16, sum[r]);
    }
}

// Rows 0 ... 31 of the tile are of gate, the others of up.
template <typename W>
DEVICE void gate_up_any(const LinearArgs& args) {
    const u32 first = block_y() * (kAnyRows / 2);
    float sum[kAnyRowsOfThread] = {};
    any_add<W>(args, sum, [&](u32 r) {
        return r < kAnyRows / 2 ? weight_row<W>(args, first + r) : paired_weight_row<W>(args, first + r - kAnyRows / 2);
    });
    UNROLL
    for (u32 r = 0; r < kAnyRowsOfThread / 2; ++r) {
        store_gated(args, first + thread_x() % 16 + r * 16, block_x() * kAnyTokens + thread_x() / 16, sum[r],
                    sum[r + kAnyRowsOfThread / 2]);
    }
}

#define ANY(W)                                                                            \
    KERNEL(linear_any_##W, LinearArgs, kAnyThreads) { linear_any<W>(args); }              \
    KERNEL(gate_up_any_##W, LinearArgs, kAnyThreads) { gate_up_any<W>(args); }

ANY(f32)
ANY(bf16)
ANY(f16)
