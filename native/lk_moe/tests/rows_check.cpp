// The operations on one row, of every table, against the reference: every length around every lane, fenced on
// both sides, in place where that is allowed, specials, and sweeps of whole ranges for conversions and
// exponentials.
#include "kernel_check.h"

namespace lk::testing {
namespace {

const std::vector<float> kSpecials = {kNan,   -kNan,   kInfinity, -kInfinity, 0.0f,     -0.0f,
                                      1e-40f, -1e-40f, 3e38f,     -3e38f,     88.5f,    89.5f,
                                      -88.5f, -103.5f, -110.0f,   0x1p-149f,  0x1p-126f};

bool same_bits(float a, float b) {
    return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

struct Tables {
    const Kernels& table;
    const Kernels& reference;
};

// Runs both on copies of `input`, in place or not, and compares element by element within bound(i).
template <typename Operation, typename Bound>
void compare(const char* what, const Tables& tables, const std::vector<float>& input, Fence fence,
             const Operation& run, const Bound& bound) {
    const std::size_t length = input.size();
    const Fenced<float> expected(length, fence), actual(length, fence);
    std::copy(input.begin(), input.end(), expected.data());
    std::copy(input.begin(), input.end(), actual.data());
    run(tables.reference, expected.data());
    run(tables.table, actual.data());
    bool within = actual.is_surrounding_intact();
    for (std::size_t i = 0; i < length; ++i) {
        const bool agreed = agrees(expected[i], actual[i], bound(i));
        if (within && !agreed)
            std::printf("at %zu: %a, expected %a\n", i, double{actual[i]}, double{expected[i]});
        within = within && agreed;
    }
    expect(within, "%s %s length=%zu", tables.table.name, what, length);
}

std::vector<float> random_row(Random& random, std::size_t length, float low = -3, float high = 3) {
    std::vector<float> row(length);
    for (float& value : row) value = random.between(low, high);
    return row;
}

// A row on a fence, for operands that are only read.
struct Operand {
    Fenced<float> values;
    Operand(const std::vector<float>& source, Fence fence) : values(source.size(), fence) {
        std::copy(source.begin(), source.end(), values.data());
    }
};

void check_rms_norm(const Tables& tables, Random& random, std::size_t length, Fence fence) {
    const auto x = random_row(random, length), weight = random_row(random, length);
    const Operand on_fence(weight, fence), source(x, fence);
    for (const float* w : {on_fence.values.data(), static_cast<float*>(nullptr)}) {
        // The mean of squares has a relative error of length/8 + 8 roundings, halved by the root; then three
        // products.
        const double relative = (static_cast<double>(length / 8 + 8) / 2 + 4) * kHalfUlp;
        const auto bound = [&](std::size_t i) {
            return relative * 4 * std::abs(double{x[i]} * (w != nullptr ? double{weight[i]} : 1.0)) +
                   kTiniest;
        };
        compare(
            "rms_norm in place", tables, x, fence,
            [&](const Kernels& k, float* y) { k.rms_norm(y, w, 1e-6f, y, length); }, bound);
        compare(
            "rms_norm", tables, std::vector<float>(length, 7.0f), fence,
            [&](const Kernels& k, float* y) { k.rms_norm(source.values.data(), w, 1e-6f, y, length); },
            bound);
    }
}

// Subnormal powers lose bits, which the quotient keeps: hence the absolute part.
double silu_bound(float gate, float up, float scale) {
    const double g = double{gate};
    const double value = std::abs(g / (1 + std::exp(-g)) * double{up} * double{scale});
    return 8 * 2 * kHalfUlp * value +
           (1 + std::abs(g)) * (1 + std::abs(double{up})) * (1 + std::abs(double{scale})) * 4 * kTiniest;
}

void check_silu(const Tables& tables, Random& random, std::size_t length, Fence fence) {
    const auto gate = random_row(random, length, -100, 100), up = random_row(random, length);
    const Operand gates(gate, fence), ups(up, fence);
    const float scale = random.between(-2, 2);
    const auto bound = [&](std::size_t i) { return silu_bound(gate[i], up[i], scale); };
    compare(
        "silu_mul", tables, gate, fence,
        [&](const Kernels& k, float* y) { k.silu_mul(y, ups.values.data(), scale, y, length); }, bound);
    compare(
        "silu_mul", tables, up, fence,
        [&](const Kernels& k, float* y) { k.silu_mul(gates.values.data(), y, scale, y, length); }, bound);
}

void check_sums(const Tables& tables, Random& random, std::size_t length, Fence fence) {
    const auto x = random_row(random, length), y = random_row(random, length);
    const Operand on_fence(x, fence);
    const float scale = random.between(-2, 2);
    compare(
        "axpy", tables, y, fence,
        [&](const Kernels& k, float* target) { k.axpy(scale, on_fence.values.data(), target, length); },
        [&](std::size_t i) {
            return 2 * kHalfUlp * (std::abs(double{scale} * double{x[i]}) + std::abs(double{y[i]}));
        });
    compare(
        "scale", tables, y, fence, [&](const Kernels& k, float* target) { k.scale(scale, target, length); },
        [](std::size_t) { return 0.0; });
}

void check_rotate(const Tables& tables, Random& random, std::size_t pairs, Fence fence) {
    const std::size_t heads = 3, stride = 2 * pairs + random.below(3);
    const std::size_t length = pairs == 0 ? 0 : (heads - 1) * stride + 2 * pairs;
    const auto x = random_row(random, length);
    const Operand cos(random_row(random, pairs, -1, 1), fence), sin(random_row(random, pairs, -1, 1), fence);
    for (bool interleaved : {false, true}) {
        compare(
            interleaved ? "rotate interleaved" : "rotate", tables, x, fence,
            [&](const Kernels& k, float* y) {
                k.rotate(y, stride, heads, cos.values.data(), sin.values.data(), pairs, interleaved);
            },
            [](std::size_t) { return 3 * kHalfUlp * (3 + 3); });
    }
}

void check_maxima(const Tables& tables, Random& random, std::size_t length, Fence fence) {
    auto row = random_row(random, length);
    const auto once = [&](const char* what) {
        const Operand x(row, fence);
        const float largest = tables.table.maximum(x.values.data(), length);
        const std::size_t best = tables.table.argmax(x.values.data(), length);
        expect(agrees(tables.reference.maximum(x.values.data(), length), largest, 0),
               "%s maximum %s length=%zu: %g", tables.table.name, what, length, double{largest});
        expect(tables.reference.argmax(x.values.data(), length) == best, "%s argmax %s length=%zu: %zu",
               tables.table.name, what, length, best);
    };
    once("");
    if (length == 0) return;
    row[random.below(length)] = 5;
    row[random.below(length)] = 5;
    once("with ties");
    std::fill(row.begin(), row.end(), -kInfinity);
    once("of minus infinities");
    row[random.below(length)] = kInfinity;
    once("of infinity");
    row[random.below(length)] = kNan;
    row[random.below(length)] = kNan;
    once("of NaN");
}

double exp_bound(double exact) { return 2 * 2 * kHalfUlp * exact + kTiniest; }

void check_exp_sum(const Tables& tables, Random& random, std::size_t length, Fence fence) {
    const auto x = random_row(random, length, -110, 80);
    const float shift = random.between(-3, 3);
    const Operand source(x, fence);
    double expected = 0;
    compare(
        "exp_sum", tables, x, fence,
        [&](const Kernels& k, float* y) {
            const double sum = k.exp_sum(y, shift, y, length);
            if (&k == &tables.reference) expected = sum;
        },
        [&](std::size_t i) { return exp_bound(std::exp(double{x[i] - shift})); });
    const double sum = tables.table.exp_sum(source.values.data(), shift, nullptr, length);
    // Two ulp a term, and at most 32 + 4 additions of a block in f32.
    expect(agrees(expected, sum, (4 + 36) * kHalfUlp * expected + static_cast<double>(length) * kTiniest),
           "%s exp_sum length=%zu: %g, expected %g", tables.table.name, length, sum, expected);
}

void check_conversions(const Tables& tables, Random& random, std::size_t length, Fence fence) {
    for (Format format : kFormats) {
        const std::size_t i = index_of(format);
        const Operand x(random_row(random, length), fence);
        FencedElements expected(format, length, fence), actual(format, length, fence);
        tables.reference.narrow[i](x.values.data(), expected.data(), length);
        tables.table.narrow[i](x.values.data(), actual.data(), length);
        expect(actual.is_surrounding_intact() &&
                   std::memcmp(expected.data(), actual.data(), length * size_of(format)) == 0,
               "%s narrow %s length=%zu", tables.table.name, name_of(format), length);

        const Fenced<float> back(length, fence), reference_back(length, fence);
        tables.reference.widen[i](expected.data(), reference_back.data(), length);
        tables.table.widen[i](expected.data(), back.data(), length);
        expect(back.is_surrounding_intact() &&
                   std::equal(back.begin(), back.end(), reference_back.begin(), same_bits),
               "%s widen %s length=%zu", tables.table.name, name_of(format), length);
    }
}

void check_specials(const Tables& tables) {
    std::vector<float> row = kSpecials;
    for (float value : {1.0f, -2.0f}) row.push_back(value);
    const std::size_t length = row.size();
    const std::vector<float> ones(length, 1.0f);
    const Operand x(row, Fence::after), one(ones, Fence::after);
    compare(
        "silu_mul of specials", tables, row, Fence::after,
        [&](const Kernels& k, float* y) { k.silu_mul(y, one.values.data(), 1, y, length); },
        [&](std::size_t i) { return silu_bound(row[i], 1, 1); });
    compare(
        "axpy of specials", tables, ones, Fence::after,
        [&](const Kernels& k, float* y) { k.axpy(2, x.values.data(), y, length); },
        [&](std::size_t i) { return 2 * kHalfUlp * (2 * std::abs(double{row[i]}) + 1); });
    compare(
        "exp_sum of specials", tables, row, Fence::after,
        [&](const Kernels& k, float* y) { k.exp_sum(y, 0, y, length); },
        [&](std::size_t i) { return exp_bound(std::exp(double{row[i]})); });
    compare(
        "rms_norm of specials", tables, row, Fence::after,
        [&](const Kernels& k, float* y) { k.rms_norm(y, nullptr, 1e-6f, y, length); },
        [](std::size_t) { return 0.0; });
    compare(
        "scale of specials", tables, row, Fence::after,
        [&](const Kernels& k, float* y) { k.scale(0.5f, y, length); }, [](std::size_t) { return 0.0; });
    expect(std::isnan(tables.table.exp_sum(x.values.data(), 0, nullptr, length)), "%s exp_sum loses a NaN",
           tables.table.name);
}

// Every bf16 and f16 there is, widened; and every f32 whose low bits make a difference, narrowed.
void sweep_conversions(const Tables& tables) {
    constexpr std::size_t kAll = 1 << 16;
    std::vector<std::uint16_t> stored(kAll), expected(kAll), actual(kAll);
    std::vector<float> wide(kAll), also_wide(kAll);
    for (std::size_t i = 0; i < kAll; ++i) stored[i] = static_cast<std::uint16_t>(i);
    for (Format format : {Format::bf16, Format::f16}) {
        const std::size_t f = index_of(format);
        tables.reference.widen[f](stored.data(), wide.data(), kAll);
        tables.table.widen[f](stored.data(), also_wide.data(), kAll);
        expect(std::equal(wide.begin(), wide.end(), also_wide.begin(), same_bits),
               "%s widens some %s differently", tables.table.name, name_of(format));
        for (std::uint32_t low : {0x0000u, 0x0001u, 0x0fffu, 0x1000u, 0x1001u, 0x2fffu, 0x3000u, 0x3001u,
                                  0x7fffu, 0x8000u, 0x8001u, 0xefffu, 0xf000u, 0xffffu}) {
            for (std::size_t i = 0; i < kAll; ++i) {
                wide[i] = std::bit_cast<float>(static_cast<std::uint32_t>(i) << 16 | low);
            }
            tables.reference.narrow[f](wide.data(), expected.data(), kAll);
            tables.table.narrow[f](wide.data(), actual.data(), kAll);
            expect(expected == actual, "%s narrows to %s differently with low bits %x", tables.table.name,
                   name_of(format), low);
        }
    }
}

void sweep_exponential(const Tables& tables) {
    std::vector<float> row;
    for (float x = -110; x < 92; x += 0.00137f) row.push_back(x);
    compare(
        "exp_sum over its range", tables, row, Fence::after,
        [&](const Kernels& k, float* y) { k.exp_sum(y, 0, y, row.size()); },
        [&](std::size_t i) { return exp_bound(std::exp(double{row[i]})); });
    compare(
        "silu_mul over its range", tables, row, Fence::after,
        [&](const Kernels& k, float* y) {
            const std::vector<float> ones(row.size(), 1.0f);
            k.silu_mul(y, ones.data(), 1, y, row.size());
        },
        [&](std::size_t i) { return silu_bound(row[i], 1, 1); });
}

// A vocabulary's row, as sampling has it.
void check_vocabulary(const Tables& tables, Random& random) {
    constexpr std::size_t kVocabulary = 151'936;
    const auto x = random_row(random, kVocabulary, -20, 20);
    const float largest = tables.table.maximum(x.data(), kVocabulary);
    expect(tables.table.argmax(x.data(), kVocabulary) == tables.reference.argmax(x.data(), kVocabulary),
           "%s argmax of a vocabulary", tables.table.name);
    const double expected = tables.reference.exp_sum(x.data(), largest, nullptr, kVocabulary);
    const double sum = tables.table.exp_sum(x.data(), largest, nullptr, kVocabulary);
    expect(agrees(expected, sum, 40 * kHalfUlp * expected), "%s exp_sum of a vocabulary: %g, expected %g",
           tables.table.name, sum, expected);
}

void run() {
    const auto all = runnable_kernels();
    for (const Kernels* table : all) {
        const Tables tables{*table, *all.back()};
        Random random(42);
        for (Fence fence : {Fence::after, Fence::before}) {
            for (std::size_t length = 0; length <= 150; ++length) {
                check_rms_norm(tables, random, length, fence);
                check_silu(tables, random, length, fence);
                check_sums(tables, random, length, fence);
                check_rotate(tables, random, length, fence);
                check_maxima(tables, random, length, fence);
                check_exp_sum(tables, random, length, fence);
                check_conversions(tables, random, length, fence);
            }
            for (std::size_t length : {511u, 1025u, 2048u}) {
                check_rms_norm(tables, random, length, fence);
                check_exp_sum(tables, random, length, fence);
                check_maxima(tables, random, length, fence);
            }
        }
        check_specials(tables);
        sweep_conversions(tables);
        sweep_exponential(tables);
        check_vocabulary(tables, random);
    }
}

}  // namespace
}  // namespace lk::testing

int main() {
    lk::testing::run();
    return lk::testing::finish();
}
