// gemv, gemm and mix by definition: slow, obvious, with sums in double. Every other table is checked against
// it.
#include <cstring>

#include "scalar.h"

namespace lk::reference {
namespace {

// y[t][r] (+)= sum_k w[r][k] * x[t][k]
template <typename Stored>
void gemv(const Weights& w, const ConstRows& x, std::size_t tokens, const Rows& y, bool accumulate) {
    const auto* data = static_cast<const typename Stored::Element*>(w.data);
    for (std::size_t token = 0; token < tokens; ++token) {
        const float* activations = row(x, token);
        float* target = row(y, token);
        for (std::size_t r = 0; r < w.rows; ++r) {
            const auto* weights = data + r * w.stride;
            double sum = accumulate ? double{target[r]} : 0.0;
            for (std::size_t k = 0; k < w.depth; ++k) {
                sum += double{Stored::widen(weights[k])} * double{activations[k]};
            }
            target[r] = static_cast<float>(sum);
        }
    }
}

std::size_t packed_bytes(std::size_t tokens, std::size_t depth) { return tokens * depth * sizeof(float); }

void pack(const ConstRows& x, std::size_t tokens, std::size_t depth, void* packed) {
    if (depth == 0) return;
    for (std::size_t token = 0; token < tokens; ++token) {
        std::memcpy(static_cast<float*>(packed) + token * depth, row(x, token), depth * sizeof(float));
    }
}

template <typename Stored>
void multiply(const Weights& w, const void* packed, std::size_t tokens, const Rows& y, bool accumulate) {
    const ConstRows x{.data = static_cast<const float*>(packed), .stride = w.depth};
    gemv<Stored>(w, x, tokens, y, accumulate);
}

template <typename Stored>
constexpr Gemm kGemm{
    .rounds_activations = false, .packed_bytes = packed_bytes, .pack = pack, .multiply = multiply<Stored>};

// y[t][d] = factors[t] * y[t][d] + sum_j p[t][j] * v[j][d]
template <typename Stored>
void mix(const Weights& v, const ConstRows& p, std::size_t tokens, const float* factors, const Rows& y) {
    const auto* data = static_cast<const typename Stored::Element*>(v.data);
    for (std::size_t token = 0; token < tokens; ++token) {
        const float* shares = row(p, token);
        float* target = row(y, token);
        for (std::size_t d = 0; d < v.depth; ++d) {
            double sum = factors != nullptr ? double{factors[token]} * double{target[d]} : double{target[d]};
            for (std::size_t j = 0; j < v.rows; ++j) {
                sum += double{shares[j]} * double{Stored::widen(data[j * v.stride + d])};
            }
            target[d] = static_cast<float>(sum);
        }
    }
}

template <typename Stored>
void install_format(Kernels& table, Format format) {
    const std::size_t i = index_of(format);
    table.gemv[i] = gemv<Stored>;
    table.gemm_exact[i] = kGemm<Stored>;
    table.gemm[i] = kGemm<Stored>;
    table.mix[i] = mix<Stored>;
}

}  // namespace

void install_products(Kernels& table) {
    install_format<F32>(table, Format::f32);
    install_format<Bf16>(table, Format::bf16);
    install_format<F16>(table, Format::f16);
}

}  // namespace lk::reference
