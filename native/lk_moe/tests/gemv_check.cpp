// gemv of every table against the reference: formats, tokens and rows around every tile, depths around every
// lane.
#include "kernel_check.h"

namespace lk::testing {
namespace {

struct Shape {
    std::size_t rows, depth, tokens;
    bool accumulate;
    Fence fence;
};

// Each of at least 8 lanes adds at most depth/8 + 1 products, one rounding each; joining lanes, streams and
// the target takes at most 8 more.
double bound(std::size_t depth, double magnitude) {
    return (static_cast<double>(depth / 8 + 1) + 8) * kHalfUlp * magnitude +
           static_cast<double>(depth + 1) * kTiniest;
}

struct Case {
    Shape shape;
    std::size_t w_stride, x_stride, y_stride;
    FencedElements w;
    Fenced<float> x, before;
    std::vector<std::uint32_t> x_index, y_index;

    Case(Format format, const Shape& shape, Random& random)
        : shape(shape),
          w_stride(shape.depth + random.below(3)),
          x_stride(shape.depth + random.below(3)),
          y_stride(shape.rows + random.below(3)),
          w(format, shape.rows == 0 ? 0 : (shape.rows - 1) * w_stride + shape.depth, shape.fence),
          x(shape.tokens == 0 ? 0 : (shape.tokens - 1) * x_stride + shape.depth, shape.fence),
          before(shape.tokens == 0 ? 0 : (shape.tokens - 1) * y_stride + shape.rows, shape.fence) {
        w.randomise(random);
        fill(random, x.data(), x.size());
        fill(random, before.data(), before.size());
        for (std::size_t t = 0; t < shape.tokens; ++t) {
            x_index.push_back(static_cast<std::uint32_t>(random.below(shape.tokens)));
            y_index.push_back(static_cast<std::uint32_t>(t));
        }
        std::shuffle(y_index.begin(), y_index.end(), std::mt19937(7));
    }

    Weights weights() const { return {w.data(), w_stride, shape.rows, shape.depth}; }
    ConstRows source(bool indexed) const { return {x.data(), x_stride, indexed ? x_index.data() : nullptr}; }
    Rows target(float* y, bool indexed) const { return {y, y_stride, indexed ? y_index.data() : nullptr}; }
};

void check(const Kernels& table, const Kernels& reference, Format format, const Case& c, bool indexed) {
    const Shape& s = c.shape;
    Fenced<float> expected(c.before.size(), s.fence), actual(c.before.size(), s.fence);
    std::copy(c.before.begin(), c.before.end(), expected.data());
    std::copy(c.before.begin(), c.before.end(), actual.data());

    const auto source = c.source(indexed);
    reference.gemv[index_of(format)](c.weights(), source, s.tokens, c.target(expected.data(), indexed),
                                     s.accumulate);
    table.gemv[index_of(format)](c.weights(), source, s.tokens, c.target(actual.data(), indexed),
                                 s.accumulate);

    bool within = actual.is_surrounding_intact();
    std::vector<bool> is_target(actual.size(), false);
    for (std::size_t t = 0; t < s.tokens; ++t) {
        const float* x = reference::row(source, t);
        for (std::size_t r = 0; r < s.rows; ++r) {
            const std::size_t at = (indexed ? c.y_index[t] : t) * c.y_stride + r;
            double magnitude = s.accumulate ? std::abs(double{c.before[at]}) : 0;
            for (std::size_t k = 0; k < s.depth; ++k) {
                magnitude += std::abs(double{c.w.get(r * c.w_stride + k)} * double{x[k]});
            }
            within = within && agrees(expected[at], actual[at], bound(s.depth, magnitude));
            is_target[at] = true;
        }
    }
    for (std::size_t i = 0; i < actual.size(); ++i)
        within = within && (is_target[i] || actual[i] == c.before[i]);
    expect(within, "%s gemv %s rows=%zu depth=%zu tokens=%zu accumulate=%d indexed=%d", table.name,
           name_of(format), s.rows, s.depth, s.tokens, s.accumulate, indexed);
}

// A NaN or an infinity reaches exactly the results that depend on it.
void check_specials(const Kernels& table, const Kernels& reference, Format format) {
    Random random(5);
    for (std::size_t depth : {1u, 7u, 16u, 33u, 100u}) {
        for (float special : {kNan, kInfinity, -kInfinity, -0.0f, 1e-40f}) {
            for (bool in_weights : {true, false}) {
                Case c(format, {11, depth, 5, false, Fence::after}, random);
                const std::size_t k = random.below(depth);
                if (in_weights) {
                    c.w.set(random.below(11) * c.w_stride + k, special);
                } else {
                    c.x[random.below(5) * c.x_stride + k] = special;
                }
                check(table, reference, format, c, false);
            }
        }
    }
}

// Subnormal products are not flushed: 2^-130 * 1, and 2^-70 * 2^-70.
void check_subnormals(const Kernels& table, Format format) {
    for (std::size_t depth : {1u, 9u, 40u}) {
        Fenced<float> x(depth), y(1);
        FencedElements w(format, depth);
        for (std::size_t k = 0; k < depth; ++k) {
            x[k] = 0x1p-130f;
            w.set(k, 1);
        }
        table.gemv[index_of(format)]({w.data(), depth, 1, depth}, {x.data(), depth}, 1, {y.data(), 1}, false);
        expect(y[0] == static_cast<float>(depth) * 0x1p-130f, "%s gemv %s flushes subnormals", table.name,
               name_of(format));
    }
}

// The bits of a result depend on its weights, its activations and the depth: not on what is computed beside
// it.
void check_batch_invariance(const Kernels& table, Format format) {
    Random random(11);
    for (std::size_t depth : {5u, 64u, 130u, 771u}) {
        const Case c(format, {13, depth, 9, false, Fence::after}, random);
        Fenced<float> all(c.before.size());
        table.gemv[index_of(format)](c.weights(), c.source(false), 9, c.target(all.data(), false), false);
        for (std::size_t t = 0; t < 9; ++t) {
            for (std::size_t r = 0; r < 13; ++r) {
                const char* row = static_cast<const char*>(c.w.data()) + r * c.w_stride * size_of(format);
                float alone = 0;
                table.gemv[index_of(format)]({row, depth, 1, depth}, {c.x.data() + t * c.x_stride, depth}, 1,
                                             {&alone, 1}, false);
                expect(std::bit_cast<std::uint32_t>(alone) ==
                           std::bit_cast<std::uint32_t>(all[t * c.y_stride + r]),
                       "%s gemv %s depth=%zu depends on its batch", table.name, name_of(format), depth);
            }
        }
    }
}

void run() {
    const auto tables = runnable_kernels();
    const Kernels& reference = *tables.back();
    for (Format format : kFormats) {
        for (const Kernels* table : tables) {
            Random random(42);
            for (std::size_t depth : lengths(140)) {
                const Fence fence = depth % 2 != 0 ? Fence::after : Fence::before;
                check(*table, reference, format, Case(format, {9, depth, 3, depth % 3 == 0, fence}, random),
                      false);
                check(*table, reference, format, Case(format, {5, depth, 1, depth % 3 == 1, fence}, random),
                      true);
            }
            for (std::size_t rows = 0; rows <= 26; ++rows) {
                for (std::size_t tokens = 0; tokens <= 18; ++tokens) {
                    const Fence fence = rows % 2 != 0 ? Fence::after : Fence::before;
                    const Shape shape{rows, 37, tokens, (rows + tokens) % 2 != 0, fence};
                    check(*table, reference, format, Case(format, shape, random), tokens % 3 == 0);
                }
            }
            check(*table, reference, format, Case(format, {17, 2048, 2, false, Fence::after}, random), false);
            check_specials(*table, reference, format);
            check_subnormals(*table, format);
            if (table != &reference) check_batch_invariance(*table, format);
        }
    }
}

}  // namespace
}  // namespace lk::testing

int main() {
    lk::testing::run();
    return lk::testing::finish();
}
