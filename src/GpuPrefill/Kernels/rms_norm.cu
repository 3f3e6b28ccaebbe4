// y[t] = x[t] / rms(x[t]) * weight, for each group of `width` elements of a row.
//
// A block a group of a row; every thread keeps to the same elements in both passes, so that the second finds them in
// L1. Bound by memory: x is read once from DRAM, y written once; the weight stays in L2. Mirrors ReferenceOps.RmsNorm;
// checked by DeviceOpsConformance.Norm_*.
#include "device.cuh"

// Field for field the C# struct RmsNormArgs. Strides in elements.
struct RmsNormArgs {
    const float* x;
    const float* weight;
    float* y;
    i64 x_stride;
    i64 y_stride;
    u32 width;
    u32 groups;  // of a row; the grid is [groups, rows]
    float epsilon;
};

constexpr u32 kThreads = 256;

KERNEL(rms_norm, RmsNormArgs, kThreads) {
    SHARED(float[kThreads / kWarp], partial);
    const u32 row = block_y(), group = block_x();
    const float* const x = args.x + row * args.x_stride + u64{group} * args.width;
    float* const y = args.y + row * args.y_stride + u64{group} * args.width;

    float squares = 0;
    for (u32 i = thread_x(); i < args.width; i += threads_x()) squares += x[i] * x[i];
    squares = warp_sum(squares);
    if (lane() == 0) partial[warp()] = squares;
    sync_block();
    float sum = 0;
    for (u32 i = 0; i < threads_x() / kWarp; ++i) sum += partial[i];
    const float scale = 1.0f / __builtin_sqrtf(sum / static_cast<float>(args.width) + args.epsilon);

    for (u32 i = thread_x(); i < args.width; i += threads_x()) y[i] = x[i] * scale * args.weight[i];
}
