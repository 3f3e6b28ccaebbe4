// What all kernels of attention over pages share: their arguments, where a key lies, how a long past is cut into chunks,
// and the arithmetic of a softmax that is taken piece by piece.
//
// A sequence of one query row (decoding) has its past cut into chunks, whose maximum, sum and weighted values go through
// memory to attention_combine, which adds them up from the first to the last. The cut follows from the sequence's own
// length and from numbers that are fixed for a device and a model, never from the batch, nor from how many blocks there
// are; so the answer to a row does not depend on its company, bit for bit. A sequence of several rows (a prompt) is done
// by blocks that go over the whole past of their rows.
#pragma once
#include "float8.cuh"

// Field for field the C# struct AttentionArgs. Strides in elements.
struct AttentionArgs {
    const float* q;  // [rows][kv_heads * group * head_dim]
    float* y;
    const u8* keys;  // [page][kv head][slot in page][head_dim]
    const u8* values;
    const i32* query_starts;     // [sequences + 1]
    const i32* context_lengths;  // [sequences]
    const i32* page_tables;      // [sequences][page_table_stride]
    const float* sinks;          // [kv_heads * group]; may be null
    float* partial_values;       // [sequence][head][chunk][head_dim]
    f32x2* partial_sums;         // [sequence][head][chunk]: maximum and sum
    i64 q_stride;
    i64 y_stride;
    i64 page_table_stride;
    u32 sequences;
    u32 kv_heads;
    u32 group;  // query heads that share a key head
    u32 head_dim;
    u32 page_size;
    u32 window;      // 0: none
    u32 chunks_max;  // of a sequence
    float score_scale;  // scale * key scale * log2 e: scores are taken to the base 2
    float value_scale;
};

constexpr u32 kSixteen = 16;  // keys that a tensor core takes at a time
constexpr u32 kChunkMin = 256;
constexpr u32 kNoRow = 0xffffffff;
constexpr float kLog2E = 1.44269504f;
constexpr float kNothing = -__builtin_inff();  // the maximum of no scores

// 2^x for x <= 0, within two units in the last place; 0 below the smallest normal number; a NaN stays one. 2^r for
// |r| <= 1/2 is 1 + r p(r) with p the interpolation of (2^r - 1) / r in the six Chebyshev points of that interval: within
// 1e-8. Adding 1.5 * 2^23 rounds to a whole number and leaves it in the low bits.
DEVICE float exp2_of(float x) {
    constexpr float kRound = 12582912.0f;
    const float shifted = x + kRound;
    const float r = x - (shifted - kRound);
    float p = __builtin_fmaf(1.54531634e-4f, r, 1.33908633e-3f);
    p = __builtin_fmaf(p, r, 9.61808302e-3f);
    p = __builtin_fmaf(p, r, 5.55035695e-2f);
    p = __builtin_fmaf(p, r, 2.40226507e-1f);
    p = __builtin_fmaf(p, r, 6.93147182e-1f);
    p = __builtin_fmaf(p, r, 1.0f);
    return x < -126.0f ? 0.0f : p * bits_as<float>((bits_as<u32>(shifted) << 23) + 0x3f800000u);
}

// What scores are taken relative to: their maximum, but 0 where there are none.
DEVICE float base_of(float maximum) { return maximum == kNothing ? 0.0f : maximum; }

// What weighted values are multiplied by to be the result: one over the softmax's denominator, which the sink joins.
DEVICE float share_of(const AttentionArgs& args, u32 head, float maximum, float sum) {
    if (args.sinks == nullptr) return 1.0f / sum;
    const float sink = args.sinks[head] * kLog2E;
    const float largest = max_of(maximum, sink);
    const float factor = exp2_of(maximum - largest);
    return factor / (sum * factor + exp2_of(sink - largest));
}

struct Sequence {
    const i32* pages;
    u32 first_row;
    u32 rows;
    u32 length;  // of its context; 0 for rows that only fill up a batch
};

DEVICE Sequence sequence_of(const AttentionArgs& args, u32 index) {
    const u32 first = static_cast<u32>(args.query_starts[index]), end = static_cast<u32>(args.query_starts[index + 1]);
    return {args.page_tables + index * args.page_table_stride, first, end - first,
            static_cast<u32>(args.context_lengths[index])};
}

// The first key that a query at this position sees.
DEVICE u32 first_key(const AttentionArgs& args, u32 position) {
    return args.window == 0 || position < args.window ? 0 : position - args.window + 1;
}

// The row of the cache where a key's elements lie.
DEVICE u32 cache_row(const AttentionArgs& args, const i32* pages, u32 kv_head, u32 position) {
    const u32 page = static_cast<u32>(pages[position / args.page_size]);
    return (page * args.kv_heads + kv_head) * args.page_size + position % args.page_size;
}

// How the past of a sequence with one query row is cut.
struct Chunks {
    u32 first;  // key that is seen
    u32 start;  // of the first chunk: at most `first`, where tiles of keys begin
    u32 tokens;  // of a chunk
    u32 count;
};

DEVICE Chunks chunks_of(const AttentionArgs& args, u32 length) {
    const u32 first = first_key(args, length - 1), start = first / kSixteen * kSixteen;
    constexpr u32 kUnit = 4 * kSixteen;
    const u32 tokens = max_of(kChunkMin, divide_up(divide_up(length - start, args.chunks_max), kUnit) * kUnit);
    return {first, start, tokens, divide_up(length - start, tokens)};
}

DEVICE u64 partial_index(const AttentionArgs& args, u32 sequence, u32 head, u32 chunk) {
    return (u64{sequence} * args.kv_heads * args.group + head) * args.chunks_max + chunk;
}

// One query row of one head: to its place, by all threads of a block.
DEVICE void store_zeros(const AttentionArgs& args, u32 row, u32 head, u32 heads) {
    float* const y = args.y + row * args.y_stride + u64{head} * args.head_dim;
    for (u32 d = thread_x(); d < heads * args.head_dim; d += threads_x()) y[d] = 0.0f;
}
