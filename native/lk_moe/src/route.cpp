// Router: scores in f32 whatever the weights are stored as, because a rounded score can choose another expert.
#include <cmath>

#include "ops.h"

namespace lk {
namespace {

// NaN counts as largest, so that it is chosen, and seen.
bool beats(float a, float b) { return a > b || (std::isnan(a) && !std::isnan(b)); }

void to_scores(const Kernels& kernels, bool sigmoid, float* logits, std::size_t count) {
    if (sigmoid) {
        for (std::size_t i = 0; i < count; ++i) logits[i] = 1.0f / (1.0f + std::exp(-logits[i]));
        return;
    }
    const float largest = kernels.maximum(logits, count);
    const auto sum = static_cast<float>(kernels.exp_sum(logits, largest, logits, count));
    for (std::size_t i = 0; i < count; ++i) logits[i] /= sum;
}

// Inserts in falling order; an equal score goes behind, so ties stay with the lower expert.
void keep_best(const float* scores, std::size_t count, std::size_t k, std::int32_t* experts, float* weights) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < count; ++i) {
        if (kept == k && !beats(scores[i], weights[k - 1])) continue;
        std::size_t at = kept < k ? kept++ : k - 1;
        for (; at > 0 && beats(scores[i], weights[at - 1]); --at) {
            weights[at] = weights[at - 1];
            experts[at] = experts[at - 1];
        }
        weights[at] = scores[i];
        experts[at] = static_cast<std::int32_t>(i);
    }
}

}  // namespace

void route(Device& device, const Grid& x, const MatrixView& gate, const RouterView& router, std::int32_t* experts,
           std::size_t expert_stride, float* weights, std::size_t weight_stride) {
    const auto count = static_cast<std::size_t>(gate.rows);
    const Grid logits{device.shared(Use::scores).reserve_of<float>(x.rows * count), x.rows, count, count};
    linear(device, device.kernels().gemm_exact[index_of(gate.format)], x, gate, nullptr, logits, false);
    spread(device, x.rows, rows_worth(16 * count), [&](std::size_t first, std::size_t last) {
        for (std::size_t t = first; t < last; ++t) {
            float* const kept = weights + t * weight_stride;
            to_scores(device.kernels(), router.sigmoid, logits.row(t), count);
            keep_best(logits.row(t), count, router.k, experts + t * expert_stride, kept);
            if (!router.renormalize) continue;
            float sum = 0;
            for (std::size_t i = 0; i < router.k; ++i) sum += kept[i];
            for (std::size_t i = 0; i < router.k; ++i) kept[i] /= sum;
        }
    });
}

}  // namespace lk
