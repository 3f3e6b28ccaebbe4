// What the kernels of routed experts share. A route is one of a token's choices: route token * top_k + k.
#pragma once
#include "elements.cuh"

// Field for field the C# struct ExpertArgs. Strides in elements.
struct ExpertArgs {
    const void* weights;         // [experts, 2 * outputs, inputs] with gate before up; down: [experts, outputs, inputs]
    const float* x;              // the activations of tokens; down: of routes
    const float* scales;         // of the rows of x: see row_scales; null where weights are not f16
    const i32* chosen;           // [tokens, top_k]; -1 for nobody
    const float* route_weights;  // [tokens, top_k]
    const u32* order;            // routes, those of one expert side by side
    const u32x4* tiles;          // first how many there are, then {expert, first place in order, routes, 0} of each
    float* y;                    // [routes, outputs]; down_direct and down_any: [tokens, outputs]
    i64 x_stride;
    i64 chosen_stride;
    i64 route_weight_stride;
    i64 y_stride;
    u32 top_k;
    u32 outputs;
    u32 inputs;
    u32 two_terms;
};

DEVICE i32 expert_of(const ExpertArgs& args, u32 route) {
    return args.chosen[route / args.top_k * args.chosen_stride + route % args.top_k];
}

DEVICE float weight_of(const ExpertArgs& args, u32 route) {
    return args.route_weights[route / args.top_k * args.route_weight_stride + route % args.top_k];
}

// Row `row` of part `part` of `parts` of an expert; a row that is not there gives the last.
template <typename W>
DEVICE const W* expert_row(const ExpertArgs& args, u32 expert, u32 part, u32 parts, u32 row) {
    const u64 at = (u64{expert} * parts + part) * args.outputs + min_of(row, args.outputs - 1);
    return static_cast<const W*>(args.weights) + at * args.inputs;
}

// y[route] = weight * silu(gate) * up.
DEVICE void store_inner(const ExpertArgs& args, u32 route, u32 row, float gate, float up) {
    if (row < args.outputs) args.y[route * args.y_stride + row] = silu_of(gate) * up * weight_of(args, route);
}

// The routes of one expert that a block computes together.
struct RouteTile {
    u32 expert, first, count;
    const u32* order;

    // A route beyond the last gives the last.
    DEVICE u32 route(u32 t) const { return order[first + min_of(t, count - 1)]; }
};

DEVICE bool tile_of(const ExpertArgs& args, u32 index, RouteTile& tile) {
    if (index >= args.tiles[0].x) return false;
    const u32x4 own = args.tiles[1 + index];
    tile = {own.x, own.y, own.z, args.order};
    return true;
}

// The rows of x that gate and up read are of tokens, those that down reads are of routes.
template <bool kDown>
DEVICE u32 row_of_x(const ExpertArgs& args, u32 route) {
    return kDown ? route : route / args.top_k;
}
