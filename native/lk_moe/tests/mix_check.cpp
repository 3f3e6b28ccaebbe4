// mix of every table against the reference, with and without factors, for widths and tokens around every
// tile.
#include "kernel_check.h"

namespace lk::testing {
namespace {

struct Shape {
    std::size_t slots, width, tokens;
    bool has_factors, indexed;
    Fence fence;
};

struct Data {
    Shape shape;
    std::size_t v_stride, p_stride, y_stride;
    FencedElements v;
    Fenced<float> p, factors, before;
    std::vector<std::uint32_t> p_index, y_index;

    Data(Format format, const Shape& s, Random& random)
        : shape(s),
          v_stride(s.width + random.below(3)),
          p_stride(s.slots + random.below(3)),
          y_stride(s.width + random.below(3)),
          v(format, s.slots == 0 ? 0 : (s.slots - 1) * v_stride + s.width, s.fence),
          p(s.tokens == 0 ? 0 : (s.tokens - 1) * p_stride + s.slots, s.fence),
          factors(s.tokens, s.fence),
          before(s.tokens == 0 ? 0 : (s.tokens - 1) * y_stride + s.width, s.fence) {
        v.randomise(random);
        fill(random, p.data(), p.size());
        fill(random, factors.data(), factors.size());
        fill(random, before.data(), before.size());
        for (std::size_t t = 0; t < s.tokens; ++t) {
            p_index.push_back(static_cast<std::uint32_t>(random.below(s.tokens)));
            y_index.push_back(static_cast<std::uint32_t>(t));
        }
        std::shuffle(y_index.begin(), y_index.end(), std::mt19937(7));
    }
    ConstRows shares() const { return {p.data(), p_stride, shape.indexed ? p_index.data() : nullptr}; }
    Rows target(float* y) const { return {y, y_stride, shape.indexed ? y_index.data() : nullptr}; }
};

void check(const Kernels& table, const Kernels& reference, Format format, const Data& data) {
    const Shape& s = data.shape;
    Fenced<float> expected(data.before.size(), s.fence), actual(data.before.size(), s.fence);
    std::copy(data.before.begin(), data.before.end(), expected.data());
    std::copy(data.before.begin(), data.before.end(), actual.data());
    const float* factors = s.has_factors ? data.factors.data() : nullptr;
    const Weights v{data.v.data(), data.v_stride, s.slots, s.width};

    reference.mix[index_of(format)](v, data.shares(), s.tokens, factors, data.target(expected.data()));
    table.mix[index_of(format)](v, data.shares(), s.tokens, factors, data.target(actual.data()));

    bool within = actual.is_surrounding_intact();
    std::vector<bool> is_target(actual.size(), false);
    for (std::size_t t = 0; t < s.tokens; ++t) {
        const float* shares = reference::row(data.shares(), t);
        for (std::size_t d = 0; d < s.width; ++d) {
            const std::size_t at = (s.indexed ? data.y_index[t] : t) * data.y_stride + d;
            double magnitude =
                std::abs(double{data.before[at]}) * (s.has_factors ? std::abs(double{factors[t]}) : 1);
            for (std::size_t j = 0; j < s.slots; ++j) {
                magnitude += std::abs(double{shares[j]} * double{data.v.get(j * data.v_stride + d)});
            }
            // One rounding a product and one for the factor, one after the other.
            const double steps = static_cast<double>(s.slots) + 2;
            within = within && agrees(expected[at], actual[at], steps * (kHalfUlp * magnitude + kTiniest));
            is_target[at] = true;
        }
    }
    for (std::size_t i = 0; i < actual.size(); ++i)
        within = within && (is_target[i] || actual[i] == data.before[i]);
    expect(within, "%s mix %s slots=%zu width=%zu tokens=%zu factors=%d indexed=%d", table.name,
           name_of(format), s.slots, s.width, s.tokens, s.has_factors, s.indexed);
}

void run() {
    const auto tables = runnable_kernels();
    const Kernels& reference = *tables.back();
    for (const Kernels* table : tables) {
        for (Format format : kFormats) {
            Random random(42);
            std::size_t turn = 0;
            const auto next = [&](std::size_t slots, std::size_t width, std::size_t tokens) {
                ++turn;
                const Fence fence = turn % 2 != 0 ? Fence::after : Fence::before;
                return Data(format, {slots, width, tokens, turn % 3 != 0, turn % 4 == 0, fence}, random);
            };
            for (std::size_t width : lengths(200)) check(*table, reference, format, next(5, width, 4));
            for (std::size_t tokens = 0; tokens <= 26; ++tokens)
                check(*table, reference, format, next(7, 83, tokens));
            for (std::size_t slots = 0; slots <= 40; ++slots)
                check(*table, reference, format, next(slots, 70, 5));
            for (float special : {kNan, kInfinity, -kInfinity, 1e-40f}) {
                for (std::size_t width : {3u, 16u, 65u}) {
                    Data in_values = next(6, width, 4), in_shares = next(6, width, 4),
                         in_target = next(6, width, 4);
                    in_values.v.set(3 * in_values.v_stride + random.below(width), special);
                    in_shares.p[2 * in_shares.p_stride + 4] = special;
                    in_target.before[in_target.y_stride] = special;
                    for (const Data* data : {&in_values, &in_shares, &in_target})
                        check(*table, reference, format, *data);
                }
            }
        }
    }
}

}  // namespace
}  // namespace lk::testing

int main() {
    lk::testing::run();
    return lk::testing::finish();
}
