// The kernels of attention over pages, and of writing the pages, against sums in double.
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "kit.h"

#include "attention.cuh"

// WriteKvArgs is in a kernel's own file.
struct WriteKvArgs {
    const float* k;
    const float* v;
    const i32* slots;
    u8* keys;
    u8* values;
    i64 k_stride, v_stride;
    u32 kv_heads, head_dim, page_size, by_four;
    float key_scale, value_scale;
};

namespace {

using namespace cuda_on_cpu;

struct Span {
    u32 rows, context;
};

struct Shape {
    u32 kv_heads, group, head_dim, page_size;
    u32 window = 0;
    bool sinks = false;
    float magnitude = 1;  // of queries
};

template <typename T>
struct Type;
template <>
struct Type<float> {
    static constexpr const char* name = "f32";
    static constexpr double unit = 0;  // what the terms of activations leave
};
template <>
struct Type<bf16> {
    static constexpr const char* name = "bf16";
    static constexpr double unit = 1.0 / (1 << 16);
};
template <>
struct Type<f16> {
    static constexpr const char* name = "f16";
    static constexpr double unit = 1.0 / (1 << 21);
};
template <>
struct Type<fp8> {
    static constexpr const char* name = "fp8";
    static constexpr double unit = 1.0 / (1 << 21);
};

constexpr u32 kPadding = 8;

template <typename T>
struct Problem {
    Shape shape;
    std::vector<Span> spans;
    u32 heads, width, rows = 0, per_sequence = 1, pages = 0;
    std::vector<i32> starts{0}, lengths, tables;
    std::vector<float> q, sinks;
    std::vector<T> keys, values;

    Problem(const Shape& shape, const std::vector<Span>& spans, std::uint32_t seed = 1) : shape(shape), spans(spans) {
        heads = shape.kv_heads * shape.group;
        width = heads * shape.head_dim;
        for (const Span& span : spans) {
            rows += span.rows;
            starts.push_back(static_cast<i32>(rows));
            lengths.push_back(static_cast<i32>(span.context));
            per_sequence = std::max(per_sequence, (span.context + shape.page_size - 1) / shape.page_size);
        }
        pages = static_cast<u32>(spans.size()) * per_sequence + 1;
        std::vector<i32> order(pages);
        std::iota(order.begin(), order.end(), 0);
        std::shuffle(order.begin(), order.end(), std::mt19937(seed));
        tables.assign(order.begin(), order.end() - 1);

        // What no sequence owns is no number, and so is what lies beyond a sequence's end.
        const std::size_t count = std::size_t{pages} * shape.page_size * shape.kv_heads * shape.head_dim;
        keys.assign(count, Narrow<T>::of(NAN));
        values.assign(count, Narrow<T>::of(NAN));
        std::mt19937 random(seed);
        std::uniform_real_distribution<float> uniform(-1, 1);
        for (u32 s = 0; s < spans.size(); ++s) {
            for (u32 p = 0; p < spans[s].context; ++p) {
                for (u32 h = 0; h < shape.kv_heads; ++h) {
                    for (u32 d = 0; d < shape.head_dim; ++d) {
                        keys[at(s, p, h) + d] = Narrow<T>::of(uniform(random));
                        values[at(s, p, h) + d] = Narrow<T>::of(uniform(random));
                    }
                }
            }
        }
        q.assign(rows * std::size_t{width + kPadding}, NAN);
        for (u32 t = 0; t < rows; ++t) {
            for (u32 i = 0; i < width; ++i) q[t * std::size_t{width + kPadding} + i] = 3 * shape.magnitude * uniform(random);
        }
        for (u32 h = 0; shape.sinks && h < heads; ++h) sinks.push_back(h == 0 ? 20 : 3 * uniform(random));
    }

    std::size_t at(u32 sequence, u32 position, u32 head) const {
        const auto page = static_cast<u32>(tables[sequence * per_sequence + position / shape.page_size]);
        return ((std::size_t{page} * shape.kv_heads + head) * shape.page_size + position % shape.page_size) * shape.head_dim;
    }
    float scale() const { return 1 / (std::sqrt(static_cast<float>(shape.head_dim)) * shape.magnitude); }
};

// A problem in the memory of a device, and its launches.
template <typename T>
struct Device {
    const Problem<T>& problem;
    u32 chunks_max;
    kit::Buffer<float> q, y, sinks, partial_values;
    kit::Buffer<f32x2> partial_sums;
    kit::Buffer<T> keys, values;
    kit::Buffer<i32> starts, lengths, tables;
    AttentionArgs args{};

    explicit Device(const Problem<T>& p, u32 chunks_max = 16)
        : problem(p),
          chunks_max(chunks_max),
          q(p.q),
          y(p.rows * std::size_t{p.width + kPadding}),
          sinks(p.sinks),
          partial_values(p.spans.size() * p.heads * chunks_max * p.shape.head_dim),
          partial_sums(p.spans.size() * p.heads * chunks_max),
          keys(p.keys),
          values(p.values),
          starts(p.starts),
          lengths(p.lengths),
          tables(p.tables) {
        args = {q.data(),
                y.data(),
                reinterpret_cast<const u8*>(keys.data()),
                reinterpret_cast<const u8*>(values.data()),
                starts.data(),
                lengths.data(),
                tables.data(),
                p.sinks.empty() ? nullptr : sinks.data(),
                partial_values.data(),
                partial_sums.data(),
                p.width + kPadding,
                p.width + kPadding,
                p.per_sequence,
                static_cast<u32>(p.spans.size()),
                p.shape.kv_heads,
                p.shape.group,
                p.shape.head_dim,
                p.shape.page_size,
                p.shape.window,
                chunks_max,
                p.scale() * kLog2E,
                1};
    }

    void reset() {
        y.clear();
        partial_values.clear();
        partial_sums.clear();
    }

    std::string launch(const std::string& name, const Grid& grid, const Schedule& schedule) {
        return kit::launch_once(name.c_str(), grid, args, schedule);
    }

    std::string combine(const Schedule& schedule) {
        return launch("attention_combine", {problem.heads, args.sequences, 1, 128, 0}, schedule);
    }

    std::string run_any(u32 shares, const Schedule& schedule) {
        const Shape& shape = problem.shape;
        const u32 shared = (8 * shape.head_dim + 32 * (shape.head_dim + 1)) * 4;
        const std::string what = launch(std::string("attention_any_") + Type<T>::name,
                                        {problem.rows, shape.kv_heads * divide_up(shape.group, 8), shares, 128, shared}, schedule);
        return what.empty() ? combine(schedule) : what;
    }

    std::string run_tensor(u32 shares, const Schedule& schedule, u32 terms = 2) {
        const Shape& shape = problem.shape;
        const u32 dim = shape.head_dim, threads = dim == 256 ? 64 : 128, warps = threads / 32;
        const std::string suffix = std::string("_") + Type<T>::name + "_" + std::to_string(dim);
        const bool packed = shape.group <= 8;
        std::string what;
        if (shape.group <= 16) {
            const u32 shared = (64 << 10) + (packed ? 1 : 2) * 16 * dim * 2;
            what = launch("attention_decode" + suffix + (packed ? "_8" : "_16"), {shares, shape.kv_heads, args.sequences, threads, shared},
                          schedule);
            if (what.empty()) what = combine(schedule);
        }
        u32 rows = 0;
        for (const Span& span : problem.spans) rows = std::max(rows, span.rows);
        if (what.empty() && rows > 1) {
            const u32 buffers = 4 * warps * 16 * dim * static_cast<u32>(sizeof(T)), queries = warps * terms * 16 * dim * 2;
            const u32 shared = dim == 256 ? buffers + queries : std::max(buffers, queries);
            what = launch("attention_prefill" + suffix + "_" + std::to_string(terms),
                          {divide_up(rows * shape.group, warps * 16), shape.kv_heads, args.sequences, threads, shared}, schedule);
        }
        return what;
    }
};

// Every row against sums in double; `unit` is the relative error of queries and weights on their way.
template <typename T>
void check(const Problem<T>& p, const kit::Buffer<float>& y, double unit) {
    const Shape& shape = p.shape;
    const double single = 1.0 / (1 << 24);
    for (u32 s = 0; s < p.spans.size(); ++s) {
        const Span& span = p.spans[s];
        for (u32 r = 0; r < span.rows; ++r) {
            const u32 t = static_cast<u32>(p.starts[s]) + r;
            for (u32 head = 0; head < p.heads; ++head) {
                const std::size_t row = t * std::size_t{p.width + kPadding} + head * shape.head_dim;
                if (span.context == 0) {
                    for (u32 d = 0; d < shape.head_dim; ++d) ASSERT_EQ(y[row + d], 0);
                    continue;
                }
                const u32 position = span.context - span.rows + r;
                const u32 first = shape.window == 0 || position < shape.window ? 0 : position - shape.window + 1;
                std::vector<double> scores;
                double score_error = 0, largest = p.sinks.empty() ? -INFINITY : p.sinks[head], smallest = INFINITY;
                for (u32 k = first; k <= position; ++k) {
                    double sum = 0, magnitude = 0;
                    for (u32 d = 0; d < shape.head_dim; ++d) {
                        const double product = static_cast<double>(p.q[row + d]) * widen(p.keys[p.at(s, k, head / shape.group) + d]);
                        sum += product;
                        magnitude += std::fabs(product);
                    }
                    scores.push_back(sum * p.scale());
                    largest = std::max(largest, scores.back());
                    smallest = std::min(smallest, scores.back());
                    score_error = std::max(score_error, magnitude * p.scale() * ((shape.head_dim + 2) * single + unit));
                }
                double total = p.sinks.empty() ? 0 : std::exp(p.sinks[head] - largest);
                for (double& score : scores) total += score = std::exp(score - largest);
                const double relative = 2 * score_error + 4 * single * (largest - smallest + std::fabs(largest)) +
                                        (2.0 * static_cast<double>(scores.size()) + 32) * single + unit;
                for (u32 d = 0; d < shape.head_dim; ++d) {
                    double value = 0, magnitude = 0;
                    for (u32 k = first; k <= position; ++k) {
                        const double term = scores[k - first] / total * widen(p.values[p.at(s, k, head / shape.group) + d]);
                        value += term;
                        magnitude += std::fabs(term);
                    }
                    ASSERT_NEAR(y[row + d], value, relative * magnitude + 1e-30)
                        << "sequence " << s << " row " << r << " head " << head << " dimension " << d;
                }
            }
        }
    }
}

template <typename T>
void any(const Shape& shape, const std::vector<Span>& spans, u32 shares = 2) {
    const Problem<T> problem(shape, spans);
    Device<T> device(problem);
    for (const Schedule& schedule : {Schedule{Order::ascending, 1}, Schedule{Order::random, 2}}) {
        device.reset();
        ASSERT_EQ(device.run_any(shares, schedule), "");
        check(problem, device.y, Type<float>::unit);  // whatever the cache
        if (::testing::Test::HasFatalFailure()) return;
    }
}

template <typename T>
void tensor(const Shape& shape, const std::vector<Span>& spans, u32 shares = 2, u32 chunks_max = 16) {
    SCOPED_TRACE(std::string(Type<T>::name) + " head size " + std::to_string(shape.head_dim) + " group " + std::to_string(shape.group) +
                 " page " + std::to_string(shape.page_size) + " window " + std::to_string(shape.window));
    const Problem<T> problem(shape, spans);
    Device<T> device(problem, chunks_max);
    for (const Schedule& schedule : {Schedule{Order::ascending, 1}, Schedule{Order::random, 2}}) {
        device.reset();
        ASSERT_EQ(device.run_tensor(shares, schedule), "");
        check(problem, device.y, Type<T>::unit);
        if (::testing::Test::HasFatalFailure()) return;
    }
}

const std::vector<Span> kMixed{{1, 1}, {1, 40}, {5, 70}, {1, 0}, {1, 700}, {33, 33}, {2, 0}, {0, 9}, {1, 17}};

TEST(AttentionAny, MatchesSumsInDouble) {
    any<float>({2, 2, 10, 16}, kMixed);
    any<float>({1, 11, 24, 7, 0, true}, kMixed);
    any<float>({2, 1, 128, 1, 20, true}, kMixed);
    any<float>({1, 3, 300, 16}, {{1, 300}, {3, 9}});
    any<bf16>({1, 4, 20, 5, 9}, kMixed);
    any<f16>({1, 4, 20, 5, 0, true}, kMixed);
    any<fp8>({1, 4, 20, 5}, kMixed);
}

template <typename T>
void tensor_shapes() {
    for (const u32 dim : {64u, 128u, 256u}) {
        tensor<T>({1, 8, dim, 16}, {{1, 1}, {1, 100}, {4, 30}});
        tensor<T>({2, 3, dim, 7, 0, true}, {{1, 45}, {7, 75}, {1, 0}, {2, 0}});
        tensor<T>({1, 13, dim, 64, 21, true}, {{1, 100}, {19, 80}});
    }
    tensor<T>({1, 5, 64, 16, 0, true}, kMixed);
    tensor<T>({1, 16, 64, 1, 100}, kMixed);
    tensor<T>({1, 1, 128, 128, 1}, kMixed);
}

TEST(AttentionTensor, MatchesSumsInDoubleForBf16) { tensor_shapes<bf16>(); }
TEST(AttentionTensor, MatchesSumsInDoubleForF16) { tensor_shapes<f16>(); }
TEST(AttentionTensor, MatchesSumsInDoubleForFp8) { tensor_shapes<fp8>(); }

TEST(AttentionTensor, TakesQueriesOfAnySize) {
    // Beyond what f16 holds, and far below its smallest number.
    for (const float magnitude : {1e30f, 1e-30f}) {
        tensor<f16>({1, 2, 64, 16, 0, false, magnitude}, {{1, 50}, {9, 40}});
        tensor<bf16>({1, 2, 64, 16, 0, false, magnitude}, {{1, 50}, {9, 40}});
    }
}

// The answer to a row is the same, bit for bit, however many blocks share its past.
TEST(AttentionTensor, SharesDoNotChangeAnything) {
    const Problem<bf16> problem({1, 4, 64, 16, 0, true}, {{1, 3000}, {1, 5}});
    Device<bf16> device(problem, 8);
    ASSERT_EQ(device.run_tensor(1, {}), "");
    check(problem, device.y, Type<bf16>::unit);
    const std::vector<float> alone = device.y.copy();
    for (const u32 shares : {2u, 3u, 8u, 40u}) {
        device.reset();
        ASSERT_EQ(device.run_tensor(shares, {}), "");
        EXPECT_EQ(std::memcmp(alone.data(), device.y.data(), alone.size() * 4), 0);
    }
}

// A NaN of a query stays in its row and head; one of a key reaches the rows that see it.
template <typename T>
void spread_nan() {
    Problem<T> problem({1, 3, 64, 16, 10}, {{20, 50}, {1, 40}, {1, 12}});
    const std::size_t stride = problem.width + kPadding;
    problem.q[7 * stride + 64 + 3] = NAN;
    problem.q[20 * stride + 128] = NAN;
    problem.keys[problem.at(0, 40, 0) + 5] = Narrow<T>::of(NAN);
    problem.values[problem.at(2, 2, 0) + 9] = Narrow<T>::of(NAN);
    Device<T> device(problem);
    ASSERT_EQ(device.run_tensor(2, {}), "");
    for (u32 t = 0; t < problem.rows; ++t) {
        for (u32 i = 0; i < problem.width; ++i) {
            const bool sees_key = t < 20 && 30 + t >= 40 && 30 + t < 50;
            const bool own = (t == 7 && i / 64 == 1) || (t == 20 && i / 64 == 2);
            const bool value = t == 21 && i % 64 == 9;
            ASSERT_EQ(std::isnan(device.y[t * stride + i]), sees_key || own || value) << t << " " << i;
        }
    }
}

TEST(AttentionTensor, KeepsWhatIsNoNumberInItsPlace) {
    spread_nan<bf16>();
    spread_nan<f16>();
    spread_nan<fp8>();
}

TEST(AttentionTensor, OneTermIsLessExactAndNoMore) {
    for (const u32 dim : {64u, 128u, 256u}) {
        const Problem<bf16> problem({1, 12, dim, 16}, {{1, 300}, {30, 90}});
        Device<bf16> device(problem);
        ASSERT_EQ(device.run_tensor(2, {}, 1), "");
        check(problem, device.y, 1.0 / (1 << 7));
    }
}

template <typename T>
void write(u32 kv_heads, u32 dim, u32 page_size, bool by_four, float key_scale) {
    constexpr u32 kRows = 4;
    const u32 width = kv_heads * dim, slots = 3 * page_size;
    const kit::Buffer<float> k(kit::numbers(kRows * (width + 4))), v(kit::numbers(kRows * width, 2));
    const kit::Buffer<i32> places({static_cast<i32>(slots - 1), -1, 0, static_cast<i32>(page_size)});
    kit::Buffer<T> keys(slots * width), values(slots * width);
    const WriteKvArgs args{k.data(), v.data(), places.data(), reinterpret_cast<u8*>(keys.data()), reinterpret_cast<u8*>(values.data()),
                           width + 4, width, kv_heads, dim, page_size, by_four ? 1u : 0u, key_scale, 1};
    const auto bits = [](T value) {
        std::uint32_t bits = 0;
        std::memcpy(&bits, &value, sizeof(T));
        return bits;
    };
    kit::launch_all((std::string("write_kv_") + Type<T>::name).c_str(), {kRows, 2, 1, 256, 0}, args,
                    [&] { keys.clear(), values.clear(); },
                    [&] {
                        std::vector<T> expected_keys(slots * width), expected_values(slots * width);
                        std::memset(static_cast<void*>(expected_keys.data()), 0xff, expected_keys.size() * sizeof(T));
                        expected_values = expected_keys;
                        for (u32 t = 0; t < kRows; ++t) {
                            if (places[t] < 0) continue;
                            const u32 slot = static_cast<u32>(places[t]);
                            for (u32 i = 0; i < width; ++i) {
                                const std::size_t at =
                                    ((slot / page_size * kv_heads + i / dim) * std::size_t{page_size} + slot % page_size) * dim + i % dim;
                                expected_keys[at] = Narrow<T>::of(k[t * (width + 4) + i] / key_scale);
                                expected_values[at] = Narrow<T>::of(v[t * width + i]);
                            }
                        }
                        for (std::size_t i = 0; i < keys.size(); ++i) {
                            ASSERT_EQ(bits(keys[i]), bits(expected_keys[i])) << i;
                            ASSERT_EQ(bits(values[i]), bits(expected_values[i])) << i;
                        }
                    });
}

TEST(WriteKv, PutsRowsInTheirSlots) {
    write<float>(2, 64, 4, true, 1);
    write<bf16>(3, 8, 1, true, 1);
    write<f16>(2, 12, 5, true, 2);
    write<fp8>(2, 64, 16, true, 0.3f);
    write<float>(1, 3, 4, false, 1);
    write<fp8>(3, 5, 7, false, 1);
    write<bf16>(1, 7, 2, false, 1);
}

TEST(Fp8, RoundsAsTheSpecificationSays) {
    for (u32 bits = 0; bits < 256; ++bits) {
        const float value = fp8{static_cast<u8>(bits)}.widen();
        const bool is_nan = (bits & 0x7f) == 0x7f;
        ASSERT_EQ(std::isnan(value), is_nan);
        ASSERT_EQ(fp8::narrow(value).bits, is_nan ? 0x7f : bits);
        // As four: the first and third, the second and fourth.
        u32 even, odd;
        widen_four(bits | bits << 8 | (bits ^ 0x80) << 16 | 0x38u << 24, even, odd);
        for (const auto [half, expected] : {std::pair{even & 0xffff, value}, {even >> 16, -value}, {odd & 0xffff, value}, {odd >> 16, 1.0f}}) {
            const float wide = kit::from_f16(static_cast<u16>(half)) * kFp8AsF16;
            ASSERT_TRUE(wide == expected || (std::isnan(wide) && std::isnan(expected))) << bits;
        }
    }
    for (u32 bits = 0; bits < 0x7e; ++bits) {
        const float low = fp8{static_cast<u8>(bits)}.widen(), high = fp8{static_cast<u8>(bits + 1)}.widen(), middle = (low + high) / 2;
        ASSERT_EQ(fp8::narrow(middle).bits, bits % 2 == 0 ? bits : bits + 1);
        ASSERT_EQ(fp8::narrow(std::nextafter(middle, 0.0f)).bits, bits);
        ASSERT_EQ(fp8::narrow(-std::nextafter(middle, 1e9f)).bits, (bits + 1) | 0x80);
    }
    ASSERT_EQ(fp8::narrow(1e9f).bits, 0x7e);
    ASSERT_EQ(fp8::narrow(-INFINITY).bits, 0xfe);
    ASSERT_EQ(fp8::narrow(460).bits, 0x7e);
}

TEST(Attention, PowersOfTwoAreRight) {
    for (float x = 0; x > -140; x -= 0.0371f) {
        const double expected = x < -126 ? 0 : std::exp2(static_cast<double>(x));
        ASSERT_NEAR(exp2_of(x), expected, expected * 2 / (1 << 23)) << x;
    }
    EXPECT_EQ(exp2_of(0), 1);
    EXPECT_EQ(exp2_of(-INFINITY), 0);
    EXPECT_TRUE(std::isnan(exp2_of(NAN)));
}

}  // namespace
