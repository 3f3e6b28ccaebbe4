// Each kernel's GB/s or GFLOP/s, and its share of what plain loops reach on the same threads. Bounds and
// kernels take turns in every round, so that a neighbour on the machine slows both; the share is the median
// over rounds.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "bench.h"
#include "bounds.h"
#include "cpu.h"
#include "team.h"

namespace lk::bench {
namespace {

// Huge pages if they can be had, filled with small bf16 numbers by the threads that will read them.
class Memory {
public:
    explicit Memory(std::size_t bytes) : bytes_(bytes) {
        data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (data_ == MAP_FAILED) throw std::bad_alloc();
        madvise(data_, bytes, MADV_HUGEPAGE);
    }
    ~Memory() { munmap(data_, bytes_); }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    char* data() const { return static_cast<char*>(data_); }
    std::size_t size() const { return bytes_; }
    void fill() {
        std::uint32_t state = 1;
        auto* words = static_cast<std::uint32_t*>(data_);
        for (std::size_t i = 0; i < bytes_ / 4; ++i) {
            state = state * 1664525u + 1013904223u;
            words[i] = (state & 0x807f807fu) | 0x3c003c00u;
        }
    }

private:
    std::size_t bytes_;
    void* data_;
};

enum class Bound { none, memory, cache, fma_f32, fma_bf16 };

struct Case {
    std::string name;
    double amount;  // bytes, or floating-point operations, of all threads together
    const char* unit;
    std::vector<Bound> bounds;  // the bounds to compare with
    std::function<void(int)> work;
    Bound defines = Bound::none;  // this case is itself a measure of that bound
    std::vector<double> rates{};  // giga units per second, one a round
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

class Bench {
public:
    Bench(int threads, int rounds, std::string filter)
        : team_(threads), rounds_(rounds), filter_(std::move(filter)) {}

    Team& team() { return team_; }
    void add(Case one) {
        if (one.defines != Bound::none || one.name.find(filter_) != std::string::npos)
            cases_.push_back(std::move(one));
    }

    void run() {
        for (int round = -1; round < rounds_; ++round) {  // round -1 warms up
            for (Case& one : cases_) {
                const double seconds = team_.run(one.work);
                if (round >= 0) one.rates.push_back(one.amount / seconds * 1e-9);
            }
        }
        for (const Case& one : cases_) print(one);
    }

private:
    static const char* name_of(Bound bound) {
        switch (bound) {
            case Bound::memory: return "memory read";
            case Bound::cache: return "cache read";
            case Bound::fma_f32: return "fma";
            case Bound::fma_bf16: return "dpbf16";
            case Bound::none: break;
        }
        return "";
    }

    // Of the loops that measure a bound, the best one of that round.
    double bound_of_round(Bound bound, std::size_t round) const {
        double best = 0;
        for (const Case& one : cases_) {
            if (one.defines == bound) best = std::max(best, one.rates[round]);
        }
        return best;
    }

    void print(const Case& one) const {
        std::printf("%-44s best %8.1f  median %8.1f %-8s", one.name.c_str(),
                    *std::max_element(one.rates.begin(), one.rates.end()), median(one.rates), one.unit);
        for (Bound bound : one.bounds) {
            std::vector<double> shares;
            for (std::size_t round = 0; round < one.rates.size(); ++round) {
                const double limit = bound_of_round(bound, round);
                if (limit > 0) shares.push_back(one.rates[round] / limit);
            }
            if (!shares.empty()) std::printf("  %5.1f %% of %s", median(shares) * 100, name_of(bound));
        }
        std::printf("\n");
    }

    Team team_;
    int rounds_;
    std::string filter_;
    std::vector<Case> cases_;
};

constexpr std::size_t kMemoryBytes = std::size_t{256} << 20;  // of one thread: far beyond any cache
constexpr std::size_t kCacheBytes = std::size_t{256} << 10;   // of one thread: within L2

struct Buffers {
    std::vector<std::unique_ptr<Memory>> weights, x, y, packed;

    explicit Buffers(Team& team) {
        const auto make = [&](auto& list, std::size_t bytes) {
            for (int i = 0; i < team.size(); ++i) list.push_back(std::make_unique<Memory>(bytes));
        };
        make(weights, kMemoryBytes);
        make(x, std::size_t{16} << 20);
        make(y, std::size_t{16} << 20);
        make(packed, std::size_t{16} << 20);
        team.run([&](int i) {
            const std::size_t at = static_cast<std::size_t>(i);
            for (auto* list : {&weights, &x, &y, &packed}) (*list)[at]->fill();
        });
    }
    const void* w(int i) const { return weights[static_cast<std::size_t>(i)]->data(); }
    float* floats(const std::vector<std::unique_ptr<Memory>>& list, int i) const {
        return reinterpret_cast<float*>(list[static_cast<std::size_t>(i)]->data());
    }
};

void add_bounds(Bench& bench, const Buffers& buffers) {
    const double threads = bench.team().size();
    for (int streams : {1, 4, 8}) {
        bench.add({.name = "read memory, " + std::to_string(streams) + " streams",
                   .amount = threads * kMemoryBytes,
                   .unit = "GB/s",
                   .bounds = {},
                   .work = [&buffers, streams](int i) { read_streams(buffers.w(i), kMemoryBytes, streams); },
                   .defines = Bound::memory});
    }
    constexpr int kRepeats = 400;
    for (int streams : {1, 4}) {
        bench.add({.name = "read cache, " + std::to_string(streams) + " streams",
                   .amount = threads * kRepeats * kCacheBytes,
                   .unit = "GB/s",
                   .bounds = {},
                   .work =
                       [&buffers, streams](int i) {
                           for (int repeat = 0; repeat < kRepeats; ++repeat)
                               read_streams(buffers.w(i), kCacheBytes, streams);
                       },
                   .defines = Bound::cache});
    }
    constexpr std::size_t kSteps = 2'000'000;
    const double f32 = multiply_add_f32(1), pairs = multiply_add_bf16(1);
    if (f32 > 0) {
        bench.add({.name = "multiply-add f32",
                   .amount = threads * f32 * kSteps,
                   .unit = "GFLOP/s",
                   .bounds = {},
                   .work = [](int) { multiply_add_f32(kSteps); },
                   .defines = Bound::fma_f32});
    }
    if (pairs > 0) {
        bench.add({.name = "multiply-add bf16",
                   .amount = threads * pairs * kSteps,
                   .unit = "GFLOP/s",
                   .bounds = {},
                   .work = [](int) { multiply_add_bf16(kSteps); },
                   .defines = Bound::fma_bf16});
    }
}

const char* format_name(Format format) {
    return format == Format::f32 ? "f32" : format == Format::bf16 ? "bf16" : "f16";
}

void add_gemv(Bench& bench, const Buffers& buffers, const Kernels& table) {
    constexpr std::size_t kDepth = 2048, kBlock = 64;
    for (Format format : {Format::bf16, Format::f16, Format::f32}) {
        const std::size_t rows = kMemoryBytes / (kDepth * size_of(format));
        for (std::size_t tokens : {1u, 2u, 3u, 4u, 6u, 8u}) {
            bench.add({.name = std::string("gemv ") + format_name(format) + " T=" + std::to_string(tokens),
                       .amount = static_cast<double>(bench.team().size()) * kMemoryBytes,
                       .unit = "GB/s",
                       .bounds = {Bound::memory},
                       .work = [&buffers, &table, format, rows, tokens](int i) {
                           const char* data = static_cast<const char*>(buffers.w(i));
                           const std::size_t bytes = kDepth * size_of(format);
                           for (std::size_t r = 0; r < rows; r += kBlock) {
                               table.gemv[index_of(format)]({data + r * bytes, kDepth, kBlock, kDepth},
                                                            {buffers.floats(buffers.x, i), kDepth}, tokens,
                                                            {buffers.floats(buffers.y, i), kBlock}, false);
                           }
                       }});
        }
    }
}

// As in a mixture of experts: matrix after matrix from memory, the same activations' count for each.
void add_gemm_case(Bench& bench, const Buffers& buffers, const Gemm& gemm, const char* kind, Format format,
                   std::size_t tokens, std::size_t rows, std::size_t depth) {
    const std::size_t matrix = rows * depth * size_of(format);
    const double flops_each = 2.0 * static_cast<double>(tokens * rows * depth);
    const std::size_t count =
        std::clamp<std::size_t>(static_cast<std::size_t>(4e9 / flops_each), 1, kMemoryBytes / matrix);
    const std::string name = std::string(kind) + " " + format_name(format) + " T=" + std::to_string(tokens) +
                             " N=" + std::to_string(rows) + " K=" + std::to_string(depth);
    bench.add({.name = name,
               .amount = static_cast<double>(bench.team().size()) * static_cast<double>(count) * flops_each,
               .unit = "GFLOP/s",
               .bounds = {gemm.rounds_activations ? Bound::fma_bf16 : Bound::fma_f32},
               .work = [&buffers, &gemm, tokens, rows, depth, matrix, count](int i) {
                   char* packed = buffers.packed[static_cast<std::size_t>(i)]->data();
                   gemm.pack({buffers.floats(buffers.x, i), depth}, tokens, depth, packed);
                   for (std::size_t m = 0; m < count; ++m) {
                       gemm.multiply(
                           {static_cast<const char*>(buffers.w(i)) + m * matrix, depth, rows, depth}, packed,
                           tokens, {buffers.floats(buffers.y, i), rows}, false);
                   }
               }});
}

void add_gemm(Bench& bench, const Buffers& buffers, const Kernels& table) {
    struct Shape {
        std::size_t tokens, rows, depth;
    };
    const Gemm& fast = table.gemm[index_of(Format::bf16)];
    for (const Shape& s : {Shape{512, 768, 2048},
                           {512, 2048, 2048},
                           {512, 2048, 768},
                           {4, 768, 2048},
                           {6, 768, 2048},
                           {8, 768, 2048},
                           {12, 768, 2048},
                           {16, 768, 2048},
                           {24, 768, 2048},
                           {32, 768, 2048},
                           {33, 768, 2048},
                           {40, 768, 2048},
                           {48, 768, 2048},
                           {64, 768, 2048},
                           {32, 2048, 768},
                           {64, 1024, 7168}}) {
        add_gemm_case(bench, buffers, fast, "gemm", Format::bf16, s.tokens, s.rows, s.depth);
    }
    for (std::size_t tokens : {32u, 33u, 512u}) {
        constexpr std::size_t kDepth = 2048, kTotal = 8192;
        bench.add({.name = "gemm pack T=" + std::to_string(tokens) + " K=2048",
                   .amount = static_cast<double>(bench.team().size()) * kTotal * kDepth * sizeof(float),
                   .unit = "GB/s",
                   .bounds = {Bound::cache},
                   .work = [&buffers, &fast, tokens](int i) {
                       for (std::size_t done = 0; done < kTotal; done += tokens) {
                           fast.pack({buffers.floats(buffers.x, i), kDepth}, tokens, kDepth,
                                     buffers.packed[static_cast<std::size_t>(i)]->data());
                       }
                   }});
    }
    for (Format format : {Format::bf16, Format::f32}) {
        for (const Shape& s : {Shape{512, 768, 2048}, {32, 768, 2048}, {33, 768, 2048}, {64, 1024, 7168}}) {
            add_gemm_case(bench, buffers, table.gemm_exact[index_of(format)], "exact gemm", format, s.tokens,
                          s.rows, s.depth);
        }
    }
}

// One query row's heads over a context of keys and values that is larger than the caches, as decoding meets
// it.
void add_attention(Bench& bench, const Buffers& buffers, const Kernels& table) {
    constexpr std::size_t kDimension = 128, kSlots = 64, kScores = 4096;
    const std::size_t i = index_of(Format::bf16);
    const std::size_t page = kSlots * kDimension * size_of(Format::bf16);
    const std::size_t pages = kMemoryBytes / page / 4;
    for (std::size_t heads : {1u, 4u, 8u}) {
        const double bytes = static_cast<double>(bench.team().size()) * static_cast<double>(pages * page);
        const std::string suffix = " bf16 heads=" + std::to_string(heads);
        bench.add({.name = "attention scores (gemv)" + suffix,
                   .amount = bytes,
                   .unit = "GB/s",
                   .bounds = {Bound::memory},
                   .work = [=, &buffers, &table](int thread) {
                       for (std::size_t p = 0; p < pages; ++p) {
                           table.gemv[i]({static_cast<const char*>(buffers.w(thread)) + p * page, kDimension,
                                          kSlots, kDimension},
                                         {buffers.floats(buffers.x, thread), kDimension}, heads,
                                         {buffers.floats(buffers.y, thread) + p % 64 * kSlots, kScores},
                                         false);
                       }
                   }});
        bench.add({.name = "attention values (mix)" + suffix,
                   .amount = bytes,
                   .unit = "GB/s",
                   .bounds = {Bound::memory},
                   .work = [=, &buffers, &table](int thread) {
                       for (std::size_t p = 0; p < pages; ++p) {
                           table.mix[i]({static_cast<const char*>(buffers.w(thread)) + p * page, kDimension,
                                         kSlots, kDimension},
                                        {buffers.floats(buffers.x, thread) + p % 64 * kSlots, kScores}, heads,
                                        nullptr, {buffers.floats(buffers.y, thread), kDimension});
                       }
                   }});
    }
    constexpr std::size_t kQueries = 64, kRepeats = 2000;
    bench.add(
        {.name = "attention values (mix) bf16 heads=64, cached",
         .amount = static_cast<double>(bench.team().size()) * 2 * kQueries * kSlots * kDimension * kRepeats,
         .unit = "GFLOP/s",
         .bounds = {Bound::fma_f32},
         .work = [=, &buffers, &table](int thread) {
             for (std::size_t repeat = 0; repeat < kRepeats; ++repeat) {
                 table.mix[i]({buffers.w(thread), kDimension, kSlots, kDimension},
                              {buffers.floats(buffers.x, thread), kSlots}, kQueries, nullptr,
                              {buffers.floats(buffers.y, thread), kDimension});
             }
         }});
}

// Rows in L2, as activations are; what is read and written counts.
void add_rows(Bench& bench, const Buffers& buffers, const Kernels& table) {
    static constexpr std::size_t kLength = 16384, kRepeats = 300;
    const auto add = [&](const char* name, std::size_t bytes_of_element, auto body) {
        bench.add({.name = std::string("row ") + name,
                   .amount = static_cast<double>(bench.team().size()) *
                             static_cast<double>(bytes_of_element) * kLength * kRepeats,
                   .unit = "GB/s",
                   .bounds = {Bound::cache},
                   .work = [&buffers, body](int i) {
                       for (std::size_t repeat = 0; repeat < kRepeats; ++repeat) {
                           body(buffers.floats(buffers.x, i), buffers.floats(buffers.y, i),
                                buffers.floats(buffers.packed, i));
                       }
                   }});
    };
    add("rms_norm", 16, [&table](float* x, float* y, float* z) { table.rms_norm(x, z, 1e-6f, y, kLength); });
    add("silu_mul", 12, [&table](float* x, float* y, float* z) { table.silu_mul(x, z, 1, y, kLength); });
    add("axpy", 12, [&table](float* x, float* y, float*) { table.axpy(0.5f, x, y, kLength); });
    add("rotate", 12,
        [&table](float* x, float* y, float* z) { table.rotate(x, 128, kLength / 128, y, z, 64, false); });
    add("rotate interleaved", 12,
        [&table](float* x, float* y, float* z) { table.rotate(x, 128, kLength / 128, y, z, 64, true); });
    add("maximum", 4, [&table](float* x, float* y, float*) { y[0] = table.maximum(x, kLength); });
    add("argmax", 4,
        [&table](float* x, float* y, float*) { y[0] = static_cast<float>(table.argmax(x, kLength)); });
    add("exp_sum", 8, [&table](float* x, float* y, float*) { table.exp_sum(x, 0, y, kLength); });
    for (Format format : {Format::bf16, Format::f16}) {
        const std::size_t i = index_of(format);
        add(format == Format::bf16 ? "narrow bf16" : "narrow f16", 6,
            [&table, i](float* x, float* y, float*) { table.narrow[i](x, y, kLength); });
        add(format == Format::bf16 ? "widen bf16" : "widen f16", 6,
            [&table, i](float* x, float* y, float*) { table.widen[i](x, y, kLength); });
    }
}

int run(const std::vector<std::string>& arguments) {
    const Kernels& table = select_kernels();
    const int threads = option(arguments, "threads", static_cast<int>(std::thread::hardware_concurrency()));
    std::string filter;
    for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
        if (arguments[i] == "--only") filter = arguments[i + 1];
    }
    std::printf("table %s, %d threads\n", table.name, threads);
    Bench bench(threads, option(arguments, "rounds", 7), filter);
    const Buffers buffers(bench.team());
    add_bounds(bench, buffers);
    add_gemv(bench, buffers, table);
    add_gemm(bench, buffers, table);
    add_attention(bench, buffers, table);
    add_rows(bench, buffers, table);
    bench.run();
    return 0;
}

const Registration registration{
    {"kernels", "each kernel against plain loops: --threads N --rounds N --only TEXT", run}};

}  // namespace
}  // namespace lk::bench
