// Chooses a token from each row, after sample_scan: greedy, or by one draw from what top-k, top-p and min-p leave of the
// softmax, in the order of the tokens. Also the best few tokens, and what log-probabilities are taken from.
//
// A block a row. Chunks whose largest score is too small are not read; what may be chosen is mostly a few hundred tokens,
// which are listed in shared memory, and then found by counting digits (sample.cuh) instead of sorting. Where more come into
// question, each of the at most eleven rounds reads their chunks again. Mirrors Sampler, Distribution and Nucleus; checked
// by SamplerConformance.
#include "sample.cuh"

// Field for field the C# struct SampleChooseArgs. Strides in elements.
struct SampleChooseArgs {
    const SampleRow* rows;
    const float* logits;
    const float* maxima;
    const float* sums;
    const u32* places;
    SampleResult* results;
    i64 logit_stride;
    u32 vocabulary;
    u32 chunks;
};

constexpr u32 kListed = 3072;
constexpr float kWeightMin = 1.17549435e-38f;  // the smallest normal number: what is less counts as nothing

// The row that a block works on. Chunks and the list are shared.
struct Work {
    const float* logits;
    const float* chunk_max;
    u32* tokens;
    u32* orders;
    u32 vocabulary;
    u32 chunks;
    float max;
    float temperature;

    DEVICE float weight(float score) const { return weight_of(score, max, temperature); }
};

// Tokens that come into question: those of at least this score and weight, in the list or, if they are too many, in the row.
struct Candidates {
    float score_min;
    float weight_min;
    u32 count;

    DEVICE bool has(const Work& work, float score) const {
        return score >= score_min && (weight_min == 0 || work.weight(score) >= weight_min);
    }
    DEVICE bool chunk_has(const Work& work, u32 chunk) const {
        // Nearer than a rounding to the bound is let through; has() decides.
        const float best = work.chunk_max[chunk];
        return best >= score_min && (weight_min == 0 || work.weight(best) >= weight_min * 0.999f);
    }
};

// f(token, order of its score) for the candidates of this thread.
template <typename F>
DEVICE void each_candidate(const Work& work, const Candidates& candidates, F f) {
    if (candidates.count <= kListed) {
        for (u32 i = thread_x(); i < candidates.count; i += kSampleThreads) f(work.tokens[i], work.orders[i]);
        return;
    }
    for (u32 chunk = 0; chunk < work.chunks; ++chunk) {
        if (!candidates.chunk_has(work, chunk)) continue;
        const u32 end = min_of(work.vocabulary, (chunk + 1) * kChunk);
        for (u32 token = chunk * kChunk + thread_x(); token < end; token += kSampleThreads) {
            const float score = work.logits[token];
            if (candidates.has(work, score)) f(token, order_of(score));
        }
    }
}

// Counts the candidates of chunks [first, last), lists those that fit and returns their mass.
DEVICE u64 list_candidates(const Work& work, Candidates& candidates, u32 first, u32 last) {
    SHARED(u32, count);
    SHARED(u64, mass);
    if (thread_x() == 0) {
        count = 0;
        mass = 0;
    }
    sync_block();
    u64 own = 0;
    for (u32 chunk = first; chunk < last; ++chunk) {
        if (!candidates.chunk_has(work, chunk)) continue;
        for (u32 i = 0; i < kChunk; i += kSampleThreads) {
            const u32 token = chunk * kChunk + i + thread_x();
            const float score = token < work.vocabulary ? work.logits[token] : -bits_as<float>(0x7f800000u);
            const bool is_in = token < work.vocabulary && candidates.has(work, score);
            const u32 mask = ballot(is_in);
            if (mask == 0) continue;
            u32 base = 0;
            if (lane() == 0) base = atomic_add(&count, bit_count(mask));
            const u32 place = shuffle(base, 0) + bit_count(mask & ((1u << lane()) - 1));
            if (!is_in) continue;
            own += mass_of(work.weight(score));
            if (place < kListed) {
                work.tokens[place] = token;
                work.orders[place] = order_of(score);
            }
        }
    }
    if (own != 0) atomic_add(&mass, own);
    sync_block();
    candidates.count = count;
    const u64 total = mass;
    sync_block();
    return total;
}

// Those that a walk from the best down keeps: all of greater order than the cut's, and of its ties those up to a token.
struct Kept {
    u32 order;
    u32 token_max;
    u64 mass;

    DEVICE bool has(u32 token, u32 own) const { return own > order || (own == order && token <= token_max); }
};

// How many of those that tie at a cut are kept: the walk ends with the one that completes the count or exceeds the mass.
DEVICE u32 ties_kept(const Cut& at, u64 own_mass, u32 count_max, u64 mass_max) {
    u32 kept = min_of(at.ties, count_max - at.count);
    if (own_mass != 0 && mass_max != kUnlimited) {
        const u64 by_mass = (mass_max - at.mass) / own_mass + 1;
        if (by_mass < kept) kept = static_cast<u32>(by_mass);
    }
    return kept;
}

DEVICE Kept keep_best(const Work& work, const Candidates& candidates, u64 all, u32 count_max, u64 mass_max) {
    const Cut at = cut(
        [&](auto add) {
            each_candidate(work, candidates, [&](u32, u32 order) { add(order, mass_of(work.weight(score_of(order)))); });
        },
        count_max, mass_max);
    if (!at.found) return {0, 0, all};
    const u64 own = mass_of(work.weight(score_of(at.key)));
    const u32 ties = ties_kept(at, own, count_max, mass_max);
    Kept kept{at.key, ~0u, at.mass + ties * own};
    if (ties < at.ties) {
        const Cut last = cut(
            [&](auto add) {
                each_candidate(work, candidates, [&](u32 token, u32 order) { add(order == at.key ? ~token : 0, 0); });
            },
            ties, kUnlimited);
        kept.token_max = ~last.key;
    }
    return kept;
}

// The token at a place in [0, 1) of the masses of what is kept, in the order of tokens.
DEVICE u32 draw(const Work& work, const Candidates& candidates, const Kept& kept, u64 place) {
    // Rounding may have let the place fall behind the end.
    const u64 last = kept.mass - 1;
    const Cut at = cut(
        [&](auto add) {
            each_candidate(work, candidates, [&](u32 token, u32 order) {
                add(kept.has(token, order) ? ~token : 0, mass_of(work.weight(score_of(order))));
            });
        },
        ~0u, place < last ? place : last);
    return ~at.key;
}

DEVICE u32 draw_filtered(const Work& work, const SampleRow& row, double total) {
    const u64 limit = row.top_p < 1 ? static_cast<u64>(row.top_p * total / unit_of_mass()) : kUnlimited;
    Candidates candidates{-bits_as<float>(0x7f800000u), 0, 0};
    u64 mass = 0;
    for (u32 level = 0; level < 3; ++level) {
        // Mostly what is wanted is among the first few hundred.
        candidates.weight_min = max_of(level == 0 ? 1e-3f : level == 1 ? 1e-6f : kWeightMin, row.min_p);
        mass = list_candidates(work, candidates, 0, work.chunks);
        if (candidates.weight_min == row.min_p || candidates.count >= row.top_k || mass > limit) break;
    }
    const Kept kept = keep_best(work, candidates, mass, row.top_k, limit);
    return draw(work, candidates, kept, static_cast<u64>(row.uniform * static_cast<double>(kept.mass)));
}

// All tokens may be drawn: first the chunk by the sums of chunks, then the token in it.
DEVICE u32 draw_any(const Work& work, const SampleRow& row, const double* chunk_sums, double total) {
    SHARED(u32, shared_chunk);
    SHARED(double, shared_place);
    if (thread_x() == 0) {
        double target = row.uniform * total;
        u32 chosen = 0;
        for (u32 chunk = 0; chunk < work.chunks; ++chunk) {
            if (chunk_sums[chunk] == 0) continue;
            chosen = chunk;
            if (target < chunk_sums[chunk]) break;
            target -= chunk_sums[chunk];
        }
        shared_chunk = chosen;
        shared_place = target / chunk_sums[chosen];
    }
    sync_block();
    Work own = work;
    own.max = work.chunk_max[shared_chunk];
    Candidates candidates{-bits_as<float>(0x7f800000u), kWeightMin, 0};
    const u64 mass = list_candidates(own, candidates, shared_chunk, shared_chunk + 1);
    return draw(own, candidates, {0, 0, mass}, static_cast<u64>(shared_place * static_cast<double>(mass)));
}

// The best `count` tokens in order, ties by the lower token.
DEVICE void list_best(const Work& work, u32 count, SampleResult& result) {
    SHARED(u32[kTopMax], tokens);
    SHARED(u32[kTopMax], orders);
    SHARED(u32, found);
    SHARED(float, bound);
    if (thread_x() == 0) {
        found = 0;
        bound = -bits_as<float>(0x7f800000u);
    }
    sync_block();
    // So many chunks have a score of at least the count-th largest of their maxima.
    if (thread_x() < work.chunks) {
        const float own = work.chunk_max[thread_x()];
        u32 rank = 0;
        for (u32 c = 0; c < work.chunks; ++c) {
            const float other = work.chunk_max[c];
            rank += other > own || (other == own && c < thread_x()) ? 1 : 0;
        }
        if (rank == count - 1) bound = own;
    }
    sync_block();
    Candidates candidates{bound, 0, 0};
    list_candidates(work, candidates, 0, work.chunks);
    const Kept kept = keep_best(work, candidates, 0, count, kUnlimited);
    each_candidate(work, candidates, [&](u32 token, u32 order) {
        if (!kept.has(token, order)) return;
        const u32 place = atomic_add(&found, 1u);
        tokens[place] = token;
        orders[place] = order;
    });
    sync_block();
    if (thread_x() < count) {
        const u32 token = tokens[thread_x()], order = orders[thread_x()];
        u32 rank = 0;
        for (u32 i = 0; i < count; ++i) rank += orders[i] > order || (orders[i] == order && tokens[i] < token) ? 1 : 0;
        result.top_tokens[rank] = static_cast<i32>(token);
        result.top_scores[rank] = score_of(order);
    }
}

KERNEL(sample_choose, SampleChooseArgs, kSampleThreads) {
    SHARED(float[kChunksMax], chunk_max);
    SHARED(double[kChunksMax], chunk_sums);
    SHARED(u32[kListed], tokens);
    SHARED(u32[kListed], orders);
    SHARED(double, shared_total);
    const SampleRow& row = args.rows[block_x()];
    if ((row.flags & kChooses) == 0) return;
    SampleResult& result = args.results[block_x()];
    const u64 at = u64{block_x()} * args.chunks + thread_x();
    const bool has_chunk = thread_x() < args.chunks;
    const float own_max = has_chunk ? args.maxima[at] : -bits_as<float>(0x7f800000u);
    const float max = block_max(own_max);
    if (max - max != 0) {
        if (thread_x() == 0) {
            result.token = -1;
            result.fault = max != max ? 1 : max > 0 ? 2 : 3;
        }
        return;
    }
    if (has_chunk) {
        chunk_max[thread_x()] = own_max;
        chunk_sums[thread_x()] = own_max - own_max == 0
            ? static_cast<double>(args.sums[at]) * weight_of(own_max, max, row.temperature)
            : 0.0;
    }
    sync_block();
    if (thread_x() == 0) {
        double total = 0;
        for (u32 c = 0; c < args.chunks; ++c) total += chunk_sums[c];
        shared_total = total;
    }
    sync_block();
    const double total = shared_total;
    const float* const logits = args.logits + row.logit_row * args.logit_stride;
    const Work work{logits, chunk_max, tokens, orders, args.vocabulary, args.chunks, max, row.temperature};
    u32 token = 0;
    if ((row.flags & kGreedy) != 0) {
        u32 chunk = 0;
        while (chunk_max[chunk] != max) ++chunk;
        token = args.places[u64{block_x()} * args.chunks + chunk];
    } else if ((row.flags & kFilters) != 0) {
        token = draw_filtered(work, row, total);
    } else {
        token = draw_any(work, row, chunk_sums, total);
    }
    if (row.top_count > 0) list_best(work, row.top_count, result);
    if (thread_x() == 0) {
        result.token = static_cast<i32>(token);
        result.fault = 0;
        result.score = logits[token];
        result.max = max;
        result.total = total;
    }
}

// Field for field the C# struct TakeTokensArgs.
struct TakeTokensArgs {
    const SampleResult* results;
    const i32* sources;  // for each token the row of results that it comes from, or -1: it is there
    i32* tokens;
    u32 count;
};

// The tokens that the step before has chosen, for the next one. A row without a token gives 0, which nobody will see.
KERNEL(take_tokens, TakeTokensArgs, kSampleThreads) {
    const u32 t = block_x() * kSampleThreads + thread_x();
    if (t >= args.count || args.sources[t] < 0) return;
    const i32 token = args.results[args.sources[t]].token;
    args.tokens[t] = token < 0 ? 0 : token;
}
