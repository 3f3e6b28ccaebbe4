// lk_moe_bench NAME [options]: each file of this folder registers one benchmark.
#pragma once
#include <string>
#include <vector>

namespace lk::bench {

struct Benchmark {
    const char* name;
    const char* summary;  // one line, for the list
    int (*run)(const std::vector<std::string>& arguments);
};

std::vector<Benchmark>& benchmarks();

// A namespace-scope object of this type adds a benchmark to the list.
struct Registration {
    explicit Registration(const Benchmark& benchmark) { benchmarks().push_back(benchmark); }
};

// The value after `--name`, or `fallback`. Throws std::invalid_argument on a value that is not a positive
// number.
int option(const std::vector<std::string>& arguments, const std::string& name, int fallback);

}  // namespace lk::bench
