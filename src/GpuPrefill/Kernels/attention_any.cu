// y = softmax(scale q k') v over pages, in float32 throughout: for caches of float32, which goldens are compared through,
// and for head sizes, groups and alignments that the tensor-core kernels do not take (head_dim up to 512).
//
// A block (query row, key head and up to eight of the query heads that share it, share of chunks); a sequence with several
// rows is not cut into chunks. 32 keys at a time lie in shared memory as float32: a warp scores two heads, a lane a key; then a
// thread adds the weighted values of every 128th dimension, of all heads. Bound by float32 arithmetic for groups and
// by shared memory: 4 bytes a product of scores. Mirrors ReferenceAttention; checked by AttentionConformance.
#include "attention.cuh"

constexpr u32 kThreads = 128, kWarps = kThreads / kWarp;
constexpr u32 kHeads = 8, kKeys = 32;
constexpr u32 kDimensions = 4;  // of a thread: 512 / kThreads

template <typename T>
DEVICE void load_rows(const AttentionArgs& args, const T* cache, float* rows, u32 stride, const u32* row_of) {
    for (u32 i = thread_x(); i < kKeys * args.head_dim; i += kThreads) {
        const u32 key = i / args.head_dim, d = i % args.head_dim, row = row_of[key];
        rows[key * stride + d] = row == kNoRow ? 0.0f : widen(cache[u64{row} * args.head_dim + d]);
    }
}

template <typename T>
DEVICE void attend(const AttentionArgs& args) {
    SHARED(float[kHeads][kKeys], weights);
    SHARED(float[kHeads], factors);
    SHARED(f32x2[kHeads], sums);
    SHARED(u32[kKeys], row_of);
    DYNAMIC_SHARED(shared);
    const u32 passes = divide_up(args.group, kHeads);
    const u32 kv_head = block_y() / passes, head_in_group = block_y() % passes * kHeads;
    const u32 heads = min_of(kHeads, args.group - head_in_group), head = kv_head * args.group + head_in_group;
    const u32 row = block_x(), share = block_z();

    // The sequence that owns the row: the last one that starts at or before it.
    u32 index = 0, beyond = args.sequences;
    while (beyond - index > 1) {
        const u32 middle = (index + beyond) / 2;
        (static_cast<u32>(args.query_starts[middle]) <= row ? index : beyond) = middle;
    }
    const Sequence sequence = sequence_of(args, index);
    if (row < sequence.first_row || row >= sequence.first_row + sequence.rows) return;
    if (sequence.length == 0) {
        if (share == 0) store_zeros(args, row, head, heads);
        return;
    }
    const bool is_cut = sequence.rows == 1;
    const u32 position = sequence.length - sequence.rows + (row - sequence.first_row);
    const u32 first = first_key(args, position);
    const Chunks chunks = is_cut ? chunks_of(args, sequence.length) : Chunks{first, first, position + 1, 1};
    if (share >= chunks.count) return;

    const u32 stride = args.head_dim + 1;  // so that lanes, each a key, meet all banks
    float* const queries = reinterpret_cast<float*>(shared);
    float* const rows = queries + kHeads * args.head_dim;
    const float* const q = args.q + row * args.q_stride + u64{head} * args.head_dim;
    for (u32 i = thread_x(); i < kHeads * args.head_dim; i += kThreads) queries[i] = i < heads * args.head_dim ? q[i] : 0.0f;

    for (u32 chunk = share; chunk < chunks.count; chunk += blocks_z()) {
        const u32 start = chunks.start + chunk * chunks.tokens;
        const u32 from = max_of(first, start), to = min_of(position + 1, start + chunks.tokens);
        float values[kHeads][kDimensions] = {};
        float maximum[kHeads / kWarps], sum[kHeads / kWarps];
        UNROLL
        for (u32 i = 0; i < kHeads / kWarps; ++i) maximum[i] = kNothing, sum[i] = 0;

        for (u32 key = from; key < to; key += kKeys) {
            sync_block();
            if (thread_x() < kKeys) {
                const u32 at = key + thread_x();
                row_of[thread_x()] = at < to ? cache_row(args, sequence.pages, kv_head, at) : kNoRow;
            }
            sync_block();
            load_rows(args, reinterpret_cast<const T*>(args.keys), rows, stride, row_of);
            sync_block();
            UNROLL
            for (u32 i = 0; i < kHeads / kWarps; ++i) {
                const u32 h = i * kWarps + warp();
                float score = 0;
                for (u32 d = 0; d < args.head_dim; ++d) {
                    score = __builtin_fmaf(queries[h * args.head_dim + d], rows[lane() * stride + d], score);
                }
                score = key + lane() < to ? score * args.score_scale : kNothing;
                const float now = max_of(maximum[i], warp_max(score)), base = base_of(now);
                const float factor = exp2_of(maximum[i] - base), weight = exp2_of(score - base);
                maximum[i] = now;
                sum[i] = sum[i] * factor + warp_sum(weight);
                weights[h][lane()] = weight;
                if (lane() == 0) factors[h] = factor;
            }
            sync_block();
            load_rows(args, reinterpret_cast<const T*>(args.values), rows, stride, row_of);
            sync_block();
            UNROLL
            for (u32 j = 0; j < kDimensions; ++j) {
                const u32 d = thread_x() + j * kThreads;
                if (d >= args.head_dim) break;
                UNROLL
                for (u32 h = 0; h < kHeads; ++h) values[h][j] *= factors[h];
                for (u32 k = 0; k < kKeys; ++k) {
                    const float value = rows[k * stride + d];
                    UNROLL
                    for (u32 h = 0; h < kHeads; ++h) values[h][j] = __builtin_fmaf(weights[h][k], value, values[h][j]);
                }
            }
        }

        UNROLL
        for (u32 i = 0; i < kHeads / kWarps; ++i) {
            if (lane() == 0) sums[i * kWarps + warp()] = {maximum[i], sum[i]};
        }
        sync_block();
        UNROLL
        for (u32 h = 0; h < kHeads; ++h) {
            if (h >= heads) break;
            const f32x2 own = sums[h];
            const u64 at = partial_index(args, index, head + h, chunk);
            const bool is_whole = chunks.count == 1;
            const float factor = is_whole ? args.value_scale * share_of(args, head + h, own.x, own.y) : args.value_scale;
            float* const y = is_whole ? args.y + row * args.y_stride + u64{head + h} * args.head_dim
                                      : args.partial_values + at * args.head_dim;
            UNROLL
            for (u32 j = 0; j < kDimensions; ++j) {
                const u32 d = thread_x() + j * kThreads;
                if (d < args.head_dim) y[d] = values[h][j] * factor;
            }
            if (!is_whole && thread_x() == 0) args.partial_sums[at] = own;
        }
    }
}

KERNEL(attention_any_f32, AttentionArgs, kThreads) { attend<float>(args); }
KERNEL(attention_any_bf16, AttentionArgs, kThreads) { attend<bf16>(args); }
KERNEL(attention_any_f16, AttentionArgs, kThreads) { attend<f16>(args); }
KERNEL(attention_any_fp8, AttentionArgs, kThreads) { attend<fp8>(args); }
