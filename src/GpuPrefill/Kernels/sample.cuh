// What the kernels of sampling share: the rules of a row, and choosing by order without sorting.
//
// A weight is exp((score - max) / temperature), so that the largest is 1. Where weights are added in an order that is left
// open they are whole numbers of 2^-40, whose sums do not depend on it: the same row gives the same token, always.
#pragma once
#include "device.cuh"

constexpr u32 kSampleThreads = 256;
constexpr u32 kChunk = 2048;      // scores that one block of sample_scan reads
constexpr u32 kChunksMax = 128;   // so that a vocabulary has at most 262,144 tokens
constexpr u32 kTopMax = 20;
constexpr u64 kUnlimited = ~u64{0};

enum SampleFlags : u32 { kChooses = 1, kGreedy = 2, kFilters = 4, kSums = 8 };

// Field for field the C# struct ChoiceRule.
struct SampleRow {
    double uniform;
    double top_p;
    float temperature;
    float min_p;
    float repetition;
    float frequency;
    float presence;
    u32 top_k;
    u32 logit_row;
    u32 flags;
    u32 top_count;
    u32 edit_start;  // edits: first penalties (value: how often the token was generated), then masks, then biases
    u32 penalties;
    u32 masks;
    u32 biases;
    u32 reserved;
};

struct SampleEdit {
    u32 token;
    float value;
};

// Field for field the C# struct ChosenToken.
struct SampleResult {
    i32 token;  // -1 with a fault
    i32 fault;  // 0 none, 1 a NaN, 2 an infinite logit, 3 nothing but minus infinity
    float score;
    float max;
    double total;  // of all weights
    i32 top_tokens[kTopMax];
    float top_scores[kTopMax];
};

DEVICE float weight_of(float score, float max, float temperature) { return exp_of((score - max) * (1.0f / temperature)); }
DEVICE u64 mass_of(float weight) { return static_cast<u64>(weight * 1099511627776.0f); }
DEVICE double unit_of_mass() { return 1.0 / 1099511627776.0; }

// The reverse of order_of, for anything but a NaN.
DEVICE float score_of(u32 order) { return bits_as<float>((order & 0x80000000) != 0 ? order & 0x7fffffff : ~order); }

// The block's largest, NaN if there is one.
DEVICE float block_max(float value) {
    SHARED(float[kSampleThreads / kWarp], parts);
    value = warp_max(value);
    if (lane() == 0) parts[warp()] = value;
    sync_block();
    float max = parts[0];
    for (u32 i = 1; i < kSampleThreads / kWarp; ++i) max = max_of(max, parts[i]);
    sync_block();
    return max;
}

// Where a walk through keys in falling order stops: at the key of the first element with which the count reaches
// `count_max` or the mass exceeds `mass_max`.
struct Cut {
    bool found;
    u32 key;
    u32 count;  // of the elements with greater keys
    u64 mass;
    u32 ties;  // elements with the key itself
};

// each(f) calls f(key, mass) for the elements of this thread. Eight bits a round: the block adds up count and mass of each
// digit, then one warp finds the digit at which to stop. Elements of key 0 are not there.
template <typename Each>
DEVICE Cut cut(Each each, u32 count_max, u64 mass_max) {
    constexpr u32 kDigits = 256, kPerLane = kDigits / kWarp;
    SHARED(u32[kDigits], counts);
    SHARED(u64[kDigits], masses);
    SHARED(Cut, shared_cut);
    if (thread_x() == 0) shared_cut = {true, 0, 0, 0, 0};
    for (u32 shift = 32; shift > 0;) {
        shift -= 8;
        counts[thread_x()] = 0;
        masses[thread_x()] = 0;
        sync_block();
        const u32 prefix = shared_cut.key;
        each([&](u32 key, u64 mass) {
            if (key == 0 || (key ^ prefix) >> shift >> 8 != 0) return;
            atomic_add(&counts[key >> shift & 255], 1u);
            atomic_add(&masses[key >> shift & 255], mass);
        });
        sync_block();
        if (warp() == 0) {
            // Lane l has the digits 255 - 8 l and the seven below.
            const u32 first = kDigits - 1 - lane() * kPerLane;
            u32 own_count = 0;
            u64 own_mass = 0;
            for (u32 i = 0; i < kPerLane; ++i) {
                own_count += counts[first - i];
                own_mass += masses[first - i];
            }
            u32 count = own_count;
            u64 mass = own_mass;
            for (u32 step = 1; step < kWarp; step *= 2) {
                const u32 other_count = shuffle_up(count, step);
                const u64 other_mass = shuffle_up(mass, step);
                if (lane() >= step) {
                    count += other_count;
                    mass += other_mass;
                }
            }
            const u32 base_count = shared_cut.count;
            const u64 base_mass = shared_cut.mass;
            count += base_count;
            mass += base_mass;
            const u32 reached = ballot(count >= count_max || mass > mass_max);
            if (reached == 0) {
                if (lane() == 0) shared_cut.found = false;
            } else if (lane() == lowest_bit(reached)) {
                count -= own_count;
                mass -= own_mass;
                u32 digit = first;
                while (count + counts[digit] < count_max && mass + masses[digit] <= mass_max) {
                    count += counts[digit];
                    mass += masses[digit];
                    --digit;
                }
                shared_cut = {true, shared_cut.key | digit << shift, count, mass, counts[digit]};
            }
        }
        sync_block();
        if (!shared_cut.found) break;
    }
    const Cut result = shared_cut;
    sync_block();
    return result;
}
