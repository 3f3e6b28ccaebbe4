// y = x wT + bias (linear) or silu(x gateT) * (x upT) (gate_up) for many rows of x and 16-bit weights: gemm.cuh.
//
// A block a tile; tiles of the same weights run side by side, so that those come from DRAM once. Bound by tensor
// cores. Mirrors ReferenceOps.Linear and GatedMlp; checked by DeviceOpsConformance.
#include "gemm.cuh"
#include "linear.cuh"

template <typename W>
using HugeTile = GemmTile<W, 256, 128, 64, 64>;
template <typename W>
using LargeTile = GemmTile<W, 128, 128, 64, 32>;
template <typename W>
using SmallTile = GemmTile<W, 64, 64, 32, 32>;

template <typename W, template <typename> typename Tile, u32 kRows, u32 kTokens>
DEVICE void linear_gemm(const LinearArgs& args) {
    DYNAMIC_SHARED(shared);
    const u32 first_token = block_x() * kTokens, first_row = block_y() * kRows;
    Tile<W> tile;
    tile.add(
        shared, args.inputs, args.two_terms != 0, [&](u32 r) { return weight_row<W>(args, first_row + r); },
        [&](u32 t) { return token_row(args, first_token + t); }, [&](u32 t) { return token_scale(args, first_token + t); });
    tile.each([&](u32 r, u32 t, float sum) {
        if constexpr (Pairs<W>::kScaled) sum *= inverse_of_power(token_scale(args, first_token + t));
        store_linear(args, first_row + r, first_token + t, sum);
    });
}

template <typename W, template <typename> typename Tile, u32 kRows, u32 kTokens>
DEVICE void gate_up_gemm(const LinearArgs& args) {
    DYNAMIC_SHARED(shared);
    const u32 first_token = block_x() * kTokens, first_row = block_y() * (kRows / 2);
    Tile<W> tile;
    tile.add(
        shared, args.inputs, args.two_terms != 0,
        [&](u32 r) {
            const u32 row = first_row + paired_row(r);
            return is_first_of_pair(r) ? weight_row<W>(args, row) : paired_weight_row<W>(args, row);
        },
        [&](u32 t) { return token_row(args, first_token + t); }, [&](u32 t) { return token_scale(args, first_token + t); });
    tile.each_pair([&](u32 r, u32 t, float gate, float up) {
        const float inverse = Pairs<W>::kScaled ? inverse_of_power(token_scale(args, first_token + t)) : 1.0f;
        store_gated(args, first_row + r, first_token + t, gate * inverse, up * inverse);
    });
}

#define GEMM(W, Tile, rows, tokens)                                                                                      \
    KERNEL(linear_gemm_##W##_##rows, LinearArgs, Tile<W>::kThreads) { linear_gemm<W, Tile, rows, tokens>(args); }        \
    KERNEL(gate_up_gemm_##W##_##rows, LinearArgs, Tile<W>::kThreads) { gate_up_gemm<W, Tile, rows, tokens>(args); }

// Scales would take the registers that the largest tile leaves: bf16 only.
GEMM(bf16, HugeTile, 256, 128)
GEMM(bf16, LargeTile, 128, 128)
GEMM(bf16, SmallTile, 64, 64)
GEMM(f16, LargeTile, 128, 128)
GEMM(f16, SmallTile, 64, 64)
