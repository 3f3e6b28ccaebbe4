// Logits of a row become scores; the best groups of experts are kept, and of their experts the k best, whose scores are
// the weights.
//
// A warp a row, 16 experts a lane in registers: lane l has the experts l, l + 32, ... Choosing is k times the maximum
// over lanes and warp, which is bound by the latency of its reductions, some 60 cycles each; reading a row takes less.
// Mirrors ReferenceRouter; checked by ExpertsConformance.*.
#include "device.cuh"

// Field for field the C# struct RouteArgs. Strides in elements.
struct RouteArgs {
    const float* logits;
    const float* correction;  // [experts], or null
    const i32* live_rows;     // one count, or null: rows from it on get no expert
    i32* chosen;
    float* weights;
    i64 logit_stride;
    i64 chosen_stride;
    i64 weight_stride;
    u32 rows;
    u32 experts;
    u32 top_k;
    u32 groups;
    u32 groups_kept;
    u32 group_best;
    u32 is_sigmoid;
    u32 renormalize;
    float scale;
};

constexpr u32 kRowsPerBlock = 4;
constexpr u32 kExpertsMax = 512;
constexpr u32 kTopKMax = 64;
constexpr u32 kHeld = kExpertsMax / kWarp;
constexpr u32 kKeysPerLane = kTopKMax / kWarp;
constexpr float kNearlyNothing = 1e-20f;  // keeps a sum of weights that are all zero from dividing by it

struct Scores {
    bool is_sigmoid;
    float largest;
    float sum;

    DEVICE float of(float logit) const { return is_sigmoid ? sigmoid_of(logit) : exp_of(logit - largest) / sum; }
};

// The best two of a group, in the order of comparing; a NaN is worse than anything.
struct Two {
    float first, second;

    DEVICE void offer(float value) {
        const bool leads = order_of(value) > order_of(first);
        const float behind = leads ? first : value;
        first = leads ? value : first;
        second = order_of(behind) > order_of(second) ? behind : second;
    }
};

// One bit a group that may be chosen from. 32 / groups lanes look through a group together.
DEVICE u32 kept_groups(const RouteArgs& args, const float* values) {
    u32 share = 1;
    while (2 * share * args.groups <= kWarp) share *= 2;
    const u32 group = lane() / share;
    const u32 size = args.experts / args.groups;
    const float none = bits_as<float>(0x7fc00000u);
    Two best{none, none};
    if (group < args.groups) {
        for (u32 i = lane() % share; i < size; i += share) best.offer(values[group * size + i]);
    }
    for (u32 step = 1; step < share; step *= 2) {
        const float first = shuffle_xor(best.first, step), second = shuffle_xor(best.second, step);
        best.offer(first);
        best.offer(second);
    }
    const float worth = args.group_best == 1 ? best.first : best.first + best.second;
    u32 own = group < args.groups && lane() % share == 0 ? order_of(worth) : 0;
    u32 kept = 0;
    for (u32 k = 0; k < args.groups_kept; ++k) {
        const u32 largest = warp_max(own);
        const u32 winner = lowest_bit(ballot(own == largest));
        if (lane() == winner) own = 0;
        kept |= 1u << (winner / share);
    }
    return kept;
}

KERNEL(route, RouteArgs, kRowsPerBlock * kWarp) {
    SHARED(float[kRowsPerBlock][kExpertsMax], shared_values);
    const u32 row = block_x() * kRowsPerBlock + warp();
    if (row >= args.rows) return;
    i32* const chosen = args.chosen + row * args.chosen_stride;
    float* const weights = args.weights + row * args.weight_stride;
    if (args.live_rows != nullptr && static_cast<i32>(row) >= *args.live_rows) {
        for (u32 i = lane(); i < args.top_k; i += kWarp) {
            chosen[i] = -1;
            weights[i] = 0;
        }
        return;
    }

    const float* const logits = args.logits + row * args.logit_stride;
    const float lowest = -bits_as<float>(0x7f800000u);
    float values[kHeld];
    Scores scores{args.is_sigmoid != 0, lowest, 1};
    UNROLL
    for (u32 i = 0; i < kHeld; ++i) {
        const u32 expert = i * kWarp + lane();
        values[i] = expert < args.experts ? logits[expert] : lowest;
        scores.largest = max_of(scores.largest, values[i]);
    }
    if (!scores.is_sigmoid) {
        scores.largest = warp_max(scores.largest);
        float sum = 0;
    UNROLL
        for (u32 i = 0; i < kHeld; ++i) {
            if (i * kWarp + lane() < args.experts) sum += exp_of(values[i] - scores.largest);
        }
        scores.sum = warp_sum(sum);
    }

    // Both scorings rise with the logit, so that where nothing is added to the scores the logits tell more: scores
    // underflow.
    if (args.correction != nullptr || (args.groups > 1 && args.group_best > 1)) {
    UNROLL
        for (u32 i = 0; i < kHeld; ++i) {
            const u32 expert = i * kWarp + lane();
            if (expert < args.experts) {
                values[i] = scores.of(values[i]) + (args.correction != nullptr ? args.correction[expert] : 0.0f);
            }
        }
    }

    u32 groups = 0xffffffff;
    if (args.groups_kept < args.groups) {
        float* const shared = shared_values[warp()];
    UNROLL
        for (u32 i = 0; i < kHeld; ++i) shared[i * kWarp + lane()] = values[i];
        sync_warp();
        groups = kept_groups(args, shared);
    }
    const u32 size = args.experts / args.groups;
    u32 keys[kHeld];
    UNROLL
    for (u32 i = 0; i < kHeld; ++i) {
        const u32 expert = i * kWarp + lane();
        const bool may = expert < args.experts && (groups >> min_of(expert / size, 31) & 1) != 0;
        keys[i] = may ? order_of(values[i]) : 0;
    }

    u32 own[kKeysPerLane] = {};
    for (u32 k = 0; k < args.top_k; ++k) {
        u32 best = 0, at = 0;
    UNROLL
        for (u32 i = 0; i < kHeld; ++i) {
            if (keys[i] > best) {
                best = keys[i];
                at = i;
            }
        }
        const u32 largest = warp_max(best);
        // Of those that tie the lowest expert, that is the greatest complement.
        const u32 winner = ~warp_max(best == largest ? ~(at * kWarp + lane()) : 0);
    UNROLL
        for (u32 i = 0; i < kHeld; ++i) {
            if (i * kWarp + lane() == winner) keys[i] = 0;
        }
    UNROLL
        for (u32 i = 0; i < kKeysPerLane; ++i) {
            if (i * kWarp + lane() == k) own[i] = winner;
        }
    }

    float kept[kKeysPerLane] = {};
    float sum = 0;
    UNROLL
    for (u32 i = 0; i < kKeysPerLane; ++i) {
        if (i * kWarp + lane() < args.top_k) sum += kept[i] = scores.of(logits[own[i]]);
    }
    sum = warp_sum(sum) + kNearlyNothing;
    UNROLL
    for (u32 i = 0; i < kKeysPerLane; ++i) {
        const u32 k = i * kWarp + lane();
        if (k < args.top_k) {
            chosen[k] = static_cast<i32>(own[i]);
            weights[k] = kept[i] / (args.renormalize != 0 ? sum : 1.0f) * args.scale;
        }
    }
}
