// Products of sixteen weight rows with up to 8 * kTiles activation rows on tensor cores, without shared memory: for
// batches in which reading weights is what takes time, and float32 arithmetic would take longer.
//
// A warp takes 16 rows as the operand [16, k] of mma and the tokens as [k, 8]. Which k an element has inside a step of
// 32 is free as long as both operands agree, so lane (g, q) reads k = 8q ... 8q + 7 of rows g and g + 8, sixteen bytes
// each, straight from global memory in the shape that two mma take: no ldmatrix, no barrier. Slice s takes every
// slices-th pair of steps, a line of 128 bytes a row; the order of a token's sums depends on length and slices alone.
#pragma once
#include "elements.cuh"

// sum[n] += the fragment of rows x tokens 8n ... 8n + 7: elements (row g, tokens 2q, 2q + 1), then (row g + 8, the
// same). upper, lower: weight rows g and g + 8 of the sixteen; x[n]: row 8n + g of the activations, times scale[n] (a
// power of two; used for f16 only). All 16-byte aligned; length a multiple of 8. Rows that are not wanted: any that can be read.
template <typename W, u32 kTiles>
DEVICE void skinny_add(float (&sum)[kTiles][4], const W* upper, const W* lower, const float* const (&x)[kTiles],
                       const float (&scale)[kTiles], u32 length, u32 slice, u32 slices, bool two_terms) {
    constexpr u32 kStep = 32, kAhead = 2;
    const u32 own = fragment_column() * 8;
    u32x4 next[kAhead][2];
    const auto load = [&](u32 k) {
        UNROLL
        for (u32 i = 0; i < kAhead; ++i) {
            const u32 at = k + i * kStep + own;
            next[i][0] = next[i][1] = {0, 0, 0, 0};
            if (at < length) {
                next[i][0] = load_streamed(reinterpret_cast<const u32x4*>(upper + at));
                next[i][1] = load_streamed(reinterpret_cast<const u32x4*>(lower + at));
            }
        }
    };
    load(slice * kAhead * kStep);
    for (u32 k = slice * kAhead * kStep; k < length; k += slices * kAhead * kStep) {
        u32x4 now[kAhead][2];
        UNROLL
        for (u32 i = 0; i < kAhead; ++i) now[i][0] = next[i][0], now[i][1] = next[i][1];
        load(k + slices * kAhead * kStep);
        UNROLL
        for (u32 i = 0; i < kAhead; ++i) {
            const u32 at = k + i * kStep + own;
            const u32x4 u = now[i][0], l = now[i][1];
            const u32 a[2][4] = {{u.x, l.x, u.y, l.y}, {u.z, l.z, u.w, l.w}};
            UNROLL
            for (u32 n = 0; n < kTiles; ++n) {
                UNROLL
                for (u32 half = 0; half < 2; ++half) {
                    f32x4 v = {0, 0, 0, 0};
                    if (at < length) v = load_kept(reinterpret_cast<const f32x4*>(x[n] + at + half * 4));
                    if constexpr (Pairs<W>::kScaled) {
                        v = {v.x * scale[n], v.y * scale[n], v.z * scale[n], v.w * scale[n]};
                    }
                    const Terms first = terms_of<W>(v.x, v.y), second = terms_of<W>(v.z, v.w);
                    Pairs<W>::mma(sum[n], a[half], {first.high, second.high});
                    if (two_terms) Pairs<W>::mma(sum[n], a[half], {first.low, second.low});
                }
            }
        }
    }
}

constexpr u32 kSkinnyThreads = 256;
constexpr u32 kSkinnyWarps = kSkinnyThreads / kWarp;

// The same by all warps of a block, each with a share of k; their sums are added in order. token_at(t): row t of the
// activations, scale_at(t): its scale, taken off the sums again. True for the one warp that has the sums.
template <typename W, u32 kTiles, typename TokenAt, typename ScaleAt>
DEVICE bool skinny_block(float (&sum)[kTiles][4], const W* upper, const W* lower, TokenAt token_at, ScaleAt scale_at,
                         u32 length, bool two_terms) {
    const float* x[kTiles];
    float scale[kTiles];
    UNROLL
    for (u32 n = 0; n < kTiles; ++n) {
        x[n] = token_at(n * 8 + fragment_row());
        scale[n] = Pairs<W>::kScaled ? scale_at(n * 8 + fragment_row()) : 1.0f;
    }
    skinny_add<W, kTiles>(sum, upper, lower, x, scale, length, warp(), kSkinnyWarps, two_terms);

    SHARED(float[kSkinnyWarps][kTiles * 4][kWarp], parts);
    UNROLL
    for (u32 n = 0; n < kTiles; ++n) {
        UNROLL
        for (u32 i = 0; i < 4; ++i) parts[warp()][n * 4 + i][lane()] = sum[n][i];
    }
    sync_block();
    if (warp() != 0) return false;
    UNROLL
    for (u32 n = 0; n < kTiles; ++n) {
        UNROLL
        for (u32 i = 0; i < 4; ++i) {
            float total = parts[0][n * 4 + i][lane()];
            UNROLL
            for (u32 w = 1; w < kSkinnyWarps; ++w) total += parts[w][n * 4 + i][lane()];
            if constexpr (Pairs<W>::kScaled) total *= inverse_of_power(scale_at(n * 8 + fragment_column() * 2 + i % 2));
            sum[n][i] = total;
        }
    }
    return true;
}
