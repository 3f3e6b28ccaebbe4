#include "ops_support.h"

namespace lk::testing {
namespace {

class RowsTest : public ::testing::TestWithParam<int> {
 protected:
    DevicePointer device_ = make_device(GetParam(), GetParam() > 3 ? two_sockets().root() : "");
};

TEST_P(RowsTest, Embeds_from_every_slice) {
    Random random(1);
    for (const lk_dtype type : {LK_F32, LK_BF16, LK_F16}) {
        Weight table(device_.get(), type, 75, 33, random);
        Floats y(700, 33, 40);
        std::vector<int32_t> ids(700);
        for (auto& id : ids) id = random.below(75);
        const lk_tensor yt = y.tensor();
        ok(lk_embed(device_.get(), table.matrix.get(), ids.data(), &yt));
        for (int t = 0; t < 700; ++t) {
            for (int i = 0; i < 33; ++i) ASSERT_EQ(y.at(t, i), table.row(ids[static_cast<std::size_t>(t)])[i]);
        }
    }
}

TEST_P(RowsTest, Norms_each_group_of_a_row) {
    Random random(2);
    for (const auto& [rows, groups, width] : {std::tuple{1, 1, 2048}, {3, 5, 33}, {300, 4, 128}, {2, 1, 1}}) {
        Floats x(rows, groups * width, groups * width + 7), y(rows, groups * width);
        x.fill(random);
        const auto weight = random.floats(static_cast<std::size_t>(width));
        const lk_tensor xt = x.tensor(), yt = y.tensor();
        ok(lk_rms_norm(device_.get(), &xt, weight.data(), width, 1e-5f, &yt));
        const Floats before = x;
        ok(lk_rms_norm(device_.get(), &xt, weight.data(), width, 1e-5f, &xt));
        for (int t = 0; t < rows; ++t) {
            for (int g = 0; g < groups; ++g) {
                double squares = 0;
                for (int i = 0; i < width; ++i) squares += std::pow(before.at(t, g * width + i), 2);
                const double scale = 1 / std::sqrt(squares / width + 1e-5);
                for (int i = 0; i < width; ++i) {
                    const double expected = before.at(t, g * width + i) * scale * weight[static_cast<std::size_t>(i)];
                    ASSERT_NEAR(y.at(t, g * width + i), expected, 1e-5);
                    ASSERT_EQ(x.at(t, g * width + i), y.at(t, g * width + i)) << "in place";
                }
            }
        }
    }
}

TEST_P(RowsTest, Rotates_pairs_of_both_kinds) {
    Random random(3);
    for (const bool interleaved : {false, true}) {
        for (const auto& [heads, dim, rotated] : {std::tuple{3, 16, 16}, {2, 20, 6}, {32, 128, 128}}) {
            const int rows = 9;
            const std::vector<float> frequencies = random.floats(static_cast<std::size_t>(rotated / 2), 0, 1);
            const std::vector<int32_t> positions = {0, 1, 2, 3, 100, 5000, 40'000, 7, 8};
            Floats angles(rows, rotated), x(rows, heads * dim, heads * dim + 4);
            x.fill(random);
            const Floats before = x;
            const lk_tensor at = angles.tensor(), xt = x.tensor();
            ok(lk_rotary_angles(device_.get(), positions.data(), frequencies.data(), 1.25f, &at));
            ok(lk_rotate(device_.get(), &xt, dim, &at, interleaved));
            for (int t = 0; t < rows; ++t) {
                for (int i = 0; i < rotated / 2; ++i) {
                    const float product = static_cast<float>(positions[static_cast<std::size_t>(t)]) *
                                          frequencies[static_cast<std::size_t>(i)];
                    const double c = 1.25 * std::cos(static_cast<double>(product)),
                                 s = 1.25 * std::sin(static_cast<double>(product));
                    ASSERT_NEAR(angles.at(t, i), c, 1e-6);
                    ASSERT_NEAR(angles.at(t, rotated / 2 + i), s, 1e-6);
                    for (int h = 0; h < heads; ++h) {
                        const int a = h * dim + (interleaved ? 2 * i : i),
                                  b = h * dim + (interleaved ? 2 * i + 1 : i + rotated / 2);
                        ASSERT_NEAR(x.at(t, a), before.at(t, a) * c - before.at(t, b) * s, 1e-5);
                        ASSERT_NEAR(x.at(t, b), before.at(t, b) * c + before.at(t, a) * s, 1e-5);
                    }
                }
                for (int i = rotated; i < dim; ++i) ASSERT_EQ(x.at(t, i), before.at(t, i)) << "not rotated";
            }
        }
    }
}

TEST_P(RowsTest, Gathers_adds_and_finds_the_largest) {
    Random random(4);
    Floats x(50, 300), y(400, 300), sum(400, 300);
    x.fill(random);
    sum.fill(random);
    const Floats before = sum;
    x.at(3, 17) = 5;
    x.at(3, 200) = 5;
    x.at(4, 100) = std::nanf("");
    std::vector<int32_t> rows(400), best(50);
    for (auto& row : rows) row = random.below(50);
    const lk_tensor xt = x.tensor(), yt = y.tensor(), st = sum.tensor();
    ok(lk_gather_rows(device_.get(), &xt, rows.data(), &yt));
    ok(lk_add(device_.get(), &yt, &st));
    ok(lk_argmax(device_.get(), &xt, best.data()));
    for (int t = 0; t < 400; ++t) {
        for (int i = 0; i < 300; ++i) {
            const float expected = x.at(rows[static_cast<std::size_t>(t)], i);
            if (std::isnan(expected)) {
                ASSERT_TRUE(std::isnan(y.at(t, i)) && std::isnan(sum.at(t, i)));
                continue;
            }
            ASSERT_EQ(y.at(t, i), expected);
            ASSERT_EQ(sum.at(t, i), before.at(t, i) + expected);
        }
    }
    EXPECT_EQ(best[3], 17) << "the first of equals";
    EXPECT_EQ(best[4], 100) << "not a number wins";
    for (const int t : {0, 20, 49}) {
        for (int i = 0; i < 300; ++i) ASSERT_LE(x.at(t, i), x.at(t, best[static_cast<std::size_t>(t)]));
    }
}

INSTANTIATE_TEST_SUITE_P(Threads, RowsTest, ::testing::Values(1, 3, 5));

}  // namespace
}  // namespace lk::testing
