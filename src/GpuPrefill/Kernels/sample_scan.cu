// One pass over the rows of logits that tokens are chosen from: penalties, masks and biases are put into them, and each
// chunk of a row gets its largest score, where that stands first, and the sum of its weights (relative to its own largest).
//
// A block a chunk of a row, eight scores a thread in registers; bound by reading the logits once. Mirrors
// SamplingState.Adjust and Distribution.Open; checked by SamplerConformance.
#include "sample.cuh"

// Field for field the C# struct SampleScanArgs. Strides in elements.
struct SampleScanArgs {
    const SampleRow* rows;
    const SampleEdit* edits;
    float* logits;
    float* maxima;  // [rows][chunks], like the next two
    float* sums;
    u32* places;
    i64 logit_stride;
    u32 vocabulary;
};

constexpr u32 kScoresOfThread = kChunk / kSampleThreads;

// Each kind of edit has a token at most once; the kinds come one after the other.
template <typename Edit>
DEVICE void edit_chunk(const SampleScanArgs& args, float* logits, u32 first, u32 start, u32 count, Edit edit) {
    if (count == 0) return;
    for (u32 i = thread_x(); i < count; i += kSampleThreads) {
        const SampleEdit own = args.edits[start + i];
        if (own.token / kChunk == first / kChunk) edit(logits[own.token], own.value);
    }
    sync_block();
}

KERNEL(sample_scan, SampleScanArgs, kSampleThreads) {
    const SampleRow& row = args.rows[block_y()];
    if ((row.flags & kChooses) == 0) return;
    const u32 first = block_x() * kChunk;
    float* const logits = args.logits + row.logit_row * args.logit_stride;

    edit_chunk(args, logits, first, row.edit_start, row.penalties, [&](float& logit, float count) {
        const float lowered = logit - (row.frequency * count + row.presence);
        logit = lowered < 0 ? lowered * row.repetition : lowered / row.repetition;
    });
    const float nothing = -bits_as<float>(0x7f800000u);
    edit_chunk(args, logits, first, row.edit_start + row.penalties, row.masks,
               [&](float& logit, float) { logit = nothing; });
    edit_chunk(args, logits, first, row.edit_start + row.penalties + row.masks, row.biases,
               [&](float& logit, float bias) { logit += bias; });

    float scores[kScoresOfThread];
    float max = nothing;
    UNROLL
    for (u32 i = 0; i < kScoresOfThread; ++i) {
        const u32 token = first + i * kSampleThreads + thread_x();
        scores[i] = token < args.vocabulary ? logits[token] : nothing;
        max = max_of(max, scores[i]);
    }
    max = block_max(max);

    SHARED(u32[kSampleThreads / kWarp], places);
    SHARED(float[kSampleThreads / kWarp], sums);
    u32 place = 0;  // as its complement: the lowest of equal ones is wanted
    UNROLL
    for (u32 i = 0; i < kScoresOfThread; ++i) {
        const u32 token = first + i * kSampleThreads + thread_x();
        if (scores[i] == max && place == 0) place = ~token;
    }
    place = warp_max(place);
    float sum = 0;
    if ((row.flags & kSums) != 0 && max - max == 0) {
        UNROLL
        for (u32 i = 0; i < kScoresOfThread; ++i) sum += weight_of(scores[i], max, row.temperature);
        sum = warp_sum(sum);
    }
    if (lane() == 0) {
        places[warp()] = place;
        sums[warp()] = sum;
    }
    sync_block();
    if (thread_x() != 0) return;
    for (u32 i = 1; i < kSampleThreads / kWarp; ++i) {
        place = max_of(place, places[i]);
        sum += sums[i];
    }
    const u64 at = u64{block_y()} * blocks_x() + block_x();
    args.maxima[at] = max;
    args.sums[at] = sum;
    args.places[at] = ~place;
}
