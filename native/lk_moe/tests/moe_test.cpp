#include "bank_support.h"

namespace lk::testing {
namespace {

double dot(const float* a, const float* b, int count) {
    double sum = 0;
    for (int i = 0; i < count; ++i) sum += static_cast<double>(a[i]) * b[i];
    return sum;
}

// down(silu(gate x) * (up x)), in double.
std::vector<double> forward(const Expert& expert, const float* x, int hidden, int intermediate) {
    std::vector<float> inner(static_cast<std::size_t>(intermediate));
    for (int i = 0; i < intermediate; ++i) {
        const double gate = dot(expert.gate.data() + i * hidden, x, hidden);
        inner[static_cast<std::size_t>(i)] =
            static_cast<float>(gate / (1 + std::exp(-gate)) * dot(expert.up.data() + i * hidden, x, hidden));
    }
    std::vector<double> y(static_cast<std::size_t>(hidden));
    for (int i = 0; i < hidden; ++i)
        y[static_cast<std::size_t>(i)] = dot(expert.down.data() + i * intermediate, inner.data(), intermediate);
    return y;
}

struct Pool {
    int threads;
    bool sockets;
};

class MoeTest : public ::testing::TestWithParam<Pool> {
 protected:
    DevicePointer device(bool exact) const {
        lk_device_config config = config_of(GetParam().threads);
        const std::string root = two_sockets().root();
        if (GetParam().sockets) config.root = root.c_str();
        config.exact_gemm = exact;
        return make_device(config);
    }
};

void check(lk_device* device, const Bank& bank, const std::vector<int32_t>& ids, int tokens, double bound,
           Random& random) {
    const Shape& s = bank.shape;
    Floats x(tokens, s.hidden, s.hidden + 2), y(tokens, s.hidden, s.hidden + 3), weights(tokens, s.k);
    x.fill(random);
    weights.fill(random);
    y.fill(random);
    const Floats before = y;
    auto named = ids;
    const lk_tensor xt = x.tensor(), yt = y.tensor(), wt = weights.tensor();
    const lk_tensor it{named.data(), s.k, tokens, s.k, LK_I32, 0};
    ok(lk_moe(device, bank.handle.get(), &xt, &it, &wt, &yt));
    for (int t = 0; t < tokens; ++t) {
        std::vector<double> expected(static_cast<std::size_t>(s.hidden), 0.0);
        for (int i = 0; i < s.k; ++i) {
            const int32_t id = ids[static_cast<std::size_t>(t * s.k + i)];
            if (id < 0) continue;
            const auto part = forward(bank.experts[static_cast<std::size_t>(id)], x.values.data() + t * x.stride,
                                      s.hidden, s.intermediate);
            for (std::size_t h = 0; h < part.size(); ++h) expected[h] += part[h] * weights.at(t, i);
        }
        for (int h = 0; h < s.hidden; ++h) {
            ASSERT_NEAR(y.at(t, h), expected[static_cast<std::size_t>(h)], bound)
                << "token " << t << " of " << tokens << " at " << h;
        }
        for (int h = s.hidden; t + 1 < tokens && h < y.stride; ++h)
            ASSERT_EQ(y.at(t, h), before.at(t, h)) << "outside y";
    }
}

std::vector<int32_t> distinct(int tokens, const Shape& shape, Random& random) {
    std::vector<int32_t> ids;
    for (int t = 0; t < tokens; ++t) {
        std::vector<int32_t> all(static_cast<std::size_t>(shape.experts));
        for (int e = 0; e < shape.experts; ++e) all[static_cast<std::size_t>(e)] = e;
        for (int i = 0; i < shape.k; ++i) {
            std::swap(all[static_cast<std::size_t>(i)],
                      all[static_cast<std::size_t>(i + random.below(shape.experts - i))]);
            ids.push_back(all[static_cast<std::size_t>(i)]);
        }
    }
    return ids;
}

TEST_P(MoeTest, Equals_the_sum_over_the_routed_experts) {
    Random random(1);
    for (const bool exact : {true, false}) {
        const auto device = this->device(exact);
        for (const lk_dtype type : {LK_F32, LK_BF16, LK_F16}) {
            // Terms are of size 1/3 and below; see bound_exact and bound_rounded for the factors.
            const double bound = exact || type == LK_F32 ? 3e-5 : 3e-2;
            for (const Shape& shape : {Shape{5, 2, 37, 29}, Shape{16, 4, 96, 64}, Shape{3, 3, 130, 70}}) {
                const Bank bank(device.get(), type, shape, random);
                for (const int tokens : {1, 2, 5, 17, 40, 150}) {
                    check(device.get(), bank, distinct(tokens, shape, random), tokens, bound, random);
                }
            }
        }
    }
}

TEST_P(MoeTest, Takes_ragged_repeated_and_empty_routes) {
    Random random(2);
    const auto device = this->device(true);
    const Shape shape{6, 3, 40, 24};
    const Bank bank(device.get(), LK_F32, shape, random);
    for (const int tokens : {1, 4, 60}) {
        const auto count = static_cast<std::size_t>(tokens * shape.k);
        check(device.get(), bank, std::vector<int32_t>(count, -1), tokens, 1e-5, random);
        check(device.get(), bank, std::vector<int32_t>(count, 4), tokens, 3e-5, random);
        std::vector<int32_t> ids(count);
        for (auto& id : ids) id = random.below(8) - 1 < 6 ? random.below(7) - 1 : -1;
        check(device.get(), bank, ids, tokens, 3e-5, random);
    }
}

TEST_P(MoeTest, Lets_not_a_number_through_to_its_token_only) {
    Random random(3);
    const auto device = this->device(false);
    const Shape shape{4, 2, 32, 16};
    const Bank bank(device.get(), LK_BF16, shape, random);
    for (const int tokens : {3, 80}) {
        Floats x(tokens, 32), y(tokens, 32), weights(tokens, 2);
        x.fill(random);
        weights.fill(random);
        x.at(1, 5) = std::nanf("");
        auto ids = distinct(tokens, shape, random);
        const lk_tensor xt = x.tensor(), yt = y.tensor(), wt = weights.tensor(),
                        it{ids.data(), 2, tokens, 2, LK_I32, 0};
        ok(lk_moe(device.get(), bank.handle.get(), &xt, &it, &wt, &yt));
        for (int t = 0; t < tokens; ++t) {
            for (int h = 0; h < 32; ++h) ASSERT_EQ(std::isnan(y.at(t, h)), t == 1);
        }
    }
}

TEST_P(MoeTest, Refuses_an_expert_that_is_not_there) {
    Random random(4);
    const auto device = this->device(false);
    const Bank bank(device.get(), LK_F32, {4, 1, 8, 8}, random);
    Floats x(1, 8), y(1, 8), weights(1, 1);
    int32_t id = 4;
    const lk_tensor xt = x.tensor(), yt = y.tensor(), wt = weights.tensor(), it{&id, 1, 1, 1, LK_I32, 0};
    EXPECT_EQ(lk_moe(device.get(), bank.handle.get(), &xt, &it, &wt, &yt), LK_INVALID_ARGUMENT);
    EXPECT_EQ(lk_moe(device.get(), bank.handle.get(), &xt, &it, &wt, &xt), LK_INVALID_ARGUMENT);
}

TEST_P(MoeTest, A_dense_mlp_adds_to_y) {
    Random random(5);
    for (const bool exact : {true, false}) {
        const auto device = this->device(exact);
        for (const lk_dtype type : {LK_F32, LK_BF16}) {
            for (const int tokens : {1, 3, 33, 200}) {
                const int hidden = 70, intermediate = 90;
                Weight gate(device.get(), type, intermediate, hidden, random, 0.12f),
                    up(device.get(), type, intermediate, hidden, random, 0.12f);
                Weight down(device.get(), type, hidden, intermediate, random, 0.12f);
                Floats x(tokens, hidden), y(tokens, hidden);
                x.fill(random);
                y.fill(random);
                const Floats before = y;
                const lk_tensor xt = x.tensor(), yt = y.tensor();
                ok(lk_gated_mlp(device.get(), &xt, gate.matrix.get(), up.matrix.get(), down.matrix.get(), &yt));
                const Expert expert{gate.values, up.values, down.values};
                for (int t = 0; t < tokens; ++t) {
                    const auto expected = forward(expert, x.values.data() + t * hidden, hidden, intermediate);
                    for (int h = 0; h < hidden; ++h) {
                        ASSERT_NEAR(y.at(t, h), before.at(t, h) + expected[static_cast<std::size_t>(h)],
                                    exact || type == LK_F32 ? 3e-5 : 3e-2);
                    }
                }
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Devices, MoeTest,
                         ::testing::Values(Pool{1, false}, Pool{2, false}, Pool{5, false}, Pool{4, true}),
                         [](const auto& info) {
                             return std::to_string(info.param.threads) +
                                    (info.param.sockets ? "_on_two_sockets" : "_threads");
                         });

}  // namespace
}  // namespace lk::testing
