// Attention of one warp's sixteen query rows over keys in shared memory, on tensor cores.
//
// Queries, float32, are taken as two 16-bit terms, high + low, and so are the weights that the softmax makes; keys and
// values are exact in 16 bits, those of a cache of bf16 as bf16, of f16 and of FP8 as f16. Each product of a term is
// exact and sums are float32, so what is lost is what the second term leaves: 2^-16 of a query or a weight for bf16,
// 2^-22 for f16. So that f16's exponents suffice, a row of queries is scaled to below 2 by a power of two, and weights,
// which are at most 1, are multiplied by 2^15.
//
// A row that sees a part of a tile's keys only gives the others a weight of 0. Keys outside of what is asked for are
// zeros in shared memory, never what the cache happens to hold. A value that is no number still spoils rows of its
// own sequence, in whose tile it lies, before it comes to be seen; other sequences never.
//
// Rows in shared memory are swizzled by chunks of sixteen bytes, so that the eight rows that ldmatrix takes lie in
// different banks. Tiles begin at multiples of a row's bytes: another chunk of a row is an exclusive or with a constant
// away, and a lane needs one register for all places that it reads in a tile.
#pragma once
#include "attention.cuh"

// How elements of the cache become operands: of which 16-bit type, and by what they are then too small.
template <typename T>
struct Operand {
    using Type = T;
    static constexpr float kFactor = 1;
};
template <>
struct Operand<fp8> {
    using Type = f16;
    static constexpr float kFactor = kFp8AsF16;
};

template <typename T>
using OperandType = typename Operand<T>::Type;

// What weights are multiplied by on their way into 16 bits.
template <typename T>
constexpr float kWeightScale = Pairs<OperandType<T>>::kScaled ? 32768.0f : 1.0f;

// Where a chunk of sixteen bytes of a row lies in a tile.
template <u32 kRowBytes>
DEVICE u32 tile_offset(u32 row, u32 chunk) {
    constexpr u32 kChunks = kRowBytes / 16;
    static_assert(kChunks == 4 || kChunks % 8 == 0);
    return row * kRowBytes + (kChunks == 4 ? chunk ^ (row / 2 % 4) : chunk ^ (row % 8)) * 16;
}

// Brings sixteen keys and values, from position `key` on, into a tile, by one warp; zeros where a position is outside of
// [first, end). To be committed by the caller.
template <typename T, u32 kDim>
DEVICE void load_sixteen(const AttentionArgs& args, const i32* pages, u32 kv_head, u32 key, u32 first, u32 end,
                         SharedAddress keys, SharedAddress values) {
    constexpr u32 kRowBytes = kDim * sizeof(T), kChunks = kRowBytes / 16, kRowsOfPass = kWarp / kChunks;
    static_assert(kRowsOfPass > 0 && kRowsOfPass <= 8);
    const u32 chunk = lane() % kChunks, row_of_pass = lane() / kChunks, place = tile_offset<kRowBytes>(row_of_pass, chunk);
    const SharedAddress key_place = keys + place, value_place = values + place;
    const u32 own_key = key + lane() % kSixteen;
    const u32 own = own_key >= first && own_key < end ? cache_row(args, pages, kv_head, own_key) : kNoRow;
    UNROLL
    for (u32 i = 0; i < kSixteen * kChunks / kWarp; ++i) {
        const u32 source = shuffle(own, i * kRowsOfPass + row_of_pass);
        const bool live = source != kNoRow;
        const u64 from = live ? u64{source} * kRowBytes + chunk * 16 : 0;
        // tile_offset of that row: its low bits are row_of_pass, those above i's.
        const u32 swizzle = kChunks == 4 ? 0 : i * kRowsOfPass % 8 * 16;
        copy_async16((key_place ^ swizzle) + i * kRowsOfPass * kRowBytes, args.keys + from, live);
        copy_async16((value_place ^ swizzle) + i * kRowsOfPass * kRowBytes, args.values + from, live);
    }
}

DEVICE float magnitude(float x) { return bits_as<float>(bits_as<u32>(x) & 0x7fffffff); }

// One row of queries as terms in shared memory, by one warp; zeros where q is null. The row of the low terms may be
// another row of the same tile, or nowhere. What the row was divided by is returned: a power of two.
template <typename T, u32 kDim>
DEVICE float load_query(const float* q, u8* high_tile, u32 high_row, u8* low_tile, u32 low_row) {
    using Element = OperandType<T>;
    constexpr u32 kFours = kDim / 4, kPasses = (kFours + kWarp - 1) / kWarp;
    f32x4 v[kPasses];
    float largest = 0;
    UNROLL
    for (u32 i = 0; i < kPasses; ++i) {
        const u32 four = i * kWarp + lane();
        v[i] = {0, 0, 0, 0};
        if (q != nullptr && four < kFours) v[i] = reinterpret_cast<const f32x4*>(q)[four];
        largest = max_of(largest, max_of(max_of(magnitude(v[i].x), magnitude(v[i].y)), max_of(magnitude(v[i].z), magnitude(v[i].w))));
    }
    float multiplier = 1, divisor = 1;
    if constexpr (Pairs<Element>::kScaled) {
        const u32 exponent = bits_as<u32>(warp_max(largest)) >> 23;
        // Left as it is where nothing is to be gained: zeros, infinities and NaN.
        if (exponent > 0 && exponent < 254) {
            multiplier = bits_as<float>((254 - exponent) << 23);
            divisor = bits_as<float>(exponent << 23);
        }
    }
    UNROLL
    for (u32 i = 0; i < kPasses; ++i) {
        const u32 four = i * kWarp + lane();
        if (four >= kFours) break;
        f32x4 e = {v[i].x * multiplier, v[i].y * multiplier, v[i].z * multiplier, v[i].w * multiplier};
        // Pairs as widen_four gives keys of FP8: of sixteen elements the first four are columns 0, 1, 8 and 9.
        u32 first_word = four * 2, second_word = four * 2 + 1;
        if constexpr (sizeof(T) == 1) {
            e = {e.x, e.z, e.y, e.w};
            first_word = four / 4 * 8 + four % 4;
            second_word = first_word + 4;
        }
        const Terms first = terms_of<Element>(e.x, e.y), second = terms_of<Element>(e.z, e.w);
        const auto store = [](u8* tile, u32 row, u32 word, u32 pair) {
            *reinterpret_cast<u32*>(tile + tile_offset<kDim * 2>(row, word / 4) + word % 4 * 4) = pair;
        };
        store(high_tile, high_row, first_word, first.high);
        store(high_tile, high_row, second_word, second.high);
        if (low_tile == nullptr) continue;
        store(low_tile, low_row, first_word, first.low);
        store(low_tile, low_row, second_word, second.low);
    }
    return divisor;
}

// kPacked: rows 0 to 7 of the queries hold the high terms of eight rows, and rows 8 to 15 their low terms, so that both
// count in one product; the weights likewise. Else as many products as terms, of sixteen rows each; one term is the high
// one.
template <typename T, u32 kDim, u32 kKeys, bool kPacked, u32 kTermsOfRow>
struct AttentionTile {
    using Element = OperandType<T>;
    static constexpr u32 kRowBytes = kDim * sizeof(T), kTileBytes = kKeys * kRowBytes, kQueryBytes = kSixteen * kDim * 2;
    static constexpr u32 kRows = kPacked ? 1 : 2;  // of a lane: fragment_row(), and that + 8
    static constexpr u32 kTerms = kPacked ? 1 : kTermsOfRow;  // products
    static constexpr u32 kSteps = kDim / kSixteen, kGroups = kKeys / 8, kDimTiles = kDim / 8;
    // Fragments of queries stay in registers while these suffice.
    static constexpr bool kQueriesKept = kDim <= 128;

    float values[kDimTiles][4] = {};
    float maximum[kRows], sum[kRows];  // the sum is this lane's part of its rows'
    u32 queries[kTerms][kQueriesKept ? kSteps : 1][4];
    SharedAddress query_place;  // of this lane

    DEVICE void start() {
        UNROLL
        for (u32 t = 0; t < kDimTiles; ++t) {
            UNROLL
            for (u32 i = 0; i < 4; ++i) values[t][i] = 0;
        }
        UNROLL
        for (u32 r = 0; r < kRows; ++r) maximum[r] = kNothing, sum[r] = 0;
    }

    // query_tile: [terms][16][kDim], complete and visible to the warp.
    DEVICE void take_queries(const u8* tile) {
        query_place = shared_address(tile) + tile_offset<kDim * 2>(lane() / 8 % 2 * 8 + lane() % 8, lane() / 16);
        if constexpr (kQueriesKept) {
            UNROLL
            for (u32 term = 0; term < kTerms; ++term) {
                UNROLL
                for (u32 step = 0; step < kSteps; ++step) load_query_fragment(queries[term][step], term, step);
            }
        }
    }

    DEVICE void load_query_fragment(u32 (&fragment)[4], u32 term, u32 step) const {
        load_matrices(fragment, (query_place ^ (step * 32)) + term * kQueryBytes);
    }

    DEVICE void query_fragment(u32 (&fragment)[4], u32 term, u32 step) const {
        if constexpr (kQueriesKept) {
            UNROLL
            for (u32 i = 0; i < 4; ++i) fragment[i] = queries[term][step][i];
        } else {
            load_query_fragment(fragment, term, step);
        }
    }

    // Adds the keys and values of a tile. factors[r]: what row r's products are multiplied by to be scores to the base 2.
    // sees(r, k): whether row r sees key k of the tile; asked if `masked` only.
    template <typename Sees>
    DEVICE void add(SharedAddress keys, SharedAddress tile_values, const float (&factors)[kRows], bool masked, Sees sees) {
        float scores[kGroups][4] = {};
        score(scores, keys);
        float weights[kGroups][kRows * 2];
        UNROLL
        for (u32 n = 0; n < kGroups; ++n) {
            UNROLL
            for (u32 i = 0; i < kRows * 2; ++i) {
                const float product = kPacked ? scores[n][i] + scores[n][i + 2] : scores[n][i];
                weights[n][i] = product * factors[i / 2];
                if (masked && !sees(i / 2, n * 8 + fragment_column() * 2 + i % 2)) weights[n][i] = kNothing;
            }
        }
        soften(weights);
        mix(weights, tile_values);
    }

    // sums[r] becomes the row's whole sum.
    DEVICE void finish() {
        UNROLL
        for (u32 r = 0; r < kRows; ++r) {
            sum[r] += shuffle_xor(sum[r], 1);
            sum[r] += shuffle_xor(sum[r], 2);
        }
    }

    // store(r, d, value): each weighted value of this lane, of its row r and dimension d.
    template <typename Store>
    DEVICE void each(float factor, Store store) const {
        constexpr float kOwn = Operand<T>::kFactor / kWeightScale<T>;
        UNROLL
        for (u32 t = 0; t < kDimTiles; ++t) {
            UNROLL
            for (u32 i = 0; i < kRows * 2; ++i) {
                const float value = kPacked ? values[t][i] + values[t][i + 2] : values[t][i];
                store(i / 2, dimension(t, fragment_column() * 2 + i % 2), value * (kOwn * factor));
            }
        }
    }

private:
    // Which dimension a column of a tile of eight is: ldmatrix moves pairs of bytes, so that FP8's even and odd
    // dimensions part.
    DEVICE static u32 dimension(u32 tile, u32 column) {
        return sizeof(T) == 1 ? tile / 2 * 16 + column * 2 + tile % 2 : tile * 8 + column;
    }

    DEVICE static void product(float (&scores)[kGroups][4], u32 group, const u32 (&upper)[2], const u32 (&lower)[2],
                               const u32 (&terms)[kTerms][4]) {
        UNROLL
        for (u32 term = 0; term < kTerms; ++term) {
            Pairs<Element>::mma(scores[group], terms[term], upper);
            Pairs<Element>::mma(scores[group + 1], terms[term], lower);
        }
    }

    DEVICE void score(float (&scores)[kGroups][4], SharedAddress keys) const {
        const SharedAddress place = keys + tile_offset<kRowBytes>(lane() / 16 * 8 + lane() % 8, lane() / 8 % 2);
        constexpr u32 kStepsOfLoad = 2 / sizeof(T);
        UNROLL
        for (u32 load = 0; load < kSteps / kStepsOfLoad; ++load) {
            u32 terms[kStepsOfLoad][kTerms][4];
            UNROLL
            for (u32 s = 0; s < kStepsOfLoad; ++s) {
                UNROLL
                for (u32 term = 0; term < kTerms; ++term) query_fragment(terms[s][term], term, load * kStepsOfLoad + s);
            }
            UNROLL
            for (u32 part = 0; part < kKeys / kSixteen; ++part) {
                u32 b[4];
                load_matrices(b, (place + part * kSixteen * kRowBytes) ^ (load * 32));
                if constexpr (sizeof(T) == 1) {
                    UNROLL
                    for (u32 s = 0; s < 2; ++s) {
                        u32 upper[2], lower[2];
                        widen_four(b[s], upper[0], upper[1]);
                        widen_four(b[2 + s], lower[0], lower[1]);
                        product(scores, part * 2, upper, lower, terms[s]);
                    }
                } else {
                    product(scores, part * 2, {b[0], b[1]}, {b[2], b[3]}, terms[0]);
                }
            }
        }
    }

    // Scores become weights relative to the new maxima; sums and values follow.
    DEVICE void soften(float (&weights)[kGroups][kRows * 2]) {
        float factor[kRows];
        bool moved = false;
        UNROLL
        for (u32 r = 0; r < kRows; ++r) {
            float now = maximum[r];
            UNROLL
            for (u32 n = 0; n < kGroups; ++n) now = max_of(now, max_of(weights[n][r * 2], weights[n][r * 2 + 1]));
            now = max_of(now, shuffle_xor(now, 1));
            now = max_of(now, shuffle_xor(now, 2));
            const float base = base_of(now);
            factor[r] = exp2_of(maximum[r] - base);
            maximum[r] = now;
            float added = 0;
            UNROLL
            for (u32 n = 0; n < kGroups; ++n) {
                UNROLL
                for (u32 i = r * 2; i < r * 2 + 2; ++i) {
                    weights[n][i] = exp2_of(weights[n][i] - base);
                    added += weights[n][i];
                }
            }
            sum[r] = sum[r] * factor[r] + added;
            moved = moved || factor[r] != 1.0f;
        }
        // Maxima seldom rise once some keys have passed.
        if (ballot(moved) == 0) return;
        UNROLL
        for (u32 t = 0; t < kDimTiles; ++t) {
            UNROLL
            for (u32 i = 0; i < 4; ++i) values[t][i] *= factor[kPacked ? 0 : i / 2];
        }
    }

    DEVICE void mix(const float (&weights)[kGroups][kRows * 2], SharedAddress tile_values) {
        const SharedAddress place = tile_values + tile_offset<kRowBytes>(lane() % 16, lane() / 16);
        UNROLL
        for (u32 part = 0; part < kKeys / kSixteen; ++part) {
            u32 operands[kTerms][4];
            UNROLL
            for (u32 half = 0; half < 2; ++half) {
                UNROLL
                for (u32 r = 0; r < kRows; ++r) {
                    const float* const pair = &weights[part * 2 + half][r * 2];
                    const Terms terms = terms_of<Element>(pair[0] * kWeightScale<T>, pair[1] * kWeightScale<T>);
                    operands[0][half * 2 + r] = terms.high;
                    if constexpr (kPacked) operands[0][half * 2 + 1] = terms.low;
                    else if constexpr (kTerms == 2) operands[1][half * 2 + r] = terms.low;
                }
            }
            constexpr u32 kTilesOfLoad = 4 / sizeof(T);
            UNROLL
            for (u32 load = 0; load < kDimTiles / kTilesOfLoad; ++load) {
                u32 b[4];
                load_matrices_transposed(b, (place + part * kSixteen * kRowBytes) ^ (load * 32));
                UNROLL
                for (u32 t = 0; t < kTilesOfLoad; ++t) {
                    u32 pair[2];
                    if constexpr (sizeof(T) == 1) {
                        u32 even[2], odd[2];
                        widen_four(b[t / 2 * 2], even[0], odd[0]);
                        widen_four(b[t / 2 * 2 + 1], even[1], odd[1]);
                        pair[0] = t % 2 == 0 ? even[0] : odd[0];
                        pair[1] = t % 2 == 0 ? even[1] : odd[1];
                    } else {
                        pair[0] = b[t * 2];
                        pair[1] = b[t * 2 + 1];
                    }
                    UNROLL
                    for (u32 term = 0; term < kTerms; ++term) {
                        Pairs<Element>::mma(values[load * kTilesOfLoad + t], operands[term], pair);
                    }
                }
            }
        }
    }
};
