// y = what attention's kernels left for the chunks of a sequence's past, added up relative to the largest maximum, from
// the first chunk to the last, and divided by the softmax's denominator.
//
// A block a query head of a sequence with one row; a thread every 128th element. Leaves at once where the past is one
// chunk, or none. Bound by memory: chunks * (head_dim + 2) * 4 bytes a head, which stay in L2 between the two kernels.
// Mirrors ReferenceAttention; checked by AttentionConformance.A_long_past_is_read_in_parts.
#include "attention.cuh"

constexpr u32 kThreads = 128;

KERNEL(attention_combine, AttentionArgs, kThreads) {
    const u32 head = block_x(), index = block_y();
    const Sequence sequence = sequence_of(args, index);
    if (sequence.rows != 1 || sequence.length == 0) return;
    const Chunks chunks = chunks_of(args, sequence.length);
    if (chunks.count == 1) return;

    const u64 first = partial_index(args, index, head, 0);
    float maximum = kNothing;
    for (u32 c = 0; c < chunks.count; ++c) maximum = max_of(maximum, args.partial_sums[first + c].x);
    const float base = base_of(maximum);
    float total = 0;
    for (u32 c = 0; c < chunks.count; ++c) {
        const f32x2 sums = args.partial_sums[first + c];
        total += sums.y * exp2_of(sums.x - base);
    }
    const float share = share_of(args, head, maximum, total);

    float* const y = args.y + sequence.first_row * args.y_stride + u64{head} * args.head_dim;
    for (u32 d = thread_x(); d < args.head_dim; d += threads_x()) {
        float value = 0;
        for (u32 c = 0; c < chunks.count; ++c) {
            value += args.partial_values[(first + c) * args.head_dim + d] * exp2_of(args.partial_sums[first + c].x - base);
        }
        y[d] = value * share;
    }
}
