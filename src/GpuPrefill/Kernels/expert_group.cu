// Puts the routes of a step in order by expert, and cuts each expert's into tiles of the size that the next kernels take:
// count, prefix sum, scatter, without the host. y[t] += the sum over k of what down made of each of a token's routes.
//
// expert_group is one block, a thread an expert and a share of the routes: some thousand integers, bound by latency. The
// order of routes inside an expert is open; nothing that is computed depends on it. expert_combine is bound by memory.
// Checked by ExpertsConformance.
#include "device.cuh"

// Field for field the C# struct ExpertGroupArgs.
struct ExpertGroupArgs {
    const i32* chosen;
    u32* order;
    u32x4* tiles;
    i64 chosen_stride;
    u32 routes;
    u32 top_k;
    u32 experts;
    u32 tile_routes;
};

constexpr u32 kGroupThreads = 512;
constexpr u32 kExpertsMax = kGroupThreads;

// The expert of a route, or kExpertsMax: nobody.
DEVICE u32 expert_of(const ExpertGroupArgs& args, u32 route) {
    const i32 expert = args.chosen[route / args.top_k * args.chosen_stride + route % args.top_k];
    return static_cast<u32>(expert) < args.experts ? static_cast<u32>(expert) : kExpertsMax;
}

KERNEL(expert_group, ExpertGroupArgs, kGroupThreads) {
    SHARED(u32[kExpertsMax], counts);
    SHARED(u64[kGroupThreads / kWarp], totals);
    counts[thread_x()] = 0;
    sync_block();
    for (u32 route = thread_x(); route < args.routes; route += kGroupThreads) {
        const u32 expert = expert_of(args, route);
        if (expert < kExpertsMax) atomic_add(&counts[expert], 1u);
    }
    sync_block();

    // Routes in the upper half, tiles in the lower: one sum for both.
    const u32 count = counts[thread_x()], tiles = divide_up(count, args.tile_routes);
    u64 sum = u64{count} << 32 | tiles;
    for (u32 step = 1; step < kWarp; step *= 2) {
        const u64 other = shuffle_up(sum, step);
        if (lane() >= step) sum += other;
    }
    if (lane() == kWarp - 1) totals[warp()] = sum;
    sync_block();
    for (u32 w = 0; w < warp(); ++w) sum += totals[w];
    if (thread_x() == kGroupThreads - 1) args.tiles[0] = {static_cast<u32>(sum), 0, 0, 0};
    const u32 first = static_cast<u32>(sum >> 32) - count, first_tile = static_cast<u32>(sum) - tiles;
    for (u32 i = 0; i < tiles; ++i) {
        const u32 done = i * args.tile_routes;
        args.tiles[1 + first_tile + i] = {thread_x(), first + done, min_of(args.tile_routes, count - done), 0};
    }
    counts[thread_x()] = first;
    sync_block();
    for (u32 route = thread_x(); route < args.routes; route += kGroupThreads) {
        const u32 expert = expert_of(args, route);
        if (expert < kExpertsMax) args.order[atomic_add(&counts[expert], 1u)] = route;
    }
}

// Field for field the C# struct ExpertCombineArgs. Strides in elements.
struct ExpertCombineArgs {
    const float* parts;  // [tokens * top_k, width], of routes that have an expert
    const i32* chosen;
    float* y;
    i64 chosen_stride;
    i64 y_stride;
    u32 top_k;
    u32 width;
};

constexpr u32 kCombineThreads = 256;

KERNEL(expert_combine, ExpertCombineArgs, kCombineThreads) {
    const u32 token = block_y(), i = block_x() * kCombineThreads + thread_x();
    if (i >= args.width) return;
    float sum = 0;
    for (u32 k = 0; k < args.top_k; ++k) {
        if (args.chosen[token * args.chosen_stride + k] < 0) continue;
        sum += args.parts[(u64{token} * args.top_k + k) * args.width + i];
    }
    args.y[token * args.y_stride + i] += sum;
}
