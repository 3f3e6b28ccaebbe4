// y = softmax(scale q k') v over pages for sequences of several query rows, on tensor cores: bf16, f16 and FP8 caches,
// head sizes 64, 128 and 256, any number of query heads a key head.
//
// A block (tile of rows, key head, sequence). Its rows are pairs of a query row and one of the heads that share the key
// head, sixteen a warp, so that keys serve a group at once. Tiles of keys pass by in two buffers that cp.async fills, each
// warp bringing sixteen keys, from the first that a row's window holds to the last row's own; warps skip tiles that
// none of their rows sees, and mask only those at an edge. Late rows have the longest past and go first. Bound by tensor
// cores: 4 * head_dim products a pair of query and key, twice that with two terms; a tile of keys is read from L2
// for 64 rows. Mirrors ReferenceAttention; checked by AttentionConformance.
#pragma once
#include "attention_tile.cuh"

template <typename T, u32 kDim, u32 kTerms>
struct AttentionPrefill {
    static constexpr u32 kWarps = kDim == 256 ? 2 : 4, kThreads = kWarps * kWarp, kKeys = kWarps * kSixteen;
    using Tile = AttentionTile<T, kDim, kKeys, false, kTerms>;
    static constexpr u32 kBlockRows = kWarps * kSixteen;
    static constexpr u32 kStageBytes = 2 * Tile::kTileBytes, kStages = 2, kQueryBytes = kWarps * kTerms * Tile::kQueryBytes;
    // Queries that are kept in registers leave their place to keys.
    static constexpr u32 kBufferBytes = kStages * kStageBytes;
    static constexpr u32 kSharedBytes = !Tile::kQueriesKept             ? kBufferBytes + kQueryBytes
                                        : kBufferBytes > kQueryBytes ? kBufferBytes
                                                                     : kQueryBytes;

    DEVICE static void run(const AttentionArgs& args) {
        SHARED(float[kBlockRows], divisors);
        DYNAMIC_SHARED(shared);
        const u32 kv_head = block_y();
        const Sequence sequence = sequence_of(args, block_z());
        const u32 pairs = sequence.rows * args.group, block = blocks_x() - 1 - block_x(), first_pair = block * kBlockRows;
        if (sequence.rows < 2 || first_pair >= pairs) return;
        const u32 last_pair = min_of(first_pair + kBlockRows, pairs) - 1;
        if (sequence.length == 0) {
            for (u32 pair = first_pair; pair <= last_pair; ++pair) {
                store_zeros(args, sequence.first_row + pair / args.group, kv_head * args.group + pair % args.group, 1);
            }
            return;
        }

        const u32 past = sequence.length - sequence.rows;
        u8* const query_tiles = Tile::kQueriesKept ? shared : shared + kBufferBytes;
        u8* const own_queries = query_tiles + warp() * kTerms * Tile::kQueryBytes;
        u8* const own_low = kTerms == 2 ? own_queries + Tile::kQueryBytes : nullptr;
        for (u32 r = 0; r < kSixteen; ++r) {
            const u32 pair = first_pair + warp() * kSixteen + r, row = sequence.first_row + pair / args.group;
            const float* const q = args.q + row * args.q_stride + u64{kv_head * args.group + pair % args.group} * kDim;
            const float divisor = load_query<T, kDim>(pair < pairs ? q : nullptr, own_queries, r, own_low, r);
            if (lane() == 0) divisors[warp() * kSixteen + r] = divisor;
        }
        sync_block();
        Tile tile;
        tile.take_queries(own_queries);
        tile.start();
        if constexpr (Tile::kQueriesKept) sync_block();

        // What this lane's rows see: from first[r] to position[r]; a row beyond the last one sees nothing.
        u32 pair[2], position[2], first[2];
        float factors[2];
        UNROLL
        for (u32 r = 0; r < 2; ++r) {
            const u32 in_block = warp() * kSixteen + fragment_row() + r * 8;
            pair[r] = first_pair + in_block;
            position[r] = past + min_of(pair[r], last_pair) / args.group;
            first[r] = first_key(args, position[r]);
            factors[r] = args.score_scale * Operand<T>::kFactor * divisors[in_block];
        }
        const u32 warp_pair = min_of(first_pair + warp() * kSixteen, last_pair);
        const u32 warp_low = past + warp_pair / args.group;
        const u32 warp_high = past + min_of(warp_pair + kSixteen - 1, last_pair) / args.group;
        const u32 begin = first_key(args, past + first_pair / args.group), end = past + last_pair / args.group + 1;
        const u32 start = begin / kKeys * kKeys, tiles = divide_up(end - start, kKeys);

        const SharedAddress buffers = shared_address(shared);
        const auto load = [&](u32 i) {
            if (i < tiles) {
                const SharedAddress buffer = buffers + i % kStages * kStageBytes + warp() * kSixteen * Tile::kRowBytes;
                load_sixteen<T, kDim>(args, sequence.pages, kv_head, start + i * kKeys + warp() * kSixteen, begin, end, buffer,
                                      buffer + Tile::kTileBytes);
            }
            copy_async_commit();
        };
        load(0);
        for (u32 i = 0; i < tiles; ++i) {
            load(i + 1);
            copy_async_wait<1>();
            sync_block();
            const u32 key = start + i * kKeys;
            if (key <= warp_high && key + kKeys > first_key(args, warp_low)) {
                const SharedAddress buffer = buffers + i % kStages * kStageBytes;
                tile.add(buffer, buffer + Tile::kTileBytes, factors,
                         key + kKeys - 1 > warp_low || key < first_key(args, warp_high),
                         [&](u32 r, u32 k) { return key + k >= first[r] && key + k <= position[r]; });
            }
            // Nobody reads the buffer any more that the next turn fills.
            sync_block();
        }
        copy_async_wait<0>();

        tile.finish();
        float shares[2];
        float* y[2];
        UNROLL
        for (u32 r = 0; r < 2; ++r) {
            const u32 head = kv_head * args.group + pair[r] % args.group;
            shares[r] = share_of(args, head, tile.maximum[r], tile.sum[r]);
            y[r] = args.y + (sequence.first_row + pair[r] / args.group) * args.y_stride + u64{head} * kDim;
        }
        tile.each(args.value_scale, [&](u32 r, u32 d, float value) {
            if (pair[r] <= last_pair) y[r][d] = value * shares[r];
        });
    }
};

#define ATTENTION_PREFILL(T, dim, terms)                                                                      \
    KERNEL(attention_prefill_##T##_##dim##_##terms, AttentionArgs, (AttentionPrefill<T, dim, terms>::kThreads)) { \
        AttentionPrefill<T, dim, terms>::run(args);                                                           \
    }
