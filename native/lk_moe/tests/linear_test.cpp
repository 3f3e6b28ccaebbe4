#include "ops_support.h"

namespace lk::testing {
namespace {

struct Shape {
    int threads;
    bool sockets;
};

class LinearTest : public ::testing::TestWithParam<Shape> {
 protected:
    DevicePointer device(bool exact) const {
        lk_device_config config = config_of(GetParam().threads);
        const std::string root = two_sockets().root();
        if (GetParam().sockets) config.root = root.c_str();
        config.exact_gemm = exact;
        return make_device(config);
    }
};

void check(lk_device* device, lk_dtype type, int tokens, int rows, int columns, bool exact, Random& random) {
    Weight w(device, type, rows, columns, random);
    Floats x(tokens, columns, columns + 3), y(tokens, rows, rows + 5);
    x.fill(random);
    const auto bias = random.floats(static_cast<std::size_t>(rows));
    const bool accumulate = random.below(2) == 1;
    const bool biased = random.below(2) == 1;
    y.fill(random);
    const Floats before = y;
    const lk_tensor xt = x.tensor(), yt = y.tensor();
    ok(lk_linear(device, &xt, w.matrix.get(), biased ? bias.data() : nullptr, &yt, accumulate));

    const double bound = exact || type == LK_F32 || tokens <= 8 ? bound_exact(columns) : bound_rounded(columns);
    for (int t = 0; t < tokens; ++t) {
        for (int r = 0; r < rows; ++r) {
            double expected = w.dot(r, x.values.data() + t * x.stride);
            if (biased) expected += bias[static_cast<std::size_t>(r)];
            if (accumulate) expected += before.at(t, r);
            ASSERT_NEAR(y.at(t, r), expected, bound)
                << "type " << type << " t " << t << " r " << r << " of " << tokens << "x" << rows << "x" << columns;
        }
        for (int r = rows; t + 1 < tokens && r < y.stride; ++r) ASSERT_EQ(y.at(t, r), before.at(t, r)) << "outside y";
    }
}

TEST_P(LinearTest, Equals_the_plain_sum_for_odd_sizes) {
    Random random(1);
    for (const bool exact : {true, false}) {
        const auto device = this->device(exact);
        for (const lk_dtype type : {LK_F32, LK_BF16, LK_F16}) {
            for (const int tokens : {1, 2, 7, 8, 9, 16, 17, 63, 65, 130}) {
                check(device.get(), type, tokens, 1 + random.below(200), 1 + random.below(150), exact, random);
            }
            check(device.get(), type, 3, 1, 1, exact, random);
            check(device.get(), type, 1, 700, 513, exact, random);
            check(device.get(), type, 150, 97, 256, exact, random);
        }
    }
}

TEST_P(LinearTest, Handles_no_rows) {
    const auto device = this->device(true);
    Random random(2);
    Weight w(device.get(), LK_F32, 5, 4, random);
    const lk_tensor none{nullptr, 4, 0, 4, LK_F32, 0};
    const lk_tensor out{nullptr, 5, 0, 5, LK_F32, 0};
    ok(lk_linear(device.get(), &none, w.matrix.get(), nullptr, &out, 0));
}

TEST_P(LinearTest, Lets_not_a_number_through) {
    Random random(3);
    for (const int tokens : {2, 40}) {
        const auto device = this->device(false);
        Weight w(device.get(), LK_BF16, 70, 64, random);
        Floats x(tokens, 64), y(tokens, 70);
        x.fill(random);
        x.at(1, 10) = std::nanf("");
        const lk_tensor xt = x.tensor(), yt = y.tensor();
        ok(lk_linear(device.get(), &xt, w.matrix.get(), nullptr, &yt, 0));
        for (int r = 0; r < 70; ++r) {
            ASSERT_TRUE(std::isnan(y.at(1, r)));
            ASSERT_FALSE(std::isnan(y.at(0, r)));
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Devices, LinearTest,
                         ::testing::Values(Shape{1, false}, Shape{2, false}, Shape{5, false}, Shape{4, true}),
                         [](const auto& info) {
                             return std::to_string(info.param.threads) +
                                    (info.param.sockets ? "_on_two_sockets" : "_threads");
                         });

}  // namespace
}  // namespace lk::testing
