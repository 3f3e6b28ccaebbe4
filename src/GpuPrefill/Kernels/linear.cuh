// What all kernels of linear layers share: their argument and what becomes of a sum.
#pragma once
#include "elements.cuh"

// Field for field the C# struct LinearArgs. Strides in elements.
struct LinearArgs {
    const void* weights;  // [outputs, inputs], or gate
    const void* paired;   // up; null for a linear layer
    const float* x;       // [tokens, inputs]
    const float* bias;    // [outputs] or null
    const float* scales;  // [tokens]: see row_scales; null where weights are not f16
    float* y;             // [tokens, outputs]
    i64 weights_stride;
    i64 x_stride;
    i64 y_stride;
    u32 tokens;
    u32 outputs;
    u32 inputs;
    u32 slices;  // warps that share a row
    u32 accumulate;
    u32 two_terms;
};

template <typename W>
DEVICE const W* weight_row(const LinearArgs& args, u32 row) {
    return static_cast<const W*>(args.weights) + min_of(row, args.outputs - 1) * args.weights_stride;
}

template <typename W>
DEVICE const W* paired_weight_row(const LinearArgs& args, u32 row) {
    return static_cast<const W*>(args.paired) + min_of(row, args.outputs - 1) * args.weights_stride;
}

DEVICE const float* token_row(const LinearArgs& args, u32 token) {
    return args.x + min_of(token, args.tokens - 1) * args.x_stride;
}

DEVICE float token_scale(const LinearArgs& args, u32 token) {
    return args.scales == nullptr ? 1.0f : args.scales[min_of(token, args.tokens - 1)];
}

// y = sum + bias, or y += it. The sum is of scaled activations where there are scales.
DEVICE void store_linear(const LinearArgs& args, u32 row, u32 token, float sum) {
    if (row >= args.outputs || token >= args.tokens) return;
    float& y = args.y[token * args.y_stride + row];
    const float start = (args.accumulate != 0 ? y : 0.0f) + (args.bias != nullptr ? args.bias[row] : 0.0f);
    y = start + sum;
}

// y = silu(gate) * up.
DEVICE void store_gated(const LinearArgs& args, u32 row, u32 token, float gate, float up) {
    if (row >= args.outputs || token >= args.tokens) return;
    args.y[token * args.y_stride + row] = silu_of(gate) * up;
}
