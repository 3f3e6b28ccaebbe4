// Routed experts for a few routes of each and 16-bit weights: skinny.cuh over the tiles that expert_group has made.
// inner[route] = weight * silu(gate x) * (up x); then parts[route] = down inner.
//
// A block of eight warps has a tile of up to 8, 16 or 32 routes and sixteen rows of its expert (8 of gate and 8 of up); the
// warps split k, and their sums are added in order. Bound by memory: an expert's weights are read once for all of the
// tile's routes. Mirrors ReferenceExperts; checked by ExpertsConformance.
#include "experts.cuh"
#include "skinny.cuh"

template <typename W, u32 kTiles, bool kDown>
DEVICE bool expert_tile(const ExpertArgs& args, const RouteTile& routes, const W* upper, const W* lower,
                        float (&sum)[kTiles][4]) {
    const auto row = [&](u32 t) { return row_of_x<kDown>(args, routes.route(t)); };
    return skinny_block<W, kTiles>(
        sum, upper, lower, [&](u32 t) { return args.x + row(t) * args.x_stride; },
        [&](u32 t) { return args.scales == nullptr ? 1.0f : args.scales[row(t)]; }, args.inputs, args.two_terms != 0);
}

template <typename W, u32 kTiles>
DEVICE void gate_up_skinny(const ExpertArgs& args) {
    RouteTile routes;
    if (!tile_of(args, block_x(), routes)) return;
    const u32 row = block_y() * 8 + fragment_row();
    float sum[kTiles][4] = {};
    if (!expert_tile<W, kTiles, false>(args, routes, expert_row<W>(args, routes.expert, 0, 2, row),
                                       expert_row<W>(args, routes.expert, 1, 2, row), sum)) {
        return;
    }
    UNROLL
    for (u32 n = 0; n < kTiles; ++n) {
        UNROLL
        for (u32 i = 0; i < 2; ++i) {
            const u32 t = n * 8 + fragment_column() * 2 + i;
            if (t < routes.count) store_inner(args, routes.route(t), row, sum[n][i], sum[n][i + 2]);
        }
    }
}

template <typename W, u32 kTiles>
DEVICE void down_skinny(const ExpertArgs& args) {
    RouteTile routes;
    if (!tile_of(args, block_x(), routes)) return;
    const u32 row = block_y() * 16 + fragment_row();
    float sum[kTiles][4] = {};
    if (!expert_tile<W, kTiles, true>(args, routes, expert_row<W>(args, routes.expert, 0, 1, row),
                                      expert_row<W>(args, routes.expert, 0, 1, row + 8), sum)) {
        return;
    }
    UNROLL
    for (u32 n = 0; n < kTiles; ++n) {
        UNROLL
        for (u32 i = 0; i < 4; ++i) {
            const u32 t = n * 8 + fragment_column() * 2 + i % 2, at = row + i / 2 * 8;
            if (t < routes.count && at < args.outputs) args.y[routes.route(t) * args.y_stride + at] = sum[n][i];
        }
    }
}

#define SKINNY(W, routes)                                                                                         \
    KERNEL(expert_gate_up_skinny_##W##_##routes, ExpertArgs, kSkinnyThreads) { gate_up_skinny<W, routes / 8>(args); } \
    KERNEL(expert_down_skinny_##W##_##routes, ExpertArgs, kSkinnyThreads) { down_skinny<W, routes / 8>(args); }

SKINNY(bf16, 8)
SKINNY(bf16, 16)
SKINNY(bf16, 32)
SKINNY(f16, 8)
SKINNY(f16, 16)
SKINNY(f16, 32)
