// Router: scores in f32 whatever the weights are stored as, because a rounded score can choose another expert.
#include <cmath>

#include "ops.h"

namespace lk {
namespace {

// NaN is never better; a row that has one gets weights that tell, unless its experts can do without (sigmoid).
bool beats(float a, float b) { return a > b || (std::isnan(b) && !std::isnan(a)); }

// The k best of what is offered, in falling order; an equal value goes behind, so ties stay with what came first.
struct Best {
    std::size_t k;
    std::int32_t* items;
    float* values;
    std::size_t kept = 0;

    void offer(std::size_t item, float value) {
        if (kept == k && !beats(value, values[k - 1])) return;
        std::size_t at = kept < k ? kept++ : k - 1;
        for (; at > 0 && beats(value, values[at - 1]); --at) {
            values[at] = values[at - 1];
            items[at] = items[at - 1];
        }
        values[at] = value;
        items[at] = static_cast<std::int32_t>(item);
    }
};

// Logits become scores; a softmax of a row with a NaN has nothing else.
struct Scores {
    bool sigmoid;
    float largest = 0;
    float sum = 1;

    Scores(const Kernels& kernels, lk_scoring scoring, const float* logits, std::size_t count)
        : sigmoid(scoring == LK_SIGMOID) {
        if (sigmoid) return;
        largest = kernels.maximum(logits, count);
        sum = static_cast<float>(kernels.exp_sum(logits, largest, nullptr, count));
    }
    float of(float logit) const {
        return sigmoid ? 1.0f / (1.0f + std::exp(-logit)) : std::exp(logit - largest) / sum;
    }
};

// Both scorings rise with the logit, so that where nothing is added to the scores the logits tell more: scores underflow.
bool compares_logits(const lk_router& router) {
    return router.correction == nullptr && (router.groups == 1 || router.group_best == 1);
}

float worth(const float* values, std::size_t size, std::int32_t group_best) {
    std::int32_t items[2];
    float best[2] = {};
    Best kept{static_cast<std::size_t>(group_best), items, best};
    for (std::size_t i = 0; i < size; ++i) kept.offer(i, values[i]);
    return group_best == 1 ? best[0] : best[0] + best[1];
}

// One bit a group.
std::uint32_t kept_groups(const lk_router& router, const float* values, std::size_t size) {
    if (router.groups == router.groups_kept) return ~std::uint32_t{0};
    std::int32_t groups[32];
    float worths[32];
    Best best{static_cast<std::size_t>(router.groups_kept), groups, worths};
    for (std::size_t g = 0; g < static_cast<std::size_t>(router.groups); ++g) {
        best.offer(g, worth(values + g * size, size, router.group_best));
    }
    std::uint32_t kept = 0;
    for (std::size_t i = 0; i < best.kept; ++i) kept |= std::uint32_t{1} << groups[i];
    return kept;
}

// The scores of the kept experts, from their logits.
void weigh(const lk_router& router, const Scores& scores, const float* logits, const std::int32_t* experts,
           std::size_t k, float* weights) {
    float sum = 1e-20f;
    for (std::size_t i = 0; i < k; ++i) sum += weights[i] = scores.of(logits[experts[i]]);
    for (std::size_t i = 0; i < k; ++i) weights[i] = weights[i] / (router.renormalize != 0 ? sum : 1.0f) * router.scale;
}

// `values` has room for the row's.
void choose(const Kernels& kernels, const lk_router& router, const float* logits, std::size_t count, float* values,
            std::int32_t* experts, float* weights, std::size_t k) {
    const Scores scores(kernels, router.scoring, logits, count);
    const float* compared = logits;
    if (!compares_logits(router)) {
        for (std::size_t i = 0; i < count; ++i) {
            values[i] = scores.of(logits[i]) + (router.correction == nullptr ? 0.0f : router.correction[i]);
        }
        compared = values;
    }
    const std::size_t size = count / static_cast<std::size_t>(router.groups);
    const std::uint32_t groups = kept_groups(router, compared, size);
    Best best{k, experts, weights};
    for (std::size_t i = 0; i < count; ++i) {
        if ((groups >> (i / size) & 1) != 0) best.offer(i, compared[i]);
    }
    weigh(router, scores, logits, experts, k, weights);
}

}  // namespace

void route(Device& device, const Grid& x, const MatrixView& gate, const lk_router& router, const ChosenView& chosen) {
    const auto count = static_cast<std::size_t>(gate.rows);
    const std::size_t width = compares_logits(router) ? count : 2 * count;
    const Grid logits{device.shared(Use::scores).reserve_of<float>(x.rows * width), x.rows, count, width};
    linear(device, device.kernels().gemm_exact[index_of(gate.format)], x, gate, nullptr, logits, false);
    spread(device, x.rows, rows_worth(16 * count), [&](std::size_t first, std::size_t last) {
        for (std::size_t t = first; t < last; ++t) {
            choose(device.kernels(), router, logits.row(t), count, logits.row(t) + count,
                   chosen.experts + t * chosen.expert_stride, chosen.weights + t * chosen.weight_stride, chosen.k);
        }
    });
}

}  // namespace lk
