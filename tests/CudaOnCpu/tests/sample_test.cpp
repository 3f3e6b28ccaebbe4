// Sampling against a full sort in double.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kit.h"

namespace {

using namespace cuda_on_cpu;
using kit::Buffer;

constexpr unsigned kChunk = 2048, kThreads = 256, kTopMax = 20;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
enum Flags : unsigned { kChooses = 1, kGreedy = 2, kFilters = 4, kSums = 8 };

struct Row {
    double uniform = 0.5, top_p = 1;
    float temperature = 1, min_p = 0, repetition = 1, frequency = 0, presence = 0;
    unsigned top_k = 0x7fffffff, logit_row = 0, flags = kChooses | kSums, top_count = 0;
    unsigned edit_start = 0, penalties = 0, masks = 0, biases = 0, reserved = 0;
};
struct Edit {
    unsigned token;
    float value;
};
struct Result {
    int token, fault;
    float score, max;
    double total;
    int top_tokens[kTopMax];
    float top_scores[kTopMax];
};
struct ScanArgs {
    const Row* rows;
    const Edit* edits;
    float* logits;
    float* maxima;
    float* sums;
    unsigned* places;
    long long logit_stride;
    unsigned vocabulary;
};
struct ChooseArgs {
    const Row* rows;
    const float* logits;
    const float* maxima;
    const float* sums;
    const unsigned* places;
    Result* results;
    long long logit_stride;
    unsigned vocabulary, chunks;
};

struct Sampled {
    std::vector<Result> results;
    std::vector<float> logits;
};

// Every order gives the same results to the bit.
Sampled sample(const std::vector<float>& logits, unsigned vocabulary, unsigned stride, const std::vector<Row>& rows,
               const std::vector<Edit>& edits = {{0, 0.0f}}) {
    const unsigned chunks = (vocabulary + kChunk - 1) / kChunk, count = static_cast<unsigned>(rows.size());
    Sampled first;
    for (const Schedule& schedule : kit::schedules()) {
        Buffer<float> scores(logits), maxima(count * chunks), sums(count * chunks);
        Buffer<unsigned> places(count * chunks);
        Buffer<Row> rules(rows);
        Buffer<Edit> changes(edits);
        Buffer<Result> results(count);
        const ScanArgs scan{rules.data(), changes.data(), scores.data(), maxima.data(),
                            sums.data(),  places.data(),  stride,        vocabulary};
        const ChooseArgs choose{rules.data(),  scores.data(),  maxima.data(), sums.data(), places.data(),
                                results.data(), stride, vocabulary,    chunks};
        EXPECT_EQ(launch(*find_kernel("sample_scan"), {chunks, count, 1, kThreads, 0}, &scan, schedule), "");
        EXPECT_EQ(launch(*find_kernel("sample_choose"), {count, 1, 1, kThreads, 0}, &choose, schedule), "");
        if (first.results.empty()) {
            first = {results.copy(), scores.copy()};
            continue;
        }
        for (unsigned i = 0; i < count; ++i) {
            EXPECT_EQ(first.results[i].token, results[i].token);
            if (first.results[i].token >= 0) EXPECT_EQ(first.results[i].total, results[i].total);
            for (unsigned t = 0; t < rows[i].top_count; ++t) {
                EXPECT_EQ(first.results[i].top_tokens[t], results[i].top_tokens[t]);
            }
        }
        if (vocabulary > 100'000) break;
    }
    return first;
}

// By definition: sort, cut, draw in the order of tokens. Whether `token` is at the row's place up to rounding.
void expect_drawn(const float* scores, unsigned vocabulary, const Row& row, const Result& result) {
    std::vector<unsigned> order(vocabulary);
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](unsigned a, unsigned b) { return scores[a] > scores[b] || (scores[a] == scores[b] && a < b); });
    const double max = scores[order[0]];
    const auto weight = [&](unsigned token) { return std::exp((scores[token] - max) / row.temperature); };
    double total = 0;
    for (unsigned t = 0; t < vocabulary; ++t) total += weight(t);
    EXPECT_NEAR(result.total, total, 2e-6 * total);
    EXPECT_EQ(result.max, scores[order[0]]);
    for (unsigned i = 0; i < row.top_count; ++i) {
        EXPECT_EQ(result.top_tokens[i], static_cast<int>(order[i]));
        EXPECT_EQ(result.top_scores[i], scores[order[i]]);
    }
    if ((row.flags & kGreedy) != 0) {
        EXPECT_EQ(result.token, static_cast<int>(order[0]));
        return;
    }
    std::vector<bool> kept(vocabulary);
    double mass = 0;
    for (unsigned i = 0; i < std::min(vocabulary, row.top_k); ++i) {
        const double own = weight(order[i]);
        if (own < std::max(1.2e-38, double{row.min_p}) || mass > row.top_p * total) break;
        kept[order[i]] = true;
        mass += own;
    }
    ASSERT_GE(result.token, 0);
    const auto token = static_cast<unsigned>(result.token);
    EXPECT_TRUE(kept[token]);
    EXPECT_EQ(result.score, scores[token]);
    double before = 0;
    for (unsigned t = 0; t < token; ++t) before += kept[t] ? weight(t) : 0;
    EXPECT_LE(before, row.uniform * mass + 3e-6 * mass);
    EXPECT_GE(before + weight(token), row.uniform * mass - 3e-6 * mass);
}

std::vector<Row> all_rules(std::mt19937& random) {
    std::vector<Row> rows;
    std::uniform_real_distribution<double> uniform(0, 1);
    const auto add = [&](double top_p, unsigned top_k, float min_p, float temperature, unsigned top_count) {
        Row row;
        row.uniform = uniform(random);
        row.top_p = top_p;
        row.top_k = top_k;
        row.min_p = min_p;
        row.temperature = temperature;
        row.top_count = top_count;
        if (top_p < 1 || top_k < 0x7fffffff || min_p > 0) row.flags |= kFilters;
        rows.push_back(row);
    };
    constexpr unsigned kAll = 0x7fffffff;
    add(1, kAll, 0, 1, 0);
    add(1, kAll, 0, 0.3f, 5);
    add(0.9, kAll, 0, 1, 20);
    add(0.95, 40, 0.01f, 0.7f, 1);
    add(1, 3, 0, 2, 0);
    add(1, 3000, 0, 1, 3);
    add(1, kAll, 0.2f, 1, 0);
    add(0.999999, 4000, 1e-7f, 1.3f, 0);
    add(0.3, 17, 0, 0.01f, 2);
    rows.push_back(rows.back());
    rows.back().flags = kChooses | kGreedy | kSums;
    rows.push_back(rows[0]);
    rows.back().uniform = 0;
    rows.push_back(rows[2]);
    rows.back().uniform = 1 - 0x1p-53;
    rows.push_back(rows[0]);
    rows.back().uniform = 1 - 0x1p-53;
    return rows;
}

TEST(Sample, Chooses_what_a_full_sort_chooses) {
    std::mt19937 random(3);
    for (const unsigned vocabulary : {1u, 5u, 300u, 2048u, 2049u, 9001u}) {
        for (const float spread : {0.0f, 0.01f, 4.0f, 40.0f}) {
            std::vector<Row> rows = all_rules(random);
            const unsigned stride = vocabulary + 3;
            std::vector<float> logits(rows.size() * stride, std::numeric_limits<float>::quiet_NaN());
            std::normal_distribution<float> normal(1, std::max(spread, 1e-6f));
            for (unsigned r = 0; r < rows.size(); ++r) {
                rows[r].logit_row = static_cast<unsigned>(rows.size()) - 1 - r;
                rows[r].top_count = std::min(rows[r].top_count, vocabulary);
                for (unsigned t = 0; t < vocabulary; ++t) {
                    logits[rows[r].logit_row * stride + t] = spread == 0 ? -3.0f : normal(random);
                }
            }
            const Sampled sampled = sample(logits, vocabulary, stride, rows);
            for (unsigned r = 0; r < rows.size(); ++r) {
                SCOPED_TRACE(testing::Message() << "vocabulary " << vocabulary << ", spread " << spread << ", row " << r);
                expect_drawn(&logits[rows[r].logit_row * stride], vocabulary, rows[r], sampled.results[r]);
            }
        }
    }
}

TEST(Sample, Takes_the_largest_vocabulary) {
    constexpr unsigned kVocabulary = 262'144;
    std::mt19937 random(4);
    std::normal_distribution<float> normal(0, 0.5f);
    std::vector<float> logits(kVocabulary);
    for (float& logit : logits) logit = normal(random);
    for (const Row& row : all_rules(random)) {
        const Sampled sampled = sample(logits, kVocabulary, kVocabulary, {row});
        expect_drawn(logits.data(), kVocabulary, row, sampled.results[0]);
    }
}

TEST(Sample, Equal_scores_at_the_cut_go_to_the_lower_tokens) {
    std::vector<float> logits(5000, 2.0f);
    logits[4999] = 3;
    Row row;
    row.flags |= kFilters;
    row.top_k = 4;
    row.top_count = 4;
    for (const double uniform : {0.0, 0.3, 0.4, 0.999}) {
        row.uniform = uniform;
        expect_drawn(logits.data(), 5000, row, sample(logits, 5000, 5000, {row}).results[0]);
    }
    // Ten of equal weight: nine tenths are met exactly by nine, and the tenth is still kept.
    std::vector<float> ten(10, 0.0f);
    row.top_k = 0x7fffffff;
    row.top_p = 0.9;
    row.uniform = 0.99;
    EXPECT_EQ(sample(ten, 10, 10, {row}).results[0].token, 9);
    row.top_p = 0.89;
    EXPECT_EQ(sample(ten, 10, 10, {row}).results[0].token, 8);
}

TEST(Sample, Edits_come_in_their_order) {
    std::vector<float> logits{1, 2, 3, -4, 5, 6};
    Row row;
    row.flags = kChooses | kGreedy | kSums;
    row.repetition = 2;
    row.frequency = 0.5f;
    row.presence = 0.25f;
    row.edit_start = 1;
    row.penalties = 3;
    row.masks = 2;
    row.biases = 2;
    const std::vector<Edit> edits{{5, 99}, {0, 2}, {3, 1}, {5, 1}, {5, 0}, {4, 0}, {4, 100}, {1, 0.5f}};
    const Sampled sampled = sample(logits, 6, 6, {row}, edits);
    const std::vector<float> expected{(1 - 1.25f) * 2, 2.5f, 3, (-4 - 0.75f) * 2, -kInfinity, -kInfinity};
    EXPECT_EQ(sampled.logits, expected);
    EXPECT_EQ(sampled.results[0].token, 2);
}

TEST(Sample, Says_what_is_wrong_with_a_row) {
    std::vector<float> logits(4 * 3000, 0.0f);
    logits[2999] = std::numeric_limits<float>::quiet_NaN();
    logits[3000 + 5] = kInfinity;
    std::fill_n(logits.begin() + 6000, 3000, -kInfinity);
    std::fill_n(logits.begin() + 9000, 2999, -kInfinity);
    for (const unsigned flags : {kChooses | kSums, kChooses | kGreedy, kChooses | kFilters | kSums}) {
        std::vector<Row> rows(5);
        for (unsigned r = 0; r < 5; ++r) {
            rows[r].flags = r == 4 ? 0 : flags;
            rows[r].logit_row = std::min(r, 3u);
            rows[r].min_p = 0.5f;
        }
        const Sampled sampled = sample(logits, 3000, 3000, rows);
        for (int r = 0; r < 4; ++r) {
            EXPECT_EQ(sampled.results[static_cast<unsigned>(r)].fault, r < 3 ? r + 1 : 0);
            EXPECT_EQ(sampled.results[static_cast<unsigned>(r)].token, r < 3 ? -1 : 2999);
        }
    }
}

struct TakeArgs {
    const Result* results;
    const int* sources;
    int* tokens;
    unsigned count;
};

TEST(Sample, Hands_tokens_to_the_next_step) {
    std::vector<Result> chosen(3);
    chosen[0].token = 7;
    chosen[1].token = -1;
    chosen[2].token = 9;
    Buffer<Result> results(chosen);
    Buffer<int> sources(std::vector<int>{2, -1, 0, 1}), tokens(std::vector<int>{1, 2, 3, 4});
    const TakeArgs args{results.data(), sources.data(), tokens.data(), 4};
    EXPECT_EQ(launch(*find_kernel("take_tokens"), {1, 1, 1, kThreads, 0}, &args, {}), "");
    EXPECT_EQ(tokens.copy(), (std::vector<int>{9, 2, 7, 0}));
}

}  // namespace
