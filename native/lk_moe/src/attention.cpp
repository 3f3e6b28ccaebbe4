// y = softmax(scale q k') v over pages, causal, with an optional window and optional sinks in the denominator.
//
// A group is one key-value head of one block of query rows of one sequence: the query heads that share the keys are the
// tokens of one small matrix product, so that each key and value is read once. Groups with long pasts are cut into
// parts along the keys, which are merged behind a barrier. Keys pass by in blocks, which are first gathered from their
// pages: the products like long stretches of rows, and what they ask for ahead lies beyond a page in somebody else's.
// The softmax is taken online, in f32. Decoding is bound by reading the cache, prefill by the products.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "ops.h"

namespace lk {
namespace {

// (query rows) x (heads that share a key) of a group: as many as gemm likes, and their sums stay in the first-level
// caches.
constexpr std::size_t kGroupTokens = 64;
constexpr std::size_t kBlockKeys = 256;
// A part shorter than this costs more to merge than it wins.
constexpr std::size_t kPartKeysMin = 256;
// A task below this many products is over before a worker hears of it.
constexpr std::size_t kTaskProductsMin = std::size_t{1} << 16;

struct Group {
    std::uint32_t sequence;
    std::uint32_t head;        // of keys
    std::uint32_t row;         // first of its rows of q
    std::uint32_t rows;
    std::uint32_t position;    // of its first row
    std::uint32_t key_first;
    std::uint32_t key_last;
    std::uint32_t parts;
    std::uint32_t partial;     // index of its first partial result
};

struct Task {
    std::uint32_t group;
    std::uint32_t part;
};

struct Plan {
    Group* groups = nullptr;
    std::size_t group_count = 0;
    Task* tasks = nullptr;
    std::size_t task_count = 0;
    std::size_t partial_count = 0;
};

// Everything that one call needs, and the sizes that follow from it.
struct Job {
    Device& device;
    const Grid& q;
    const KvCache& cache;
    const Batch& batch;
    float scale;
    std::size_t window;
    const float* sinks;
    const Grid& y;

    std::size_t sharing() const { return q.columns / (cache.heads * cache.head_dim); }
    std::size_t group_rows() const { return std::max<std::size_t>(1, kGroupTokens / sharing()); }
    std::size_t tokens_max() const { return group_rows() * sharing(); }
    // One partial result: maxima, sums and weighted values of its tokens.
    std::size_t partial_floats() const { return tokens_max() * (2 + cache.head_dim); }
};

// The worker's own memory.
struct Workplace {
    float* queries;    // [tokens][head_dim], scaled
    float* scores;     // [tokens][kBlockKeys]
    float* values;     // [tokens][head_dim], weighted sums so far
    float* maxima;     // [tokens]
    float* sums;       // [tokens]
    float* factors;    // [tokens]
    std::byte* rows;   // [kBlockKeys][head_dim], keys or values
    std::byte* packed;

    static std::size_t floats(const Job& job) {
        return job.tokens_max() * (2 * job.cache.head_dim + kBlockKeys + 3) + 16;
    }
    static std::size_t row_bytes(const Job& job) { return job.cache.head_dim * size_of(job.cache.format); }
    static std::size_t bytes(const Job& job, const Gemm& gemm) {
        return floats(job) * sizeof(float) + round_up(kBlockKeys * row_bytes(job), 64) + 128 +
               gemm.packed_bytes(job.tokens_max(), job.cache.head_dim);
    }
};

Workplace lay_out(const Job& job, void* memory) {
    const std::size_t tokens = job.tokens_max();
    Workplace place;
    place.queries = static_cast<float*>(memory);
    place.scores = place.queries + tokens * job.cache.head_dim;
    place.values = place.scores + tokens * kBlockKeys;
    place.maxima = place.values + tokens * job.cache.head_dim;
    place.sums = place.maxima + tokens;
    place.factors = place.sums + tokens;
    const auto end = reinterpret_cast<std::uintptr_t>(place.factors + tokens);
    place.rows = reinterpret_cast<std::byte*>(round_up(end, 64));
    place.packed = place.rows + round_up(kBlockKeys * Workplace::row_bytes(job), 64);
    return place;
}

std::size_t first_key(const Job& job, std::size_t position) {
    return job.window == 0 || position < job.window ? 0 : position - job.window + 1;
}

Plan make_plan(const Job& job) {
    std::size_t group_count = 0;
    for (std::size_t s = 0; s < job.batch.sequences; ++s) {
        if (job.batch.context_lengths[s] == 0) continue;
        const auto rows = static_cast<std::size_t>(job.batch.query_starts[s + 1] - job.batch.query_starts[s]);
        group_count += divide_up(rows, job.group_rows()) * job.cache.heads;
    }

    // A group is never cut into more parts than there are turns for every worker.
    const auto workers = static_cast<std::size_t>(job.device.pool().size());
    const std::size_t parts_max = 4 * workers;
    const std::size_t tasks_max = group_count + parts_max * 2;
    auto* memory = static_cast<std::byte*>(
        job.device.shared(Use::plan).reserve(group_count * sizeof(Group) + tasks_max * sizeof(Task)));
    Plan plan;
    plan.groups = reinterpret_cast<Group*>(memory);
    plan.tasks = reinterpret_cast<Task*>(memory + group_count * sizeof(Group));

    std::size_t keys_total = 0;
    for (std::size_t s = 0; s < job.batch.sequences; ++s) {
        if (job.batch.context_lengths[s] == 0) continue;
        const auto start = static_cast<std::size_t>(job.batch.query_starts[s]);
        const auto rows = static_cast<std::size_t>(job.batch.query_starts[s + 1]) - start;
        const std::size_t past = static_cast<std::size_t>(job.batch.context_lengths[s]) - rows;
        for (std::size_t row = 0; row < rows; row += job.group_rows()) {
            const std::size_t count = std::min(job.group_rows(), rows - row);
            const std::size_t first = first_key(job, past + row);
            const std::size_t last = past + row + count;
            for (std::size_t head = 0; head < job.cache.heads; ++head) {
                const auto narrow = [](std::size_t value) { return static_cast<std::uint32_t>(value); };
                plan.groups[plan.group_count++] = {narrow(s),
                                                   narrow(head),
                                                   narrow(start + row),
                                                   narrow(count),
                                                   narrow(past + row),
                                                   narrow(first),
                                                   narrow(last),
                                                   1,
                                                   0};
                keys_total += last - first;
            }
        }
    }

    // Equal keys a task, if there are too few groups to keep everybody busy. The sum of the parts stays below groups +
    // parts_max.
    const std::size_t fair = std::max(kPartKeysMin, divide_up(keys_total, parts_max));
    for (std::size_t g = 0; g < plan.group_count; ++g) {
        Group& group = plan.groups[g];
        const std::size_t keys = group.key_last - group.key_first;
        if (workers > 1 && plan.group_count < parts_max && keys > fair) {
            group.parts = static_cast<std::uint32_t>(divide_up(keys, fair));
            group.partial = static_cast<std::uint32_t>(plan.partial_count);
            plan.partial_count += group.parts;
        }
        for (std::uint32_t part = 0; part < group.parts; ++part) {
            plan.tasks[plan.task_count++] = {static_cast<std::uint32_t>(g), part};
        }
    }
    return plan;
}

// The rows of sequences that have no context only fill up a batch.
void clear_rows_without_context(const Job& job) {
    for (std::size_t s = 0; s < job.batch.sequences; ++s) {
        if (job.batch.context_lengths[s] != 0) continue;
        const auto end = static_cast<std::size_t>(job.batch.query_starts[s + 1]);
        for (auto row = static_cast<std::size_t>(job.batch.query_starts[s]); row < end; ++row)
            std::fill_n(job.y.row(row), job.y.columns, 0.0f);
    }
}

// Where the rows of a key begin, in bytes.
std::size_t offset_of(const Job& job, const Group& group, std::size_t key) {
    const std::int32_t* const pages = job.batch.page_tables + group.sequence * job.batch.page_table_stride;
    const auto page = static_cast<std::size_t>(pages[key / job.cache.page_size]);
    return job.cache.offset(page, group.head, key % job.cache.page_size);
}

void ask_for(const std::byte* data, std::size_t bytes) {
    constexpr std::size_t kLine = 64;
    for (std::size_t at = 0; at < bytes; at += kLine) __builtin_prefetch(data + at);
}

// The keys or values [first, last) in one piece: where they are, if that is one page, or else copied together, each
// page asked for while the one before is copied.
Weights gather(const Job& job, const Group& group, const std::byte* cache, std::size_t first, std::size_t last,
               std::byte* rows) {
    const std::size_t page_size = job.cache.page_size, dim = job.cache.head_dim;
    const std::size_t row_bytes = Workplace::row_bytes(job),
                      stride_bytes = job.cache.row_stride * size_of(job.cache.format);
    if (first / page_size == (last - 1) / page_size) {
        return {cache + offset_of(job, group, first), job.cache.row_stride, last - first, dim};
    }
    std::byte* target = rows;
    for (std::size_t key = first; key < last;) {
        const std::size_t count = std::min(page_size - key % page_size, last - key);
        const std::byte* const source = cache + offset_of(job, group, key);
        key += count;
        if (key < last) ask_for(cache + offset_of(job, group, key), std::min(page_size, last - key) * stride_bytes);
        if (stride_bytes == row_bytes) {
            std::memcpy(target, source, count * row_bytes);
        } else {
            for (std::size_t i = 0; i < count; ++i)
                std::memcpy(target + i * row_bytes, source + i * stride_bytes, row_bytes);
        }
        target += count * row_bytes;
    }
    return {rows, dim, last - first, dim};
}

void load_queries(const Job& job, const Group& group, const Workplace& place, const Gemm* gemm) {
    const std::size_t dim = job.cache.head_dim;
    const std::size_t sharing = job.sharing();
    for (std::size_t row = 0; row < group.rows; ++row) {
        const float* const source = job.q.row(group.row + row) + group.head * sharing * dim;
        float* const target = place.queries + row * sharing * dim;
        std::memcpy(target, source, sharing * dim * sizeof(float));
        job.device.kernels().scale(job.scale, target, sharing * dim);
    }
    const std::size_t tokens = group.rows * sharing;
    std::fill_n(place.maxima, tokens, -std::numeric_limits<float>::infinity());
    std::fill_n(place.sums, tokens, 0.0f);
    std::fill_n(place.values, tokens * dim, 0.0f);
    if (gemm != nullptr) gemm->pack({place.queries, dim}, tokens, dim, place.packed);
}

void score(const Job& job, const Group& group, const Workplace& place, const Gemm* gemm, std::size_t first,
           std::size_t last) {
    const std::size_t dim = job.cache.head_dim;
    const std::size_t tokens = group.rows * job.sharing();
    const Weights keys = gather(job, group, job.cache.keys, first, last, place.rows);
    if (gemm != nullptr) {
        gemm->multiply(keys, place.packed, tokens, {place.scores, kBlockKeys}, false);
        return;
    }
    const auto gemv = job.device.kernels().gemv[index_of(job.cache.format)];
    gemv(keys, {place.queries, dim}, tokens, {place.scores, kBlockKeys}, false);
}

// Scores become terms relative to the new maximum; what a token may not see becomes zero.
void soften(const Job& job, const Group& group, const Workplace& place, std::size_t first, std::size_t last) {
    const Kernels& kernels = job.device.kernels();
    const std::size_t sharing = job.sharing();
    for (std::size_t t = 0; t < group.rows * sharing; ++t) {
        const std::size_t position = group.position + t / sharing;
        const std::size_t from = std::max(first, first_key(job, position));
        const std::size_t to = std::min(last, position + 1);
        float* const scores = place.scores + t * kBlockKeys;
        place.factors[t] = 1.0f;
        if (from >= to) {
            std::fill_n(scores, last - first, 0.0f);
            continue;
        }
        float* const seen = scores + (from - first);
        const float largest = kernels.maximum(seen, to - from);
        // Written so that a NaN on either side wins.
        const float before = place.maxima[t];
        const float now = largest <= before ? before : std::isnan(before) ? before : largest;
        if (now != before) {
            place.factors[t] = std::exp(before - now);
            place.maxima[t] = now;
        }
        place.sums[t] =
            place.sums[t] * place.factors[t] + static_cast<float>(kernels.exp_sum(seen, now, seen, to - from));
        std::fill(scores, seen, 0.0f);
        std::fill(scores + (to - first), scores + (last - first), 0.0f);
    }
}

void mix(const Job& job, const Group& group, const Workplace& place, std::size_t first, std::size_t last) {
    const Weights values = gather(job, group, job.cache.values, first, last, place.rows);
    job.device.kernels().mix[index_of(job.cache.format)](values, {place.scores, kBlockKeys}, group.rows * job.sharing(),
                                                         place.factors, {place.values, job.cache.head_dim});
}

// What the values are multiplied by: one over the softmax's denominator, which the sink joins. Its score may be the
// largest: then everything else shrinks.
float share(const Job& job, std::size_t head, float maximum, float sum) {
    if (job.sinks == nullptr) return 1.0f / sum;
    const float sink = job.sinks[head];
    const float largest = sink > maximum ? sink : maximum;
    const float factor = std::exp(maximum - largest);
    return factor / (sum * factor + std::exp(sink - largest));
}

void finish(const Job& job, const Group& group, const float* maxima, const float* sums, float* values) {
    const std::size_t dim = job.cache.head_dim;
    const std::size_t sharing = job.sharing();
    for (std::size_t t = 0; t < group.rows * sharing; ++t) {
        const std::size_t head = group.head * sharing + t % sharing;
        job.device.kernels().scale(share(job, head, maxima[t], sums[t]), values + t * dim, dim);
        float* const target = job.y.row(group.row + t / sharing) + head * dim;
        std::memcpy(target, values + t * dim, dim * sizeof(float));
    }
}

void run_task(const Job& job, const Group& group, std::size_t part, const Workplace& place, float* partials) {
    const std::size_t dim = job.cache.head_dim;
    const std::size_t tokens = group.rows * job.sharing();
    const std::size_t keys = group.key_last - group.key_first;
    const std::size_t from = group.key_first + keys * part / group.parts;
    const std::size_t to = group.key_first + keys * (part + 1) / group.parts;
    const Gemm& exact = job.device.kernels().gemm_exact[index_of(job.cache.format)];
    const Gemm* const gemm = tokens > gemv_tokens_max(exact) ? &exact : nullptr;

    load_queries(job, group, place, gemm);
    for (std::size_t first = from; first < to; first += kBlockKeys) {
        const std::size_t last = std::min(to, first + kBlockKeys);
        score(job, group, place, gemm, first, last);
        soften(job, group, place, first, last);
        mix(job, group, place, first, last);
    }
    if (group.parts == 1) {
        finish(job, group, place.maxima, place.sums, place.values);
        return;
    }
    float* const partial = partials + (group.partial + part) * job.partial_floats();
    std::memcpy(partial, place.maxima, tokens * sizeof(float));
    std::memcpy(partial + tokens, place.sums, tokens * sizeof(float));
    std::memcpy(partial + 2 * tokens, place.values, tokens * dim * sizeof(float));
}

void merge(const Job& job, const Group& group, const Workplace& place, const float* partials) {
    const std::size_t dim = job.cache.head_dim;
    const std::size_t tokens = group.rows * job.sharing();
    const auto part = [&](std::size_t index) { return partials + (group.partial + index) * job.partial_floats(); };
    std::fill_n(place.sums, tokens, 0.0f);
    std::fill_n(place.values, tokens * dim, 0.0f);
    for (std::size_t t = 0; t < tokens; ++t) {
        float largest = -std::numeric_limits<float>::infinity();
        for (std::size_t p = 0; p < group.parts; ++p) largest = std::max(largest, part(p)[t]);
        for (std::size_t p = 0; p < group.parts; ++p) {
            // A part whose keys the token may not see has neither sum nor values; a NaN has both.
            const float sum = part(p)[tokens + t];
            if (sum == 0.0f) continue;
            const float factor = std::exp(part(p)[t] - largest);
            place.sums[t] += sum * factor;
            job.device.kernels().axpy(factor, part(p) + 2 * tokens + t * dim, place.values + t * dim, dim);
        }
        place.maxima[t] = largest;
    }
    finish(job, group, place.maxima, place.sums, place.values);
}

}  // namespace

void attention(Device& device, const Grid& q, const KvCache& cache, const Batch& batch, float scale, std::size_t window,
               const float* sinks, const Grid& y) {
    const Job job{device, q, cache, batch, scale, window, sinks, y};
    clear_rows_without_context(job);
    const Plan plan = make_plan(job);
    if (plan.task_count == 0) return;

    const Gemm& gemm = device.kernels().gemm_exact[index_of(cache.format)];
    float* const partials = device.shared(Use::scores).reserve_of<float>(plan.partial_count * job.partial_floats());
    for (int worker = 0; worker < device.pool().size(); ++worker)
        device.own(worker).reserve(Workplace::bytes(job, gemm));

    const auto work = [&](const Worker& worker, Turns& tasks, Turns& merges) {
        const Workplace place = lay_out(job, device.own(worker.index).reserve(0));
        // Later blocks of rows have longer pasts: longest first.
        for (std::size_t turn; (turn = tasks.take()) < plan.task_count;) {
            const Task& task = plan.tasks[plan.task_count - 1 - turn];
            run_task(job, plan.groups[task.group], task.part, place, partials);
        }
        if (plan.partial_count == 0) return;
        device.pool().barrier();
        for (std::size_t turn; (turn = merges.take()) < plan.group_count;) {
            if (plan.groups[turn].parts > 1) merge(job, plan.groups[turn], place, partials);
        }
    };

    std::size_t products = 0;
    for (std::size_t g = 0; g < plan.group_count; ++g) {
        const Group& group = plan.groups[g];
        products += std::size_t{group.key_last - group.key_first} * group.rows * job.sharing() * cache.head_dim;
    }
    device.reset_turns();
    if (products < kTaskProductsMin && plan.partial_count == 0) {
        work(Worker{}, device.turns(0, 0), device.turns(1, 0));
    } else {
        device.pool().run([&](const Worker& worker) { work(worker, device.turns(0, 0), device.turns(1, 0)); });
    }
}

}  // namespace lk
