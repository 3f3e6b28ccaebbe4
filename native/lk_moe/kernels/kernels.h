// Every operation that the engine needs from an instruction set: one table, one row an operation.
//
// Rules of all rows:
//  * Activations are f32; weights and KV are of one of the formats. All strides are in elements.
//  * Lengths are free (zero included) and no alignment is assumed. Nothing outside the given ranges is
//    read or written. Weights of 64-byte aligned rows are read fastest.
//  * Sums are taken in f32 in an order of the kernel's choice that depends only on the lengths, so that
//    a result is reproducible; an error bound of c * n * eps * sum|terms| is checked by the tests.
//  * NaN and infinity propagate. Subnormals are kept, except where a row says otherwise.
//  * No row allocates, locks, logs, throws or reads the environment.
#pragma once
#include <cstddef>
#include <cstdint>

namespace lk {

using bf16 = std::uint16_t;
using f16 = std::uint16_t;

// How weights and KV are stored. The numbers index the arrays of the table.
enum class Format : std::uint8_t { f32 = 0, bf16 = 1, f16 = 2 };
inline constexpr std::size_t kFormatCount = 3;

constexpr std::size_t index_of(Format format) { return static_cast<std::size_t>(format); }
constexpr std::size_t size_of(Format format) { return format == Format::f32 ? 4 : 2; }

// w[r][k], row-major as in a checkpoint: row r starts at data + r * stride.
struct Weights {
    const void* data;
    std::size_t stride;
    std::size_t rows;
    std::size_t depth;
};

// Token t's row starts at data + (index ? index[t] : t) * stride: gathering and scattering need no copy.
// The rows of a target are distinct.
struct ConstRows {
    const float* data;
    std::size_t stride;
    const std::uint32_t* index = nullptr;
};
struct Rows {
    float* data;
    std::size_t stride;
    const std::uint32_t* index = nullptr;
};

// y[t][r] = sum_k w[r][k] * x[t][k], or += when `accumulate`.
//
// For few tokens: each weight is read from memory once for every kGemvTokens tokens. Products are exact in f32
// but for rounding, and the bits of a result do not depend on the tokens and rows that are computed beside it.
// Attention scores are this row too: the keys of a page are the weights, the query heads that share them are
// the tokens.
using Gemv = void(const Weights& w, const ConstRows& x, std::size_t tokens, const Rows& y, bool accumulate);
inline constexpr std::size_t kGemvTokens = 8;

// The same sum for many tokens. Activations are packed once, in a layout that is the table's own, and then
// meet any number of weight rows, on any number of threads. Rows are cheapest in multiples of kGemmRows.
//
// Token ranges that start at a multiple of kPackTokens can be packed apart from each other: the one that
// starts at `first` lies packed_bytes(first, depth) bytes into the buffer. The buffer must be 64-byte
// aligned.
inline constexpr std::size_t kPackTokens = 64;
inline constexpr std::size_t kGemmRows = 48;

struct Gemm {
    // True: activations are rounded to bf16 (to nearest even) when packed, and subnormal inputs
    // count as zero. False: activations stay f32.
    bool rounds_activations;
    std::size_t (*packed_bytes)(std::size_t tokens, std::size_t depth);
    void (*pack)(const ConstRows& x, std::size_t tokens, std::size_t depth, void* packed);
    void (*multiply)(const Weights& w, const void* packed, std::size_t tokens, const Rows& y,
                     bool accumulate);
};

// y[t][d] = factors[t] * y[t][d] + sum_j p[t][j] * v[j][d], d < v.depth, j < v.rows: the value half of
// attention. `factors` may be null, meaning 1. The targets' rows are not indexed through p: both are
// addressed by token.
using Mix = void(const Weights& v, const ConstRows& p, std::size_t tokens, const float* factors,
                 const Rows& y);

// target[i] = source[i]; to nearest even when narrowing, a NaN stays a NaN of the same sign.
using Widen = void(const void* source, float* target, std::size_t length);
using Narrow = void(const float* source, void* target, std::size_t length);

// y[i] = x[i] / sqrt(mean(x^2) + epsilon) * weight[i]; `weight` may be null, meaning 1; y may be x.
using RmsNorm = void(const float* x, const float* weight, float epsilon, float* y, std::size_t length);

// y[i] = silu(gate[i]) * up[i] * scale, silu(g) = g / (1 + exp(-g)); y may be gate or up. `scale` is where a
// routing weight enters, so that the down projections of all experts of a token simply add up.
using SiluMul = void(const float* gate, const float* up, float scale, float* y, std::size_t length);

// y[i] += scale * x[i].
using Axpy = void(float scale, const float* x, float* y, std::size_t length);

// y[i] *= scale.
using Scale = void(float scale, float* y, std::size_t length);

// Rotates pairs (a, b) -> (a cos - b sin, b cos + a sin), in place, in `heads` rows of x. Pair i is
// (x[i], x[i + pairs]), or (x[2i], x[2i + 1]) when `interleaved`; cos and sin hold `pairs` values.
using Rotate = void(float* x, std::size_t stride, std::size_t heads, const float* cos, const float* sin,
                    std::size_t pairs, bool interleaved);

// The largest element; NaN if there is one; -infinity if length is 0.
using Maximum = float(const float* x, std::size_t length);

// The first index of the largest element, or of the first NaN if there is one; 0 if length is 0.
using Argmax = std::size_t(const float* x, std::size_t length);

// Returns the sum of exp(x[i] - shift) and stores the terms to y unless it is null; y may be x. The
// difference is rounded to f32; its exponential is within 2 ulp. An online softmax is Maximum and ExpSum;
// log-sum-exp is max + log(ExpSum(x, max, null)).
using ExpSum = double(const float* x, float shift, float* y, std::size_t length);

struct Kernels {
    const char* name;
    Gemv* gemv[kFormatCount];
    Gemm gemm_exact[kFormatCount];  // f32 activations
    Gemm gemm[kFormatCount];        // the fastest; may round activations, if it says so
    Mix* mix[kFormatCount];
    Widen* widen[kFormatCount];
    Narrow* narrow[kFormatCount];
    RmsNorm* rms_norm;
    SiluMul* silu_mul;
    Axpy* axpy;
    Scale* scale;
    Rotate* rotate;
    Maximum* maximum;
    Argmax* argmax;
    ExpSum* exp_sum;
};

// Each overwrites the entries that it improves on, in the order of this list; the first fills them all.
namespace reference {
void install(Kernels& table);
}
namespace avx2 {
void install(Kernels& table);
}
namespace avx512 {
void install(Kernels& table);
}
namespace avx512bf16 {
void install(Kernels& table);
}
namespace amx {
void install(Kernels& table);
}

}  // namespace lk
