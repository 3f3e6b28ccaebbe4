#include <algorithm>

#include "ops_support.h"

namespace lk::testing {
namespace {

// The gate is the identity, so that a token's logits are its activations.
struct Gate {
    Gate(lk_device* device, int experts, Random& random) : weight(device, LK_F32, experts, experts, random) {
        std::fill(weight.values.begin(), weight.values.end(), 0.0f);
        for (int i = 0; i < experts; ++i) weight.values[static_cast<std::size_t>(i * experts + i)] = 1;
        weight.fill();
    }
    Weight weight;
};

struct Routed {
    Routed(int rows, int k) : weights(rows, k, k + 1), experts(static_cast<std::size_t>(rows * (k + 2))), k(k) {}
    lk_tensor ids() { return {experts.data(), k + 2, weights.rows, k, LK_I32, 0}; }
    int32_t id(int row, int i) const { return experts[static_cast<std::size_t>(row * (k + 2) + i)]; }
    Floats weights;
    std::vector<int32_t> experts;
    int k;
};

lk_router router_of(lk_scoring scoring, bool renormalize) {
    return {nullptr, nullptr, scoring, renormalize ? 1 : 0, 1, 1, 1, 1.0f};
}

void run(lk_device* device, const Gate& gate, Floats& x, lk_scoring scoring, bool renormalize, Routed& routed) {
    const lk_tensor xt = x.tensor(), ids = routed.ids(), weights = routed.weights.tensor();
    const lk_router router = router_of(scoring, renormalize);
    ok(lk_route(device, &xt, gate.weight.matrix.get(), &router, &ids, &weights));
}

double score(const Floats& x, int row, int expert, lk_scoring scoring) {
    if (scoring == LK_SIGMOID) return 1 / (1 + std::exp(-static_cast<double>(x.at(row, expert))));
    double sum = 0;
    for (int i = 0; i < x.columns; ++i) sum += std::exp(static_cast<double>(x.at(row, i)));
    return std::exp(static_cast<double>(x.at(row, expert))) / sum;
}

TEST(RouteTest, Keeps_the_best_by_falling_weight) {
    Random random(1);
    for (const int threads : {1, 4}) {
        const auto device = make_device(threads);
        for (const lk_scoring scoring : {LK_SOFTMAX, LK_SIGMOID}) {
            for (const auto& [rows, experts, k] : {std::tuple{1, 128, 8}, {40, 7, 7}, {9, 5, 1}}) {
                const Gate gate(device.get(), experts, random);
                Floats x(rows, experts);
                x.fill(random);
                for (const bool renormalize : {false, true}) {
                    Routed routed(rows, k);
                    run(device.get(), gate, x, scoring, renormalize, routed);
                    for (int t = 0; t < rows; ++t) {
                        std::vector<int> order(static_cast<std::size_t>(experts));
                        for (int e = 0; e < experts; ++e) order[static_cast<std::size_t>(e)] = e;
                        std::sort(order.begin(), order.end(), [&](int a, int b) { return x.at(t, a) > x.at(t, b); });
                        double sum = 0;
                        for (int i = 0; i < k; ++i) sum += score(x, t, order[static_cast<std::size_t>(i)], scoring);
                        for (int i = 0; i < k; ++i) {
                            const int expected = order[static_cast<std::size_t>(i)];
                            ASSERT_EQ(routed.id(t, i), expected);
                            ASSERT_NEAR(routed.weights.at(t, i),
                                        score(x, t, expected, scoring) / (renormalize ? sum : 1), 1e-6);
                        }
                    }
                }
            }
        }
    }
}

TEST(RouteTest, Ties_go_to_the_lower_expert) {
    Random random(2);
    const auto device = make_device(1);
    const Gate gate(device.get(), 6, random);
    Floats x(1, 6);
    x.values = {1, 3, 1, 3, 3, 1};
    Routed routed(1, 5);
    run(device.get(), gate, x, LK_SOFTMAX, false, routed);
    const int expected[] = {1, 3, 4, 0, 2};
    for (int i = 0; i < 5; ++i) ASSERT_EQ(routed.id(0, i), expected[i]);
}

TEST(RouteTest, Underflowed_scores_keep_the_order_of_their_logits) {
    Random random(3);
    const auto device = make_device(1);
    const Gate gate(device.get(), 4, random);
    Floats x(1, 4);
    x.values = {0, 1000, 2000, 3000};
    Routed routed(1, 3);
    run(device.get(), gate, x, LK_SOFTMAX, true, routed);
    for (int i = 0; i < 3; ++i) ASSERT_EQ(routed.id(0, i), 3 - i);
    EXPECT_EQ(routed.weights.at(0, 0), 1);
    EXPECT_EQ(routed.weights.at(0, 1), 0);
}

TEST(RouteTest, Not_a_number_is_never_better_and_never_hidden_by_a_softmax) {
    Random random(4);
    const auto device = make_device(1);
    Weight gate(device.get(), LK_F32, 4, 2, random);
    gate.values = {1, 0, std::nanf(""), 0, 2, 0, 3, 0};
    gate.fill();
    Floats x(1, 2);
    x.values = {1, 0};
    for (const lk_scoring scoring : {LK_SOFTMAX, LK_SIGMOID}) {
        Routed routed(1, 4);
        const lk_tensor xt = x.tensor(), ids = routed.ids(), weights = routed.weights.tensor();
        const lk_router router = router_of(scoring, false);
        ok(lk_route(device.get(), &xt, gate.matrix.get(), &router, &ids, &weights));
        const int expected[] = {3, 2, 0, 1};
        for (int i = 0; i < 4; ++i) {
            ASSERT_EQ(routed.id(0, i), expected[i]);
            ASSERT_EQ(std::isnan(routed.weights.at(0, i)), i == 3 || scoring == LK_SOFTMAX);
        }
    }
}

TEST(RouteTest, A_correction_chooses_and_does_not_weigh) {
    Random random(5);
    const auto device = make_device(1);
    const Gate gate(device.get(), 4, random);
    Floats x(2, 4);
    x.values = {0, 1, 2, 3, 0, 0, 0, 0};
    const float correction[] = {0.9f, 0, 0, -1};
    Routed routed(2, 2);
    const lk_tensor xt = x.tensor(), ids = routed.ids(), weights = routed.weights.tensor();
    lk_router router = router_of(LK_SIGMOID, true);
    router.correction = correction;
    router.scale = 3;
    ok(lk_route(device.get(), &xt, gate.weight.matrix.get(), &router, &ids, &weights));
    const int expected[] = {0, 2, 0, 1};  // 1.4 and 0.88; then 1.4 and, of two equal ones, the lower
    for (int i = 0; i < 4; ++i) EXPECT_EQ(routed.id(i / 2, i % 2), expected[i]);
    const double low = 0.5, high = 1 / (1 + std::exp(-2.0));
    EXPECT_NEAR(routed.weights.at(0, 0), 3 * low / (low + high), 1e-6);
    EXPECT_NEAR(routed.weights.at(0, 1), 3 * high / (low + high), 1e-6);
    EXPECT_NEAR(routed.weights.at(1, 1), 1.5, 1e-6);
}

TEST(RouteTest, Groups_are_kept_by_their_best_or_their_two_best) {
    Random random(6);
    const auto device = make_device(1);
    const Gate gate(device.get(), 6, random);
    Floats x(1, 6);
    x.values = {4, -4, 1, 1, 0, 3};
    for (const std::int32_t best : {1, 2}) {
        Routed routed(1, 4);
        const lk_tensor xt = x.tensor(), ids = routed.ids(), weights = routed.weights.tensor();
        lk_router router = router_of(LK_SIGMOID, false);
        router.groups = 3;
        router.groups_kept = 2;
        router.group_best = best;
        ok(lk_route(device.get(), &xt, gate.weight.matrix.get(), &router, &ids, &weights));
        const int by_one[] = {0, 5, 4, 1}, by_two[] = {5, 2, 3, 4};
        for (int i = 0; i < 4; ++i) EXPECT_EQ(routed.id(0, i), best == 1 ? by_one[i] : by_two[i]);
    }
}

TEST(RouteTest, Rows_that_are_not_alive_get_no_expert) {
    Random random(7);
    const auto device = make_device(1);
    const Gate gate(device.get(), 4, random);
    Floats x(3, 4);
    const std::int32_t live = 1;
    Routed routed(3, 2);
    const lk_tensor xt = x.tensor(), ids = routed.ids(), weights = routed.weights.tensor();
    lk_router router = router_of(LK_SOFTMAX, false);
    router.live_rows = &live;
    ok(lk_route(device.get(), &xt, gate.weight.matrix.get(), &router, &ids, &weights));
    for (int t = 0; t < 3; ++t) {
        EXPECT_EQ(routed.id(t, 1), t < live ? 1 : -1);
        EXPECT_EQ(routed.weights.at(t, 1), t < live ? 0.25f : 0.0f);
    }
}

TEST(RouteTest, Rejects_groups_that_do_not_fit) {
    Random random(8);
    const auto device = make_device(1);
    const Gate gate(device.get(), 6, random);
    Floats x(1, 6);
    Routed routed(1, 3);
    const lk_tensor xt = x.tensor(), ids = routed.ids(), weights = routed.weights.tensor();
    lk_router good = router_of(LK_SIGMOID, false);
    good.groups = 3;
    good.groups_kept = 2;
    good.group_best = 2;
    const auto status = [&](const lk_router& router) {
        return lk_route(device.get(), &xt, gate.weight.matrix.get(), &router, &ids, &weights);
    };
    EXPECT_EQ(status(good), LK_OK);
    const auto refused = [&](auto spoil) {
        lk_router bad = good;
        spoil(bad);
        return status(bad) == LK_INVALID_ARGUMENT;
    };
    EXPECT_TRUE(refused([](lk_router& bad) { bad.groups = 4; }));
    EXPECT_TRUE(refused([](lk_router& bad) { bad.groups = 6; }));
    EXPECT_TRUE(refused([](lk_router& bad) { bad.groups_kept = 4; }));
    EXPECT_TRUE(refused([](lk_router& bad) { bad.groups_kept = 1; }));
    EXPECT_TRUE(refused([](lk_router& bad) { bad.group_best = 3; }));
}

}  // namespace
}  // namespace lk::testing
