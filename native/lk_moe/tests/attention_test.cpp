#include <algorithm>
#include <numeric>

#include "ops_support.h"

namespace lk::testing {
namespace {

struct Shape {
    int heads, kv_heads, head_dim, page_size;
};

// A batch of sequences over a shuffled page table, and the cache behind it.
struct Cache {
    Cache(lk_dtype type, const Shape& shape, const std::vector<int>& rows, const std::vector<int>& lengths,
          Random& random)
        : type(type), shape(shape), rows(rows), lengths(lengths) {
        starts.push_back(0);
        for (const int count : rows) starts.push_back(starts.back() + count);
        for (const int length : lengths)
            per_sequence = std::max(per_sequence, (length + shape.page_size - 1) / shape.page_size);
        const int pages = per_sequence * static_cast<int>(lengths.size()) + 3;
        std::vector<int32_t> order(static_cast<std::size_t>(pages));
        std::iota(order.begin(), order.end(), 0);
        for (int i = pages - 1; i > 0; --i)
            std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(random.below(i + 1))]);
        tables.assign(order.begin(), order.begin() + per_sequence * static_cast<int>(lengths.size()));

        slots = pages * shape.page_size;
        const std::size_t count =
            static_cast<std::size_t>(slots) * static_cast<std::size_t>(shape.kv_heads * shape.head_dim);
        keys.resize(count * bytes_of(type));
        values.resize(count * bytes_of(type));
        // What no sequence owns is poison.
        const std::vector<float> poison(count, std::nanf(""));
        store(type, poison.data(), keys.data(), count);
        store(type, poison.data(), values.data(), count);
    }

    lk_kv_layer layer() {
        const int count = slots * shape.kv_heads;
        return {{keys.data(), shape.head_dim, count, shape.head_dim, type, 0},
                {values.data(), shape.head_dim, count, shape.head_dim, type, 0},
                shape.page_size, shape.kv_heads, shape.head_dim, 0};
    }
    lk_attention_batch batch() const {
        return {starts.data(), lengths.data(), tables.data(), per_sequence, static_cast<int32_t>(lengths.size()),
                per_sequence};
    }
    int slot(int sequence, int position) const {
        return tables[static_cast<std::size_t>(sequence * per_sequence + position / shape.page_size)] *
                   shape.page_size +
               position % shape.page_size;
    }

    lk_dtype type;
    Shape shape;
    std::vector<int> rows, lengths;
    std::vector<int32_t> starts, tables;
    int per_sequence = 0, slots = 0;
    std::vector<std::byte> keys, values;
};

// Writes every position of every sequence through lk_write_kv and keeps what the cache keeps.
std::vector<Floats> fill(lk_device* device, Cache& cache, Random& random) {
    const int width = cache.shape.kv_heads * cache.shape.head_dim;
    std::vector<Floats> all;
    for (std::size_t s = 0; s < cache.lengths.size(); ++s) {
        Floats k(cache.lengths[s], width, width + 5), v(cache.lengths[s], width);
        k.fill(random);
        v.fill(random);
        for (auto* grid : {&k, &v}) {
            for (float& value : grid->values) value = keep(cache.type, value);
        }
        std::vector<int32_t> slots;
        for (int p = 0; p < cache.lengths[s]; ++p) slots.push_back(cache.slot(static_cast<int>(s), p));
        const lk_tensor kt = k.tensor(), vt = v.tensor();
        const lk_kv_layer layer = cache.layer();
        ok(lk_write_kv(device, &kt, &vt, &layer, slots.data()));
        all.push_back(std::move(k));
        all.push_back(std::move(v));
    }
    return all;
}

void check(lk_device* device, lk_dtype type, const Shape& shape, const std::vector<int>& rows,
           const std::vector<int>& lengths, int window, Random& random, const std::vector<float>& sinks = {}) {
    Cache cache(type, shape, rows, lengths, random);
    const std::vector<Floats> past = fill(device, cache, random);
    const int total = cache.starts.back();
    const int width = shape.heads * shape.head_dim;
    Floats q(total, width, width + 16), y(total, width, width + 1);
    q.fill(random);
    for (float& value : q.values) value *= 4;
    const float scale = 1 / std::sqrt(static_cast<float>(shape.head_dim));
    const lk_tensor qt = q.tensor(), yt = y.tensor();
    const lk_kv_layer layer = cache.layer();
    const lk_attention_batch batch = cache.batch();
    ok(lk_attention(device, &qt, &layer, &batch, scale, window, sinks.empty() ? nullptr : sinks.data(), &yt));

    for (std::size_t s = 0; s < rows.size(); ++s) {
        const Floats& k = past[2 * s];
        const Floats& v = past[2 * s + 1];
        for (int r = 0; r < rows[s]; ++r) {
            const int row = cache.starts[s] + r;
            const int position = lengths[s] - rows[s] + r;
            const int first = window == 0 ? 0 : std::max(0, position - window + 1);
            for (int h = 0; h < shape.heads; ++h) {
                const int kv = h / (shape.heads / shape.kv_heads) * shape.head_dim;
                std::vector<double> scores;
                for (int p = first; p <= position; ++p) {
                    double sum = 0;
                    for (int d = 0; d < shape.head_dim; ++d)
                        sum += static_cast<double>(q.at(row, h * shape.head_dim + d)) * k.at(p, kv + d);
                    scores.push_back(sum * scale);
                }
                const double sink = sinks.empty() ? -INFINITY : sinks[static_cast<std::size_t>(h)];
                const double largest = std::max(sink, *std::max_element(scores.begin(), scores.end()));
                double sum = std::exp(sink - largest);
                for (double& score : scores) sum += score = std::exp(score - largest);
                for (int d = 0; d < shape.head_dim; ++d) {
                    double expected = 0;
                    for (int p = first; p <= position; ++p)
                        expected += scores[static_cast<std::size_t>(p - first)] / sum * v.at(p, kv + d);
                    ASSERT_NEAR(y.at(row, h * shape.head_dim + d), expected, 1e-5)
                        << "sequence " << s << " position " << position << " head " << h << " window " << window;
                }
            }
        }
    }
}

class AttentionTest : public ::testing::TestWithParam<int> {
 protected:
    DevicePointer device_ = make_device(GetParam());
};

TEST_P(AttentionTest, Decodes_over_pages) {
    Random random(1);
    for (const lk_dtype type : {LK_F32, LK_BF16, LK_F16}) {
        check(device_.get(), type, {8, 2, 32, 16}, {1}, {1}, 0, random);
        check(device_.get(), type, {8, 2, 32, 16}, {1, 1, 1}, {7, 600, 33}, 0, random);
        check(device_.get(), type, {4, 4, 20, 7}, {1, 1}, {1500, 2}, 0, random);
        check(device_.get(), type, {32, 4, 128, 64}, {1}, {1100}, 0, random);
        check(device_.get(), type, {32, 1, 16, 300}, {1}, {700}, 0, random);
    }
}

TEST_P(AttentionTest, Prefills_in_blocks) {
    Random random(2);
    for (const lk_dtype type : {LK_F32, LK_BF16}) {
        check(device_.get(), type, {4, 2, 16, 16}, {50}, {50}, 0, random);
        check(device_.get(), type, {6, 2, 24, 5}, {33, 1, 100}, {40, 90, 333}, 0, random);
        check(device_.get(), type, {2, 2, 64, 16}, {300}, {600}, 0, random);
        check(device_.get(), type, {2, 1, 8, 1}, {9}, {9}, 0, random);
    }
}

TEST_P(AttentionTest, Sees_only_its_window) {
    Random random(3);
    for (const int window : {1, 2, 17, 256, 300, 5000}) {
        check(device_.get(), LK_F32, {4, 2, 16, 16}, {1, 1}, {900, 3}, window, random);
        check(device_.get(), LK_F32, {4, 2, 16, 16}, {120, 40}, {120, 400}, window, random);
    }
}

TEST_P(AttentionTest, Skips_sequences_without_rows) {
    Random random(4);
    check(device_.get(), LK_F32, {2, 1, 8, 4}, {0, 2, 0}, {5, 6, 1}, 0, random);
}

TEST_P(AttentionTest, Random_batches_agree) {
    Random random(5);
    for (int round = 0; round < 30; ++round) {
        const int kv_heads = 1 + random.below(3);
        const Shape shape{kv_heads * (1 + random.below(5)), kv_heads, 1 + random.below(40), 1 + random.below(33)};
        std::vector<int> rows, lengths;
        for (int s = 1 + random.below(5); s > 0; --s) {
            rows.push_back(random.below(3) == 0 ? 1 + random.below(70) : 1);
            lengths.push_back(rows.back() + random.below(random.below(4) == 0 ? 900 : 60));
        }
        check(device_.get(), LK_F32, shape, rows, lengths, random.below(2) == 0 ? 0 : 1 + random.below(100), random);
    }
}

TEST_P(AttentionTest, Lets_not_a_number_of_a_seen_key_through) {
    Random random(6);
    for (const int rows : {1, 30}) {
        Cache cache(LK_F32, {2, 1, 8, 4}, {rows}, {700}, random);
        fill(device_.get(), cache, random);
        auto* const keys = reinterpret_cast<float*>(cache.keys.data());
        keys[static_cast<std::size_t>(cache.slot(0, 300) * 8)] = std::nanf("");
        Floats q(rows, 16), y(rows, 16);
        q.fill(random);
        const lk_tensor qt = q.tensor(), yt = y.tensor();
        const lk_kv_layer layer = cache.layer();
        const lk_attention_batch batch = cache.batch();
        ok(lk_attention(device_.get(), &qt, &layer, &batch, 1, 0, nullptr, &yt));
        for (const float value : y.values) ASSERT_TRUE(std::isnan(value));
        ok(lk_attention(device_.get(), &qt, &layer, &batch, 1, 100, nullptr, &yt));
        for (const float value : y.values) ASSERT_FALSE(std::isnan(value));
    }
}

TEST_P(AttentionTest, Refuses_pages_and_slots_outside) {
    Random random(7);
    Cache cache(LK_F32, {2, 1, 8, 4}, {1}, {9}, random);
    Floats q(1, 16), y(1, 16), k(1, 8), v(1, 8);
    const lk_tensor qt = q.tensor(), yt = y.tensor(), kt = k.tensor(), vt = v.tensor();
    const lk_kv_layer layer = cache.layer();
    int32_t slot = cache.slots;
    EXPECT_EQ(lk_write_kv(device_.get(), &kt, &vt, &layer, &slot), LK_INVALID_ARGUMENT);
    cache.tables[2] = cache.slots;
    lk_attention_batch batch = cache.batch();
    EXPECT_EQ(lk_attention(device_.get(), &qt, &layer, &batch, 1, 0, nullptr, &yt), LK_INVALID_ARGUMENT);
    cache.lengths[0] = 100;
    batch = cache.batch();
    EXPECT_EQ(lk_attention(device_.get(), &qt, &layer, &batch, 1, 0, nullptr, &yt), LK_INVALID_ARGUMENT);
    cache.lengths[0] = -1;
    batch = cache.batch();
    EXPECT_EQ(lk_attention(device_.get(), &qt, &layer, &batch, 1, 0, nullptr, &yt), LK_INVALID_ARGUMENT);
    slot = -2;
    EXPECT_EQ(lk_write_kv(device_.get(), &kt, &vt, &layer, &slot), LK_INVALID_ARGUMENT);
}

TEST_P(AttentionTest, Gives_sinks_their_share) {
    Random random(8);
    for (const int window : {0, 5}) {
        const std::vector<float> sinks{0.5f, -3, 9, 120};
        check(device_.get(), LK_F32, {4, 2, 16, 16}, {1, 1}, {900, 3}, window, random, sinks);
        check(device_.get(), LK_BF16, {4, 2, 16, 16}, {120, 1, 40}, {120, 2000, 400}, window, random, sinks);
    }
}

TEST_P(AttentionTest, Fills_a_batch_up_with_zeros) {
    Random random(9);
    Cache cache(LK_F32, {2, 1, 8, 4}, {1, 1, 2}, {9, 9, 9}, random);
    fill(device_.get(), cache, random);
    std::vector<std::byte> before = cache.keys;
    Floats q(4, 16), y(4, 16), k(1, 8), v(1, 8);
    q.fill(random);
    std::fill(y.values.begin(), y.values.end(), 7.0f);
    cache.lengths = {0, 9, 0};
    const lk_tensor qt = q.tensor(), yt = y.tensor(), kt = k.tensor(), vt = v.tensor();
    const lk_kv_layer layer = cache.layer();
    const lk_attention_batch batch = cache.batch();
    const int32_t nowhere = -1;

    ok(lk_write_kv(device_.get(), &kt, &vt, &layer, &nowhere));
    ok(lk_attention(device_.get(), &qt, &layer, &batch, 1, 0, nullptr, &yt));

    EXPECT_EQ(before, cache.keys);
    for (int row = 0; row < 4; ++row) {
        for (int i = 0; i < 16; ++i) ASSERT_EQ(y.at(row, i) == 0.0f, row != 1);
    }
}

INSTANTIATE_TEST_SUITE_P(Threads, AttentionTest, ::testing::Values(1, 2, 5));

}  // namespace
}  // namespace lk::testing
