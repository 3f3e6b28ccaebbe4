// y = softmax(scale q k') v over pages for sequences of one query row, on tensor cores: bf16, f16 and FP8 caches, head
// sizes 64, 128 and 256, up to sixteen query heads a key head.
//
// A block (share, key head, sequence): the query heads of the group are the rows of its products, so that each key and
// value is read once, and it takes every share-th chunk of the past, whose keys its warps take by turns, sixteen at a
// time, each through buffers of its own that cp.async fills: no barrier until the warps' results meet. Up to eight heads
// are packed with their low terms into the sixteen rows of one product. Bound by memory: 2 * head_dim * bytes of an element a
// key and key head; against it stand 4 * 16 * head_dim products (8 * with more than eight heads), a quarter of what the
// tensor cores do meanwhile. Mirrors ReferenceAttention; checked by AttentionConformance.
#pragma once
#include "attention_tile.cuh"

template <typename T, u32 kDim, bool kPacked>
struct AttentionDecode {
    using Tile = AttentionTile<T, kDim, kSixteen, kPacked, 2>;
    static constexpr u32 kWarps = kDim == 256 ? 2 : 4, kThreads = kWarps * kWarp;
    static constexpr u32 kStageBytes = 2 * Tile::kTileBytes;
    // 64 KiB a block, so that two fit where an SM has 164 KiB, and one where it has 100.
    static constexpr u32 kStages = (64 << 10) / (kWarps * kStageBytes);
    static constexpr u32 kRows = kPacked ? 8 : 16;
    static constexpr u32 kBufferBytes = kWarps * kStages * kStageBytes, kSharedBytes = kBufferBytes + Tile::kTerms * Tile::kQueryBytes;
    static_assert(kWarps * kRows * kDim * 4 <= kBufferBytes);

    DEVICE static void run(const AttentionArgs& args) {
        SHARED(float[kSixteen], divisors);
        SHARED(f32x2[kWarps][kRows], sums);
        DYNAMIC_SHARED(shared);
        const u32 kv_head = block_y(), index = block_z(), head = kv_head * args.group;
        const Sequence sequence = sequence_of(args, index);
        if (sequence.rows != 1) return;
        if (sequence.length == 0) {
            if (block_x() == 0) store_zeros(args, sequence.first_row, head, args.group);
            return;
        }
        const Chunks chunks = chunks_of(args, sequence.length);
        if (block_x() >= chunks.count) return;

        u8* const query_tile = shared + kBufferBytes;
        const float* const q = args.q + sequence.first_row * args.q_stride + u64{head} * kDim;
        for (u32 r = warp(); r < kRows; r += kWarps) {
            u8* const low_tile = query_tile + (kPacked ? 0 : Tile::kQueryBytes);
            const float divisor =
                load_query<T, kDim>(r < args.group ? q + r * kDim : nullptr, query_tile, r, low_tile, kPacked ? r + 8 : r);
            if (lane() == 0) divisors[r] = divisor;
        }
        sync_block();
        Tile tile;
        tile.take_queries(query_tile);
        float factors[Tile::kRows];
        UNROLL
        for (u32 r = 0; r < Tile::kRows; ++r) {
            factors[r] = args.score_scale * Operand<T>::kFactor * divisors[fragment_row() + r * 8];
        }
        const SharedAddress buffers = shared_address(shared) + warp() * kStages * kStageBytes;

        for (u32 chunk = block_x(); chunk < chunks.count; chunk += blocks_x()) {
            const u32 start = chunks.start + chunk * chunks.tokens, end = min_of(sequence.length, start + chunks.tokens);
            const u32 tiles = divide_up(end - start, kSixteen), own = tiles > warp() ? divide_up(tiles - warp(), kWarps) : 0;
            const auto load = [&](u32 i) {
                if (i < own) {
                    const SharedAddress buffer = buffers + i % kStages * kStageBytes;
                    load_sixteen<T, kDim>(args, sequence.pages, kv_head, start + (warp() + i * kWarps) * kSixteen, chunks.first,
                                          end, buffer, buffer + Tile::kTileBytes);
                }
                copy_async_commit();
            };
            tile.start();
            for (u32 i = 0; i + 1 < kStages; ++i) load(i);
            for (u32 i = 0; i < own; ++i) {
                copy_async_wait<kStages - 2>();
                // All lanes' copies have arrived, and nobody reads the oldest buffer any more.
                sync_warp();
                load(i + kStages - 1);
                const u32 key = start + (warp() + i * kWarps) * kSixteen;
                const SharedAddress buffer = buffers + i % kStages * kStageBytes;
                tile.add(buffer, buffer + Tile::kTileBytes, factors, key < chunks.first || key + kSixteen > end,
                         [&](u32, u32 k) { return key + k >= chunks.first && key + k < end; });
            }
            copy_async_wait<0>();
            sync_block();
            merge(args, tile, reinterpret_cast<float*>(shared), sums, sequence, index, head, chunk, chunks.count);
            sync_block();
        }
    }

private:
    // The warps' results, added up in their order, to the chunk's place, or to y if it is all there is.
    DEVICE static void merge(const AttentionArgs& args, Tile& tile, float* parts, f32x2 (&sums)[kWarps][kRows],
                             const Sequence& sequence, u32 index, u32 head, u32 chunk, u32 chunk_count) {
        tile.finish();
        tile.each(args.value_scale, [&](u32 r, u32 d, float value) {
            parts[(warp() * kRows + fragment_row() + r * 8) * kDim + d] = value;
        });
        if (fragment_column() == 0) {
            UNROLL
            for (u32 r = 0; r < Tile::kRows; ++r) sums[warp()][fragment_row() + r * 8] = {tile.maximum[r], tile.sum[r]};
        }
        sync_block();
        for (u32 r = 0; r < args.group; ++r) {
            float maximum = sums[0][r].x;
            UNROLL
            for (u32 w = 1; w < kWarps; ++w) maximum = max_of(maximum, sums[w][r].x);
            const float base = base_of(maximum);
            float factor[kWarps], total = 0;
            UNROLL
            for (u32 w = 0; w < kWarps; ++w) {
                factor[w] = exp2_of(sums[w][r].x - base);
                total += sums[w][r].y * factor[w];
            }
            const u64 at = partial_index(args, index, head + r, chunk);
            const bool is_whole = chunk_count == 1;
            const float share = is_whole ? share_of(args, head + r, maximum, total) : 1.0f;
            float* const y = is_whole ? args.y + sequence.first_row * args.y_stride + u64{head + r} * kDim
                                      : args.partial_values + at * kDim;
            for (u32 d = thread_x(); d < kDim; d += kThreads) {
                float value = 0;
                UNROLL
                for (u32 w = 0; w < kWarps; ++w) value += parts[(w * kRows + r) * kDim + d] * factor[w];
                y[d] = value * share;
            }
            if (!is_whole && thread_x() == 0) args.partial_sums[at] = {maximum, total};
        }
    }
};

#define ATTENTION_DECODE(T, dim)                                                                                  \
    KERNEL(attention_decode_##T##_##dim##_8, AttentionArgs, (AttentionDecode<T, dim, true>::kThreads)) {         \
        AttentionDecode<T, dim, true>::run(args);                                                                \
    }                                                                                                            \
    KERNEL(attention_decode_##T##_##dim##_16, AttentionArgs, (AttentionDecode<T, dim, false>::kThreads)) {       \
        AttentionDecode<T, dim, false>::run(args);                                                               \
    }
