// A tile of weights x activations on tensor cores, for many rows of activations.
//
// The tile is [kRows weight rows] x [kTokens tokens]; the weights are the operand [m, k] of mma and the tokens its
// [k, n], both as they lie in memory: rows of k. cp.async brings steps of 32 k into kStages buffers in shared memory: the
// weights as they are, read by ldmatrix; the activations as float32, which each warp turns into one or two 16-bit
// terms on the way into its fragments. Sixteen-byte chunks are swizzled so that neither way of reading meets a bank
// twice: a row of weights (64 bytes) by its bits 1 and 2, a row of activations (128 bytes) by twice its bits 0 and 1,
// which keeps a pair of chunks together and spreads the four rows that one half of a warp reads.
//
// Bound by tensor cores: per step of 32 k, kRows * kTokens * 64 products (twice that with two terms) for
// kRows * 64 + kTokens * 128 bytes from L2.
#pragma once
#include "elements.cuh"

template <typename W, u32 kRows, u32 kTokens, u32 kWarpRows, u32 kWarpTokens>
struct GemmTile {
    static constexpr u32 kStep = 32, kStages = 4;
    static constexpr u32 kWarpsDown = kRows / kWarpRows, kWarpsAcross = kTokens / kWarpTokens;
    static constexpr u32 kThreads = kWarpsDown * kWarpsAcross * kWarp;
    static constexpr u32 kRowTiles = kWarpRows / 16, kTokenTiles = kWarpTokens / 8;
    static constexpr u32 kWeightBytes = kRows * kStep * 2, kStageBytes = kWeightBytes + kTokens * kStep * 4;
    static constexpr u32 kSharedBytes = kStages * kStageBytes;
    // Chunks of sixteen bytes that a thread brings in each step: the same places of other rows.
    static constexpr u32 kWeightChunks = kRows * 4 / kThreads, kTokenChunks = kTokens * 8 / kThreads;
    static_assert(kRows * 4 % kThreads == 0 && kTokens * 8 % kThreads == 0);

    float sum[kRowTiles][kTokenTiles][4] = {};

    // Adds the products over all of `inputs` (a multiple of 8). row_at(r): weight row r of the tile; token_at(t): its
    // token t; scale_at(t): what token t is multiplied by (a power of two; asked for f16 only). A row
    // that is not wanted is given as one that is, and its sums not used. Rows are 16-byte aligned. shared: kSharedBytes.
    template <typename RowAt, typename TokenAt, typename ScaleAt>
    DEVICE void add(u8* shared, u32 inputs, bool two_terms, RowAt row_at, TokenAt token_at, ScaleAt scale_at) {
        const W* rows[kWeightChunks];
        const float* tokens[kTokenChunks];
        UNROLL
        for (u32 i = 0; i < kWeightChunks; ++i) rows[i] = row_at(thread_x() / 4 + i * (kThreads / 4));
        UNROLL
        for (u32 i = 0; i < kTokenChunks; ++i) tokens[i] = token_at(thread_x() / 8 + i * (kThreads / 8));
        float scales[kTokenTiles];
        UNROLL
        for (u32 n = 0; n < kTokenTiles; ++n) scales[n] = Pairs<W>::kScaled ? scale_at(first_token() + n * 8 + lane() / 4) : 1;

        const u32 steps = divide_up(inputs, kStep);
        UNROLL
        for (u32 s = 0; s + 1 < kStages; ++s) {
            if (s < steps) load(shared + s * kStageBytes, rows, tokens, s * kStep, inputs);
            copy_async_commit();
        }
        for (u32 s = 0; s < steps; ++s) {
            copy_async_wait<kStages - 2>();
            // What arrived is visible to all, and nobody reads the oldest buffer any more.
            sync_block();
            const u32 ahead = s + kStages - 1;
            if (ahead < steps) load(shared + ahead % kStages * kStageBytes, rows, tokens, ahead * kStep, inputs);
            copy_async_commit();
            multiply(shared + s % kStages * kStageBytes, scales, two_terms);
        }
        copy_async_wait<0>();
    }

    // store(row, token, value) for each element of the tile, of this thread.
    template <typename Store>
    DEVICE void each(Store store) const {
        UNROLL
        for (u32 m = 0; m < kRowTiles; ++m) {
            UNROLL
            for (u32 n = 0; n < kTokenTiles; ++n) {
                UNROLL
                for (u32 i = 0; i < 4; ++i) {
                    store(first_row() + m * 16 + lane() / 4 + i / 2 * 8, first_token() + n * 8 + lane() % 4 * 2 + i % 2,
                          sum[m][n][i]);
                }
            }
        }
    }

    // The same for tiles whose rows were given by paired_row: store(row, token, value of the first, of the second).
    template <typename Store>
    DEVICE void each_pair(Store store) const {
        UNROLL
        for (u32 m = 0; m < kRowTiles; ++m) {
            UNROLL
            for (u32 n = 0; n < kTokenTiles; ++n) {
                UNROLL
                for (u32 i = 0; i < 2; ++i) {
                    store(first_row() / 2 + m * 8 + lane() / 4, first_token() + n * 8 + lane() % 4 * 2 + i, sum[m][n][i],
                          sum[m][n][i + 2]);
                }
            }
        }
    }

private:
    DEVICE static u32 first_row() { return warp() / kWarpsAcross * kWarpRows; }
    DEVICE static u32 first_token() { return warp() % kWarpsAcross * kWarpTokens; }

    DEVICE static u32 weight_place(u32 row, u32 chunk) { return row * 64 + (chunk ^ (row >> 1 & 3)) * 16; }
    DEVICE static u32 token_place(u32 token, u32 chunk) { return token * 128 + (chunk ^ (token & 3) * 2) * 16; }

    // Rows that lie a multiple of eight apart have the same swizzle, so that one place and constants beside it do for all
    // that a thread copies or reads: addresses would otherwise take as many registers as the sums.
    DEVICE static void load(u8* stage, const W* const (&rows)[kWeightChunks], const float* const (&tokens)[kTokenChunks],
                            u32 k, u32 inputs) {
        static_assert(kThreads / 8 % 8 == 0);
        const u32 weight = k + thread_x() % 4 * 8, token = k + thread_x() % 8 * 4;
        u8* const weights = stage + weight_place(thread_x() / 4, thread_x() % 4);
        u8* const inputs_of_tile = stage + kWeightBytes + token_place(thread_x() / 8, thread_x() % 8);
        UNROLL
        for (u32 i = 0; i < kWeightChunks; ++i) {
            copy_async16(weights + i * (kThreads / 4 * 64), rows[i] + weight, weight < inputs);
        }
        UNROLL
        for (u32 i = 0; i < kTokenChunks; ++i) {
            copy_async16(inputs_of_tile + i * (kThreads / 8 * 128), tokens[i] + token, token < inputs);
        }
    }

    DEVICE void multiply(const u8* stage, const float (&scales)[kTokenTiles], bool two_terms) {
        UNROLL
        for (u32 half = 0; half < 2; ++half) {
            u32 a[kRowTiles][4];
            const u8* const weights = stage + weight_place(first_row() + lane() % 16, half * 2 + lane() / 16);
            UNROLL
            for (u32 m = 0; m < kRowTiles; ++m) load_matrices(a[m], weights + m * (16 * 64));
            const u32 q = lane() % 4, token = first_token() + lane() / 4;
            const u8* const inputs[2] = {stage + kWeightBytes + token_place(token, half * 4 + q / 2) + q % 2 * 8,
                                         stage + kWeightBytes + token_place(token, half * 4 + 2 + q / 2) + q % 2 * 8};
            UNROLL
            for (u32 n = 0; n < kTokenTiles; ++n) {
                Terms terms[2];
                UNROLL
                for (u32 i = 0; i < 2; ++i) {
                    f32x2 v = *reinterpret_cast<const f32x2*>(inputs[i] + n * (8 * 128));
                    if constexpr (Pairs<W>::kScaled) v = {v.x * scales[n], v.y * scales[n]};
                    terms[i] = terms_of<W>(v.x, v.y);
                }
                UNROLL
                for (u32 m = 0; m < kRowTiles; ++m) Pairs<W>::mma(sum[m][n], a[m], {terms[0].high, terms[1].high});
                if (two_terms) {
                    UNROLL
                    for (u32 m = 0; m < kRowTiles; ++m) Pairs<W>::mma(sum[m][n], a[m], {terms[0].low, terms[1].low});
                }
            }
        }
    }
};

// For two matrices whose products belong together (gate and up): row r of the tile is row r / 16 * 8 + r % 8 of the
// first if true, else of the second, so that one thread holds both.
DEVICE u32 paired_row(u32 r) { return r / 16 * 8 + r % 8; }
DEVICE bool is_first_of_pair(u32 r) { return r % 16 < 8; }
