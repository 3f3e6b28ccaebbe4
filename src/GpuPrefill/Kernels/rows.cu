// Rows that are looked up, copied, added and measured. All are bound by memory: each element is read and written once.
//
// embed_*: y[t] = table[ids[t]], widened. gather_rows: y[t] = x[rows[t]]. add_rows: y[t] += x[t]. A block a row; sixteen
// bytes a thread where all addresses allow it. row_scales: for each row the power of two that brings its largest
// magnitude to between 2^14 and 2^15, so that 16-bit floating point holds it with 11 bits and what is left with 11
// more, for elements down to 2^-17 of the largest; below that the error stays under 2^-39 of the largest.
// Mirrors ReferenceOps.Embed and GatherRows; checked by DeviceOpsConformance.
#include "elements.cuh"

// Field for field the C# struct RowsArgs. Strides in elements.
struct RowsArgs {
    const void* source;  // the table, or x
    const i32* indices;  // null where row t is of row t
    float* y;
    i64 source_stride;
    i64 y_stride;
    u32 source_rows;
    u32 width;
};

constexpr u32 kThreads = 256;

template <typename W>
DEVICE bool takes_vectors(const RowsArgs& args) {
    const u64 source = bits_as<u64>(args.source) | static_cast<u64>(args.source_stride) * sizeof(W);
    const u64 y = bits_as<u64>(args.y) | static_cast<u64>(args.y_stride) * sizeof(float);
    return (source | y) % 16 == 0 && args.width % kVector<W> == 0;
}

template <typename W>
DEVICE void copy_row(const RowsArgs& args) {
    float* const y = args.y + block_x() * args.y_stride;
    const u32 from = args.indices == nullptr ? block_x() : static_cast<u32>(args.indices[block_x()]);
    if (from >= args.source_rows) {
        // Nothing sensible can be read; what comes of it must not look sensible.
        for (u32 i = thread_x(); i < args.width; i += threads_x()) y[i] = bits_as<float>(0x7fc00000u);
        return;
    }
    const W* const x = static_cast<const W*>(args.source) + from * args.source_stride;
    if (!takes_vectors<W>(args)) {
        for (u32 i = thread_x(); i < args.width; i += threads_x()) y[i] = widen(x[i]);
        return;
    }
    for (u32 i = thread_x() * kVector<W>; i < args.width; i += threads_x() * kVector<W>) {
        float v[kVector<W>];
        widen_vector<W>(v, load_streamed(reinterpret_cast<const u32x4*>(x + i)));
        UNROLL
        for (u32 j = 0; j < kVector<W>; j += 4) {
            *reinterpret_cast<f32x4*>(y + i + j) = {v[j], v[j + 1], v[j + 2], v[j + 3]};
        }
    }
}

KERNEL(embed_f32, RowsArgs, kThreads) { copy_row<float>(args); }
KERNEL(embed_bf16, RowsArgs, kThreads) { copy_row<bf16>(args); }
KERNEL(embed_f16, RowsArgs, kThreads) { copy_row<f16>(args); }
KERNEL(gather_rows, RowsArgs, kThreads) { copy_row<float>(args); }

KERNEL(add_rows, RowsArgs, kThreads) {
    const float* const x = static_cast<const float*>(args.source) + block_x() * args.source_stride;
    float* const y = args.y + block_x() * args.y_stride;
    if (!takes_vectors<float>(args)) {
        for (u32 i = thread_x(); i < args.width; i += threads_x()) y[i] += x[i];
        return;
    }
    for (u32 i = thread_x() * 4; i < args.width; i += threads_x() * 4) {
        const f32x4 a = *reinterpret_cast<const f32x4*>(y + i), b = *reinterpret_cast<const f32x4*>(x + i);
        *reinterpret_cast<f32x4*>(y + i) = {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
    }
}

// y: one number a row.
KERNEL(row_scales, RowsArgs, kThreads) {
    SHARED(float[kThreads / kWarp], partial);
    const float* const x = static_cast<const float*>(args.source) + block_x() * args.source_stride;
    float largest = 0;
    if (takes_vectors<float>(args)) {
        for (u32 i = thread_x() * 4; i < args.width; i += threads_x() * 4) {
            const f32x4 v = *reinterpret_cast<const f32x4*>(x + i);
            largest = max_of(largest, max_of(max_of(__builtin_fabsf(v.x), __builtin_fabsf(v.y)),
                                             max_of(__builtin_fabsf(v.z), __builtin_fabsf(v.w))));
        }
    } else {
        for (u32 i = thread_x(); i < args.width; i += threads_x()) largest = max_of(largest, __builtin_fabsf(x[i]));
    }
    largest = warp_max(largest);
    if (lane() == 0) partial[warp()] = largest;
    sync_block();
    if (thread_x() != 0) return;
    for (u32 i = 1; i < threads_x() / kWarp; ++i) largest = max_of(largest, partial[i]);
    // Zero, infinity and NaN are left as they are. 2^120 keeps the smallest from scales whose inverse is no float.
    const u32 exponent = bits_as<u32>(largest) >> 23;
    const u32 scale = largest == 0 || exponent == 255 ? 127 : min_of(127 + 14 + 127 - exponent, 127 + 120);
    args.y[block_x() * args.y_stride] = bits_as<float>(scale << 23);
}
