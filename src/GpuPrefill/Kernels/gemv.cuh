// Products of a few weight rows with a few activation rows, for kernels that are bound by reading weights.
//
// A warp takes kRows rows of weights and kTokens rows of x. Lane l reads sixteen bytes of each weight row at a time, l
// beyond the first, and keeps one load ahead of the arithmetic; x comes from L1, where the block's other warps find it.
// Several warps ("slices") may share the rows: slice s takes every slices-th step. Every product is a float32 fma, and
// what order a token's sums are taken in depends on the row's length, W and slices alone, not on kRows or kTokens.
#pragma once
#include "elements.cuh"

// sum[r * kTokens + t] += this lane's part of rows[r] . x[t]. All rows 16-byte aligned; length a multiple of
// kVector<W>. A row that is not wanted is given as one that is, and its sum not used.
template <typename W, u32 kRows, u32 kTokens>
DEVICE void gemv_add(float (&sum)[kRows * kTokens], const W* const (&rows)[kRows], const float* const (&x)[kTokens],
                     u32 length, u32 slice, u32 slices) {
    const u32 step = slices * kWarp * kVector<W>;
    u32 k = (slice * kWarp + lane()) * kVector<W>;
    u32x4 next[kRows] = {};
    if (k < length) {
        UNROLL
        for (u32 r = 0; r < kRows; ++r) next[r] = load_streamed(reinterpret_cast<const u32x4*>(rows[r] + k));
    }
    while (k < length) {
        float w[kRows][kVector<W>];
        UNROLL
        for (u32 r = 0; r < kRows; ++r) widen_vector<W>(w[r], next[r]);
        if (k + step < length) {
            UNROLL
            for (u32 r = 0; r < kRows; ++r) next[r] = load_streamed(reinterpret_cast<const u32x4*>(rows[r] + k + step));
        }
        UNROLL
        for (u32 t = 0; t < kTokens; ++t) {
            UNROLL
            for (u32 i = 0; i < kVector<W>; i += 4) {
                const f32x4 part = load_kept(reinterpret_cast<const f32x4*>(x[t] + k + i));
                UNROLL
                for (u32 r = 0; r < kRows; ++r) {
                    float& s = sum[r * kTokens + t];
                    s = __builtin_fmaf(part.x, w[r][i], s);
                    s = __builtin_fmaf(part.y, w[r][i + 1], s);
                    s = __builtin_fmaf(part.z, w[r][i + 2], s);
                    s = __builtin_fmaf(part.w, w[r][i + 3], s);
                }
            }
        }
        k += step;
    }
}

// Sums each of the values over the warp, kCount a power of two up to 32: kCount - 1 exchanges and then
// log2(32 / kCount) more, instead of five for each. Lane l gets the total of value l / (32 / kCount), and the tree of
// each sum is that of warp_sum, whatever kCount is.
template <u32 kCount>
DEVICE float warp_sums(float (&values)[kCount]) {
    u32 step = kWarp / 2;
    UNROLL
    for (u32 half = kCount / 2; half > 0; half /= 2) {
        const bool upper = (lane() & step) != 0;
        UNROLL
        for (u32 i = 0; i < half; ++i) {
            // Both are read first: a choice between two places would keep the array from the registers.
            const float a = values[i], b = values[i + half];
            const float give = upper ? a : b, keep = upper ? b : a;
            values[i] = keep + shuffle_xor(give, step);
        }
        step /= 2;
    }
    float total = values[0];
    UNROLL
    for (; step > 0; step /= 2) total += shuffle_xor(total, step);
    return total;
}
