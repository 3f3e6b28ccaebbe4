// y[t] = x[t] / rms(x[t]) * weight, for each group of `width` elements of a row.
//
// rms_norm: a block a group; every thread keeps to the same elements in both passes, so that the second finds them in
// L1. rms_norm_heads: a warp a group, eight groups a block, for groups too short for a block. Bound by memory: x is
// read once from DRAM, y written once; the weight stays in L2. Mirrors ReferenceOps.RmsNorm; checked by
// DeviceOpsConformance.Norm_*.
#include "device.cuh"

// Field for field the C# struct RmsNormArgs. Strides in elements.
struct RmsNormArgs {
    const float* x;
    const float* weight;
    float* y;
    i64 x_stride;
    i64 y_stride;
    u32 width;
    u32 groups;  // of a row
    float epsilon;
    u32 rows;
};

constexpr u32 kThreads = 256;
constexpr u32 kHeadsOfBlock = kThreads / kWarp;

DEVICE bool takes_vectors(const RmsNormArgs& args) {
    const u64 bytes = bits_as<u64>(args.x) | bits_as<u64>(args.y) | bits_as<u64>(args.weight) |
                      static_cast<u64>(args.x_stride | args.y_stride | args.width) * sizeof(float);
    return bytes % sizeof(f32x4) == 0;
}

DEVICE float sum_of_squares(const RmsNormArgs& args, const float* x, u32 thread, u32 threads) {
    float squares = 0;
    if (takes_vectors(args)) {
        for (u32 i = thread * 4; i < args.width; i += threads * 4) {
            const f32x4 v = *reinterpret_cast<const f32x4*>(x + i);
            squares += (v.x * v.x + v.y * v.y) + (v.z * v.z + v.w * v.w);
        }
    } else {
        for (u32 i = thread; i < args.width; i += threads) squares += x[i] * x[i];
    }
    return squares;
}

DEVICE void scale_group(const RmsNormArgs& args, const float* x, float* y, float squares, u32 thread, u32 threads) {
    const float scale = 1.0f / __builtin_sqrtf(squares / static_cast<float>(args.width) + args.epsilon);
    if (takes_vectors(args)) {
        for (u32 i = thread * 4; i < args.width; i += threads * 4) {
            const f32x4 v = *reinterpret_cast<const f32x4*>(x + i), w = *reinterpret_cast<const f32x4*>(args.weight + i);
            *reinterpret_cast<f32x4*>(y + i) = {v.x * scale * w.x, v.y * scale * w.y, v.z * scale * w.z, v.w * scale * w.w};
        }
    } else {
        for (u32 i = thread; i < args.width; i += threads) y[i] = x[i] * scale * args.weight[i];
    }
}

// The grid has rows * groups blocks, in any dimensions.
KERNEL(rms_norm, RmsNormArgs, kThreads) {
    SHARED(float[kThreads / kWarp], partial);
    const u32 block = block_y() * blocks_x() + block_x(), row = block / args.groups, group = block % args.groups;
    const float* const x = args.x + row * args.x_stride + u64{group} * args.width;
    const float squares = warp_sum(sum_of_squares(args, x, thread_x(), threads_x()));
    if (lane() == 0) partial[warp()] = squares;
    sync_block();
    float sum = 0;
    for (u32 i = 0; i < threads_x() / kWarp; ++i) sum += partial[i];
    scale_group(args, x, args.y + row * args.y_stride + u64{group} * args.width, sum, thread_x(), threads_x());
}

KERNEL(rms_norm_heads, RmsNormArgs, kThreads) {
    const u32 at = block_x() * kHeadsOfBlock + warp(), row = at / args.groups, group = at % args.groups;
    if (row >= args.rows) return;
    const float* const x = args.x + row * args.x_stride + u64{group} * args.width;
    const float sum = warp_sum(sum_of_squares(args, x, lane(), kWarp));
    scale_group(args, x, args.y + row * args.y_stride + u64{group} * args.width, sum, lane(), kWarp);
}
