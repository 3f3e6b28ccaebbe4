// Routed experts for many tokens and 16-bit weights: gemm.cuh over the tiles that expert_group has made.
// inner[route] = weight * silu(gate x) * (up x); then parts[route] = down inner.
//
// A block a tile of an expert's routes and 64 or 128 of its rows; the tiles of one expert run side by side, so that its
// weights come from DRAM once. The grid has room for the most tiles that there can be: blocks without one leave. Bound by
// tensor cores. Mirrors ReferenceExperts; checked by ExpertsConformance.
#include "experts.cuh"
#include "gemm.cuh"

template <typename W>
using LargeTile = GemmTile<W, 128, 128, 64, 32>;
template <typename W>
using SmallTile = GemmTile<W, 64, 64, 32, 32>;

DEVICE float scale_of(const ExpertArgs& args, u32 row) { return args.scales[row]; }

template <typename W, template <typename> typename Tile, u32 kRows>
DEVICE void gate_up_gemm(const ExpertArgs& args) {
    DYNAMIC_SHARED(shared);
    RouteTile routes;
    if (!tile_of(args, block_x(), routes)) return;
    const u32 first_row = block_y() * (kRows / 2);
    Tile<W> tile;
    tile.add(
        shared, args.inputs, args.two_terms != 0,
        [&](u32 r) { return expert_row<W>(args, routes.expert, is_first_of_pair(r) ? 0 : 1, 2, first_row + paired_row(r)); },
        [&](u32 t) { return args.x + row_of_x<false>(args, routes.route(t)) * args.x_stride; },
        [&](u32 t) { return scale_of(args, row_of_x<false>(args, routes.route(t))); });
    tile.each_pair([&](u32 r, u32 t, float gate, float up) {
        if (t >= routes.count) return;
        const u32 route = routes.route(t);
        if constexpr (Pairs<W>::kScaled) {
            const float inverse = inverse_of_power(scale_of(args, row_of_x<false>(args, route)));
            gate *= inverse;
            up *= inverse;
        }
        store_inner(args, route, first_row + r, gate, up);
    });
}

template <typename W, template <typename> typename Tile, u32 kRows>
DEVICE void down_gemm(const ExpertArgs& args) {
    DYNAMIC_SHARED(shared);
    RouteTile routes;
    if (!tile_of(args, block_x(), routes)) return;
    const u32 first_row = block_y() * kRows;
    Tile<W> tile;
    tile.add(
        shared, args.inputs, args.two_terms != 0,
        [&](u32 r) { return expert_row<W>(args, routes.expert, 0, 1, first_row + r); },
        [&](u32 t) { return args.x + row_of_x<true>(args, routes.route(t)) * args.x_stride; },
        [&](u32 t) { return scale_of(args, row_of_x<true>(args, routes.route(t))); });
    tile.each([&](u32 r, u32 t, float sum) {
        if (t >= routes.count || first_row + r >= args.outputs) return;
        const u32 route = routes.route(t);
        if constexpr (Pairs<W>::kScaled) sum *= inverse_of_power(scale_of(args, route));
        args.y[route * args.y_stride + first_row + r] = sum;
    });
}

#define GEMM(W)                                                                                                     \
    KERNEL(expert_gate_up_gemm_##W##_128, ExpertArgs, LargeTile<W>::kThreads) { gate_up_gemm<W, LargeTile, 128>(args); } \
    KERNEL(expert_gate_up_gemm_##W##_64, ExpertArgs, SmallTile<W>::kThreads) { gate_up_gemm<W, SmallTile, 64>(args); } \
    KERNEL(expert_down_gemm_##W##_128, ExpertArgs, LargeTile<W>::kThreads) { down_gemm<W, LargeTile, 128>(args); }  \
    KERNEL(expert_down_gemm_##W##_64, ExpertArgs, SmallTile<W>::kThreads) { down_gemm<W, SmallTile, 64>(args); }

GEMM(bf16)
GEMM(f16)
