#include <cstdio>
#include <exception>
#include <stdexcept>

#include "bench.h"

namespace lk::bench {

std::vector<Benchmark>& benchmarks() {
    static std::vector<Benchmark> all;
    return all;
}

int option(const std::vector<std::string>& arguments, const std::string& name, int fallback) {
    for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
        if (arguments[i] != "--" + name) continue;
        std::size_t used = 0;
        int value = 0;
        try {
            value = std::stoi(arguments[i + 1], &used);
        } catch (const std::exception&) {
            used = 0;
        }
        if (used != arguments[i + 1].size() || used == 0 || value <= 0) {
            throw std::invalid_argument("--" + name + " " + arguments[i + 1] +
                                        ": a positive number is needed");
        }
        return value;
    }
    return fallback;
}

}  // namespace lk::bench

int main(int count, char** values) {
    const std::vector<std::string> arguments(values + 1, values + count);
    if (!arguments.empty()) {
        for (const auto& benchmark : lk::bench::benchmarks()) {
            if (arguments[0] != benchmark.name) continue;
            try {
                return benchmark.run({arguments.begin() + 1, arguments.end()});
            } catch (const std::exception& failure) {
                std::fprintf(stderr, "%s: %s\n", benchmark.name, failure.what());
                return 1;
            }
        }
    }
    std::fprintf(stderr, "usage: lk_moe_bench NAME [options]\n");
    for (const auto& benchmark : lk::bench::benchmarks()) {
        std::fprintf(stderr, "  %-10s %s\n", benchmark.name, benchmark.summary);
    }
    return 2;
}
