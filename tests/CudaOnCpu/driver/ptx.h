// What the driver must know of a PTX text before it can launch from it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace cuda_on_cpu::driver {

struct PtxEntry {
    std::string name;
    std::size_t parameter_bytes = 0;
    std::uint32_t threads_max = 1024;
    std::uint32_t static_shared = 0;
};

struct PtxText {
    int isa = 0;               // 80 is version 8.0
    int target = 0;            // 90 is sm_90
    bool is_exact = false;     // sm_90a: for that architecture only
    std::vector<PtxEntry> entries;
    std::string wrong;         // why it is no PTX; empty if it is
};

PtxText parse_ptx(const char* text);

}  // namespace cuda_on_cpu::driver
