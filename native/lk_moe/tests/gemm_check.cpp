// gemm of every table, exact and fast, against the reference's gemv. Where activations are rounded to bf16,
// the reference gets them rounded, so that the bound stays that of the sums.
#include "kernel_check.h"

namespace lk::testing {
namespace {

struct Shape {
    std::size_t rows, depth, tokens;
    bool accumulate, indexed;
    Fence fence;
};

// One lane may add all products, one rounding each (two a pair with vdpbf16ps), and the target.
double bound(const Gemm& gemm, std::size_t depth, double magnitude) {
    const double steps = static_cast<double>(depth) + 2;
    double flushed = 0;
    if (gemm.rounds_activations) flushed = steps * 0x1p-126;  // vdpbf16ps and AMX count subnormals as zero
    return steps * kHalfUlp * magnitude + steps * kTiniest + flushed;
}

struct Data {
    Shape shape;
    std::size_t w_stride, x_stride, y_stride;
    FencedElements w;
    Fenced<float> x, before;
    std::vector<std::uint32_t> x_index, y_index;

    Data(Format format, const Shape& s, Random& random)
        : shape(s),
          w_stride(s.depth + random.below(3)),
          x_stride(s.depth + random.below(3)),
          y_stride(s.rows + random.below(3)),
          w(format, s.rows == 0 ? 0 : (s.rows - 1) * w_stride + s.depth, s.fence),
          x(s.tokens == 0 ? 0 : (s.tokens - 1) * x_stride + s.depth, s.fence),
          before(s.tokens == 0 ? 0 : (s.tokens - 1) * y_stride + s.rows, s.fence) {
        w.randomise(random);
        fill(random, x.data(), x.size());
        fill(random, before.data(), before.size());
        for (std::size_t t = 0; t < s.tokens; ++t) {
            x_index.push_back(static_cast<std::uint32_t>(random.below(s.tokens)));
            y_index.push_back(static_cast<std::uint32_t>(t));
        }
        std::shuffle(y_index.begin(), y_index.end(), std::mt19937(7));
    }
    Weights weights() const { return {w.data(), w_stride, shape.rows, shape.depth}; }
    ConstRows source() const { return {x.data(), x_stride, shape.indexed ? x_index.data() : nullptr}; }
    Rows target(float* y) const { return {y, y_stride, shape.indexed ? y_index.data() : nullptr}; }
    std::size_t place(std::size_t token, std::size_t r) const {
        return (shape.indexed ? y_index[token] : token) * y_stride + r;
    }
};

// The packed buffer is 64-byte aligned, and all of it is inside the fence, up to that alignment.
std::size_t aligned_bytes(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

void multiply(const Gemm& gemm, const Data& data, float* y) {
    const Shape& s = data.shape;
    const Fenced<unsigned char> packed(aligned_bytes(gemm.packed_bytes(s.tokens, s.depth)));
    gemm.pack(data.source(), s.tokens, s.depth, packed.data());
    expect(packed.is_surrounding_intact(), "pack writes beside its buffer, depth=%zu tokens=%zu", s.depth,
           s.tokens);
    gemm.multiply(data.weights(), packed.data(), s.tokens, data.target(y), s.accumulate);
}

void check(const Kernels& table, const Kernels& reference, Format format, const Gemm& gemm, const char* kind,
           const Data& data) {
    const Shape& s = data.shape;
    Fenced<float> expected(data.before.size(), s.fence), actual(data.before.size(), s.fence);
    std::copy(data.before.begin(), data.before.end(), expected.data());
    std::copy(data.before.begin(), data.before.end(), actual.data());
    std::vector<float> x(data.x.begin(), data.x.end());
    if (gemm.rounds_activations) {
        for (float& value : x) value = reference::widen_bf16(reference::narrow_bf16(value));
    }
    ConstRows source = data.source();
    source.data = x.data();

    reference.gemv[index_of(format)](data.weights(), source, s.tokens, data.target(expected.data()),
                                     s.accumulate);
    multiply(gemm, data, actual.data());

    bool within = actual.is_surrounding_intact();
    std::vector<bool> is_target(actual.size(), false);
    for (std::size_t t = 0; t < s.tokens; ++t) {
        const float* activations = reference::row(source, t);
        for (std::size_t r = 0; r < s.rows; ++r) {
            const std::size_t at = data.place(t, r);
            double magnitude = s.accumulate ? std::abs(double{data.before[at]}) : 0;
            for (std::size_t k = 0; k < s.depth; ++k) {
                magnitude += std::abs(double{data.w.get(r * data.w_stride + k)} * double{activations[k]});
            }
            within = within && agrees(expected[at], actual[at], bound(gemm, s.depth, magnitude));
            is_target[at] = true;
        }
    }
    for (std::size_t i = 0; i < actual.size(); ++i)
        within = within && (is_target[i] || actual[i] == data.before[i]);
    expect(within, "%s %s %s rows=%zu depth=%zu tokens=%zu accumulate=%d indexed=%d", table.name, kind,
           name_of(format), s.rows, s.depth, s.tokens, s.accumulate, s.indexed);
}

void check_shapes(const Kernels& table, const Kernels& reference, Format format, const Gemm& gemm,
                  const char* kind) {
    Random random(42);
    std::size_t turn = 0;
    const auto run = [&](std::size_t rows, std::size_t depth, std::size_t tokens) {
        ++turn;
        const Fence fence = turn % 2 != 0 ? Fence::after : Fence::before;
        const Shape shape{rows, depth, tokens, turn % 3 == 0, turn % 5 == 0, fence};
        check(table, reference, format, gemm, kind, Data(format, shape, random));
    };
    for (std::size_t depth : lengths(100)) run(7, depth, 21);
    for (std::size_t tokens = 0; tokens <= 100; ++tokens) run(13, 18, tokens);
    for (std::size_t rows = 0; rows <= 60; ++rows) run(rows, 9, 37);
    for (std::size_t depth : {511u, 512u, 513u, 1023u, 1025u, 2047u, 2048u, 2049u}) run(9, depth, 35);
    run(33, 130, 300);
    run(16, 64, 520);
}

void check_specials(const Kernels& table, const Kernels& reference, Format format, const Gemm& gemm,
                    const char* kind) {
    Random random(5);
    for (std::size_t depth : {1u, 8u, 33u}) {
        for (std::size_t tokens : {5u, 16u, 29u, 67u}) {
            for (float special : {kNan, kInfinity, -kInfinity, -0.0f, 1e-40f}) {
                for (bool in_weights : {true, false}) {
                    Data data(format, {11, depth, tokens, false, false, Fence::after}, random);
                    const std::size_t k = random.below(depth);
                    if (in_weights) {
                        data.w.set(random.below(11) * data.w_stride + k, special);
                    } else {
                        data.x[random.below(tokens) * data.x_stride + k] = special;
                    }
                    check(table, reference, format, gemm, kind, data);
                }
            }
        }
    }
}

// Ranges of tokens may be packed apart, by different threads.
void check_split_packing(const Kernels& table, const Gemm& gemm) {
    Random random(3);
    constexpr std::size_t kTokens = 2 * kPackTokens + 37;
    for (std::size_t depth : {1u, 31u, 64u}) {
        const Data data(Format::f32, {1, depth, kTokens, false, false, Fence::after}, random);
        const std::size_t bytes = aligned_bytes(gemm.packed_bytes(kTokens, depth));
        const Fenced<unsigned char> whole(bytes), parts(bytes);
        gemm.pack(data.source(), kTokens, depth, whole.data());
        for (std::size_t first = 0; first < kTokens; first += kPackTokens) {
            const ConstRows source{data.x.data() + first * data.x_stride, data.x_stride};
            gemm.pack(source, std::min(kPackTokens, kTokens - first), depth,
                      parts.data() + gemm.packed_bytes(first, depth));
        }
        expect(std::equal(whole.begin(), whole.end(), parts.begin()), "%s packs parts differently, depth=%zu",
               table.name, depth);
    }
}

void run() {
    const auto tables = runnable_kernels();
    const Kernels& reference = *tables.back();
    for (const Kernels* table : tables) {
        for (Format format : kFormats) {
            const std::size_t i = index_of(format);
            check_shapes(*table, reference, format, table->gemm_exact[i], "exact gemm");
            check_specials(*table, reference, format, table->gemm_exact[i], "exact gemm");
            check_split_packing(*table, table->gemm_exact[i]);
            expect(!table->gemm_exact[i].rounds_activations, "%s exact gemm %s rounds", table->name,
                   name_of(format));
            if (table->gemm[i].multiply == table->gemm_exact[i].multiply) continue;
            check_shapes(*table, reference, format, table->gemm[i], "gemm");
            check_specials(*table, reference, format, table->gemm[i], "gemm");
            check_split_packing(*table, table->gemm[i]);
        }
    }
}

}  // namespace
}  // namespace lk::testing

int main() {
    lk::testing::run();
    return lk::testing::finish();
}
