// Whole operations on the device's pool, at the shapes of a 30 B mixture of experts: GB/s or GFLOP/s, and the share of
// what plain loops reach on the same threads. The time is the process's processor time over its threads, which all work
// or spin until the operation ends: on a machine of its own that is the wall clock, and being put aside for somebody
// else's process does not count. Loops and operations take turns in every round, so that a neighbour who uses the
// memory slows both; the share is the median over rounds.
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench.h"
#include "bounds.h"
#include "ops.h"

namespace lk::bench {
namespace {

struct Case {
    std::string name;
    bool reads;                      // bound by memory; else by arithmetic
    std::function<double()> work;    // returns bytes or floating-point operations
    std::vector<double> rates{};     // giga units per second, one a round
    std::vector<double> micros{};
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

double best(const std::vector<double>& values) { return *std::max_element(values.begin(), values.end()); }

// Fills with small bf16 or f32 numbers: 0x3cXX and its sign.
void fill(Device& device, std::span<const Block> blocks) {
    device.pool().run([&](const Worker& worker) {
        const Block& block = blocks[static_cast<std::size_t>(worker.rank) % blocks.size()];
        auto* const words = static_cast<std::uint32_t*>(block.data());
        const std::size_t count = block.bytes() / 4;
        const auto at = [&](int index) {
            return count * static_cast<std::size_t>(index) / static_cast<std::size_t>(worker.rank_size);
        };
        std::uint32_t state = static_cast<std::uint32_t>(worker.index) + 1;
        for (std::size_t i = at(worker.index_in_rank); i < at(worker.index_in_rank + 1); ++i) {
            state = state * 1664525u + 1013904223u;
            words[i] = (state & 0x807f807fu) | 0x3c003c00u;
        }
    });
}

// The text after --filter: only cases whose name contains it are run.
std::string filter_of(const std::vector<std::string>& arguments) {
    const auto at = std::find(arguments.begin(), arguments.end(), "--filter");
    return at == arguments.end() || at + 1 == arguments.end() ? "" : at[1];
}

class Bench {
 public:
    explicit Bench(const std::vector<std::string>& arguments)
        : device_(options(arguments)),
          rounds_(option(arguments, "rounds", 15)),
          filter_(filter_of(arguments)),
          memory_(static_cast<std::size_t>(device_.pool().size())) {
        std::printf("%s\n", device_.description().c_str());
        for (auto& block : memory_) block = Block(kBoundBytes, {}, "");
        device_.pool().run([&](const Worker& worker) {
            auto* const bytes = static_cast<char*>(memory_[static_cast<std::size_t>(worker.index)].data());
            for (std::size_t i = 0; i < kBoundBytes; i += 64) bytes[i] = 1;
        });
    }

    Device& device() { return device_; }
    std::mt19937& random() { return random_; }
    void add(std::string name, bool reads, std::function<double()> work) {
        if (name.find(filter_) != std::string::npos) cases_.push_back({std::move(name), reads, std::move(work)});
    }

    int run() {
        Case read{"plain reads, the best of 1, 4 and 8 streams", true, {}},
            multiply{"plain multiply-adds, bf16 or f32", false, {}};
        for (int round = -1; round < rounds_; ++round) {
            double reads = 0;
            for (const int streams : {1, 4, 8})
                reads = std::max(reads, rate([&] { return read_once(streams); }, nullptr));
            const double sums = std::max(rate([&] { return multiply_once(multiply_add_f32); }, nullptr),
                                         rate([&] { return multiply_once(multiply_add_bf16); }, nullptr));
            if (round >= 0) read.rates.push_back(reads);
            if (round >= 0) multiply.rates.push_back(sums);
            for (Case& one : cases_) {
                const double value = rate(one.work, round >= 0 ? &one.micros : nullptr);
                if (round >= 0) one.rates.push_back(value);
            }
        }
        print(read, nullptr);
        print(multiply, nullptr);
        for (const Case& one : cases_) print(one, one.reads ? &read : &multiply);
        return 0;
    }

 private:
    static constexpr std::size_t kBoundBytes = std::size_t{128} << 20;

    static Device::Options options(const std::vector<std::string>& arguments) {
        Device::Options options;
        // As many as cores: the bench has no server beside it.
        options.threads.threads = option(arguments, "threads", read_topology("").cores);
        return options;
    }

    static double processor_seconds() {
        timespec now;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
        return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
    }

    double rate(const std::function<double()>& work, std::vector<double>* micros) {
        // Workers that parked meanwhile would start late and spin less.
        device_.pool().run([](const Worker&) {});
        const double start = processor_seconds();
        const double amount = work();
        const double seconds = (processor_seconds() - start) / device_.pool().size();
        if (micros != nullptr) micros->push_back(seconds * 1e6);
        return amount / seconds * 1e-9;
    }

    double read_once(int streams) {
        device_.pool().run([&](const Worker& worker) {
            read_streams(memory_[static_cast<std::size_t>(worker.index)].data(), kBoundBytes, streams);
        });
        return static_cast<double>(kBoundBytes) * device_.pool().size();
    }

    double multiply_once(double (*loop)(std::size_t)) {
        std::vector<double> done(static_cast<std::size_t>(device_.pool().size()));
        device_.pool().run([&](const Worker& worker) { done[static_cast<std::size_t>(worker.index)] = loop(200'000); });
        double sum = 0;
        for (const double one : done) sum += one;
        return sum;
    }

    void print(const Case& one, const Case* bound) const {
        std::printf("%-44s best %8.1f  median %8.1f %s", one.name.c_str(), best(one.rates), median(one.rates),
                    one.reads ? "GB/s   " : "GFLOP/s");
        if (!one.micros.empty()) std::printf("  %9.0f us", median(one.micros));
        if (bound != nullptr) {
            std::vector<double> shares;
            for (std::size_t i = 0; i < one.rates.size(); ++i) shares.push_back(one.rates[i] / bound->rates[i]);
            std::printf("  %5.1f %% of plain %s", 100 * median(shares), one.reads ? "reads" : "sums");
        }
        std::printf("\n");
    }

    Device device_;
    int rounds_;
    std::string filter_;
    std::vector<Block> memory_;
    std::mt19937 random_{1};
    std::vector<Case> cases_;
};

// Activations in memory of their own.
struct Floats {
    Floats(std::size_t rows, std::size_t columns) : block(rows * columns * sizeof(float) + 64, {}, "") {
        grid = {static_cast<float*>(block.data()), rows, columns, columns};
        for (std::size_t i = 0; i < rows * columns; ++i) grid.data[i] = 0.01f * static_cast<float>(i % 97) - 0.5f;
    }
    Block block;
    Grid grid;
};

int run_moe(const std::vector<std::string>& arguments) {
    Bench bench(arguments);
    const int hidden = option(arguments, "hidden", 2048), intermediate = option(arguments, "intermediate", 768);
    const int experts = option(arguments, "experts", 128), k = option(arguments, "top-k", 8);
    const ExpertBank bank({Format::bf16, experts, hidden, intermediate}, bench.device().placement());
    fill(bench.device(), bank.blocks());
    const double expert_weights = 3.0 * hidden * intermediate;
    std::vector<std::unique_ptr<Floats>> memory;
    for (const int tokens : {1, 2, 4, 8, 16, 32, 64, 128, 256, 512}) {
        const auto rows = static_cast<std::size_t>(tokens), width = static_cast<std::size_t>(hidden);
        Floats& x = *memory.emplace_back(std::make_unique<Floats>(rows, width));
        Floats& y = *memory.emplace_back(std::make_unique<Floats>(rows, width));
        const auto ids = std::make_shared<std::vector<std::int32_t>>(rows * static_cast<std::size_t>(k));
        const auto weights = std::make_shared<std::vector<float>>(ids->size(), 0.125f);
        const auto work = [&bench, &bank, &x, &y, ids, weights, experts, k, expert_weights, tokens] {
            std::vector<bool> active(static_cast<std::size_t>(experts));
            for (int t = 0; t < tokens; ++t) {
                for (int i = 0; i < k; ++i) {
                    // Distinct experts of a token: a random start and an odd step.
                    auto& id = (*ids)[static_cast<std::size_t>(t * k + i)];
                    id = i == 0 ? static_cast<std::int32_t>(bench.random()() % static_cast<unsigned>(experts))
                                : ((&id)[-1] + 37) % experts;
                    active[static_cast<std::size_t>(id)] = true;
                }
            }
            const RoutesView routes{ids->data(), static_cast<std::size_t>(k), weights->data(),
                                    static_cast<std::size_t>(k), static_cast<std::size_t>(k)};
            moe(bench.device(), bank, x.grid, routes, y.grid);
            const auto count = std::count(active.begin(), active.end(), true);
            return tokens <= 32 ? static_cast<double>(count) * expert_weights * 2 : 2.0 * tokens * k * expert_weights;
        };
        bench.add("moe, " + std::to_string(tokens) + " tokens", tokens <= 32, work);
    }
    return bench.run();
}

int run_linear(const std::vector<std::string>& arguments) {
    Bench bench(arguments);
    struct Shape {
        const char* name;
        int rows, columns, copies;
    };
    std::vector<std::unique_ptr<Matrix>> matrices;
    std::vector<std::unique_ptr<Floats>> memory;
    for (const Shape& shape : {Shape{"qkv 5120 x 2048", 5120, 2048, 12},
                               {"o 2048 x 4096", 2048, 4096, 12},
                               {"head 25600 x 2048", 25600, 2048, 2}}) {
        const std::size_t first = matrices.size();
        for (int copy = 0; copy < shape.copies; ++copy) {
            matrices.push_back(
                std::make_unique<Matrix>(Format::bf16, shape.rows, shape.columns, bench.device().placement()));
            fill(bench.device(), matrices.back()->blocks());
        }
        for (const int tokens : {1, 4, 6, 8, 12, 16, 32, 128, 512}) {
            const auto rows = static_cast<std::size_t>(tokens);
            Floats& x = *memory.emplace_back(std::make_unique<Floats>(rows, static_cast<std::size_t>(shape.columns)));
            Floats& y = *memory.emplace_back(std::make_unique<Floats>(rows, static_cast<std::size_t>(shape.rows)));
            // Copies in turn, so that no weight is still in a cache.
            const auto work = [&bench, &matrices, &x, &y, shape, first, tokens, turn = 0]() mutable {
                double weights = 0;
                for (int i = 0; i < (tokens <= 16 ? 4 : 1); ++i) {
                    const auto copy = static_cast<std::size_t>(turn++ % shape.copies);
                    const MatrixView view = matrices[first + copy]->view();
                    linear(bench.device(), gemm_for(bench.device(), Format::bf16, x.grid.rows), x.grid, view, nullptr,
                           y.grid, false);
                    weights += static_cast<double>(shape.rows) * shape.columns;
                }
                return tokens <= 16 ? weights * 2 : 2.0 * tokens * weights;
            };
            bench.add(std::string(shape.name) + ", " + std::to_string(tokens) + " tokens", tokens <= 16, work);
        }
    }
    return bench.run();
}

int run_attention(const std::vector<std::string>& arguments) {
    Bench bench(arguments);
    constexpr std::size_t kHeads = 32, kKvHeads = 4, kHeadDim = 128, kSequencesMax = 8;
    const auto page = static_cast<std::size_t>(option(arguments, "page", 16));
    const auto context = static_cast<std::size_t>(option(arguments, "context", 8192));
    const std::size_t pages = divide_up(context, page);
    const std::size_t rows = kSequencesMax * pages * page * kKvHeads;
    const Block keys(rows * kHeadDim * 2, {}, ""), values(rows * kHeadDim * 2, {}, "");
    fill(bench.device(), std::span(&keys, 1));
    fill(bench.device(), std::span(&values, 1));
    const KvCache cache{static_cast<std::byte*>(keys.data()),
                        static_cast<std::byte*>(values.data()),
                        Format::bf16,
                        kHeadDim,
                        page,
                        kKvHeads,
                        kHeadDim};
    std::vector<std::int32_t> tables(kSequencesMax * pages);
    for (std::size_t i = 0; i < tables.size(); ++i) tables[i] = static_cast<std::int32_t>(i);
    std::shuffle(tables.begin(), tables.end(), bench.random());

    struct Shape {
        std::size_t sequences, rows, past;
    };
    std::vector<std::unique_ptr<Floats>> memory;
    for (const Shape& shape : {Shape{1, 1, 511},
                               {1, 1, context - 1},
                               {8, 1, 511},
                               {8, 1, context - 1},
                               {1, 512, 0},
                               {1, 2048, 0},
                               {1, 512, context - 512}}) {
        Floats& q = *memory.emplace_back(std::make_unique<Floats>(shape.sequences * shape.rows, kHeads * kHeadDim));
        Floats& y = *memory.emplace_back(std::make_unique<Floats>(shape.sequences * shape.rows, kHeads * kHeadDim));
        const bool reads = shape.rows == 1;
        const auto work = [&bench, &cache, &tables, &q, &y, shape, reads, pages] {
            std::vector<std::int32_t> starts{0}, lengths;
            for (std::size_t s = 0; s < shape.sequences; ++s) {
                starts.push_back(static_cast<std::int32_t>((s + 1) * shape.rows));
                lengths.push_back(static_cast<std::int32_t>(shape.past + shape.rows));
            }
            const Batch batch{starts.data(), lengths.data(), tables.data(), pages, shape.sequences};
            attention(bench.device(), q.grid, cache, batch, 0.09f, 0, nullptr, y.grid);
            const double keys_read = static_cast<double>(shape.sequences * (shape.past + shape.rows));
            const double pairs = static_cast<double>(shape.rows) *
                                 (static_cast<double>(shape.past) + static_cast<double>(shape.rows) / 2);
            return reads ? keys_read * kKvHeads * kHeadDim * 4 : 4.0 * pairs * kHeads * kHeadDim;
        };
        bench.add(std::to_string(shape.sequences) + " x " + std::to_string(shape.rows) + " rows behind " +
                      std::to_string(shape.past),
                  reads, work);
    }
    return bench.run();
}

int run_pool(const std::vector<std::string>& arguments) {
    Device::Options options;
    options.threads.threads = option(arguments, "threads", read_topology("").cores);
    Device device(options);
    std::printf("%s\n", device.description().c_str());
    const int rounds = option(arguments, "rounds", 200);
    constexpr int kRuns = 1000;
    std::vector<double> forks, barriers;
    for (int round = 0; round < rounds; ++round) {
        const auto start = std::chrono::steady_clock::now();
        for (int i = 0; i < kRuns; ++i) device.pool().run([](const Worker&) {});
        const auto middle = std::chrono::steady_clock::now();
        device.pool().run([&](const Worker&) {
            for (int i = 0; i < kRuns; ++i) device.pool().barrier();
        });
        const auto end = std::chrono::steady_clock::now();
        forks.push_back(std::chrono::duration<double, std::nano>(middle - start).count() / kRuns);
        barriers.push_back(std::chrono::duration<double, std::nano>(end - middle).count() / kRuns);
    }
    std::printf("fork and join %8.0f ns best %8.0f ns median\n", *std::min_element(forks.begin(), forks.end()),
                median(forks));
    std::printf("barrier       %8.0f ns best %8.0f ns median\n", *std::min_element(barriers.begin(), barriers.end()),
                median(barriers));
    return 0;
}

const Registration moe_registration(
    {"moe", "routed experts, 1 to 512 tokens [--threads --rounds --filter --hidden --intermediate --experts --top-k]",
     run_moe});
const Registration linear_registration({"linear", "projections, 1 to 512 tokens [--threads --rounds --filter]",
                                        run_linear});
const Registration attention_registration(
    {"attention", "decode and prefill over pages [--threads --rounds --filter --page --context]", run_attention});
const Registration pool_registration({"pool", "fork, join and barrier [--threads --rounds]", run_pool});

}  // namespace
}  // namespace lk::bench
