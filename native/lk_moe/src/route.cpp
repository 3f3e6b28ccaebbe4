// Router: scores in f32 whatever the weights are stored as, because a rounded score can choose another expert.
#include <cmath>

#include "ops.h"

namespace lk {
namespace {

// Both scorings rise with the logit, so the best logits are the best scores, also where the scores have underflowed.
// NaN is never better; a row that has one gets weights that tell, unless its experts can do without (sigmoid).
bool beats(float a, float b) { return a > b || (std::isnan(b) && !std::isnan(a)); }

// Inserts in falling order; an equal logit goes behind, so ties stay with the lower expert.
void keep_best(const float* logits, std::size_t count, std::size_t k, std::int32_t* experts, float* best) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < count; ++i) {
        if (kept == k && !beats(logits[i], best[k - 1])) continue;
        std::size_t at = kept < k ? kept++ : k - 1;
        for (; at > 0 && beats(logits[i], best[at - 1]); --at) {
            best[at] = best[at - 1];
            experts[at] = experts[at - 1];
        }
        best[at] = logits[i];
        experts[at] = static_cast<std::int32_t>(i);
    }
}

// The kept logits become scores.
void score(const Kernels& kernels, const RouterView& router, const float* logits, std::size_t count, float* kept) {
    if (router.sigmoid) {
        for (std::size_t i = 0; i < router.k; ++i) kept[i] = 1.0f / (1.0f + std::exp(-kept[i]));
    } else {
        const float largest = kernels.maximum(logits, count);
        const auto sum = static_cast<float>(kernels.exp_sum(logits, largest, nullptr, count));
        for (std::size_t i = 0; i < router.k; ++i) kept[i] = std::exp(kept[i] - largest) / sum;
    }
    if (!router.renormalize) return;
    float sum = 0;
    for (std::size_t i = 0; i < router.k; ++i) sum += kept[i];
    for (std::size_t i = 0; i < router.k; ++i) kept[i] /= sum;
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
            keep_best(logits.row(t), count, router.k, experts + t * expert_stride, kept);
            score(device.kernels(), router, logits.row(t), count, kept);
        }
    });
}

}  // namespace lk
